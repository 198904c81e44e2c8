"""The public face: what a program needs to animate portraits; everything else is inside.

Names are looked up when they are asked for, so that a quick command imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from animator.animation.pipeline import animate
    from animator.errors import AnimatorError, JobCancelled
    from animator.jobs.client import Client
    from animator.jobs.records import JobRequest
    from animator.settings import Settings
    from animator.spec import JobOptions, JobSpec

__version__ = "0.1.0"
__all__ = [
    "AnimatorError",
    "Client",
    "JobCancelled",
    "JobOptions",
    "JobRequest",
    "JobSpec",
    "Settings",
    "animate",
]

_PLACES = {
    "animate": "animator.animation.pipeline",
    "AnimatorError": "animator.errors",
    "Client": "animator.jobs.client",
    "JobCancelled": "animator.errors",
    "JobOptions": "animator.spec",
    "JobRequest": "animator.jobs.records",
    "JobSpec": "animator.spec",
    "Settings": "animator.settings",
}


def __getattr__(name: str) -> Any:
    """A public name, from where it is defined."""
    if name not in _PLACES:
        raise AttributeError(f"module 'animator' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
