"""The public face: what a program needs to animate portraits; everything else is inside.

Names are looked up when they are asked for, so that a quick command imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from animator.animation.pipeline import animate
    from animator.jobs.client import Client
    from animator.settings import Settings
    from animator.spec import JobSpec

__version__ = "0.1.0"
__all__ = ["Client", "JobSpec", "Settings", "animate"]

_PLACES = {
    "animate": "animator.animation.pipeline",
    "Client": "animator.jobs.client",
    "JobSpec": "animator.spec",
    "Settings": "animator.settings",
}


def __getattr__(name: str) -> Any:
    """A public name, from where it is defined."""
    if name not in _PLACES:
        raise AttributeError(f"module 'animator' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
