"""Gives the system back what ended jobs have freed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Have the C library return memory that is free, where it is one that can (glibc).

    It would keep most of it, in pieces between what is still in use, which get more from job to
    job.
    """
    _malloc_trim()(0)


@cache
def _malloc_trim() -> Callable[[int], object]:
    try:
        return ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return lambda pad: None
