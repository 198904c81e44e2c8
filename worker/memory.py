"""Memory of a worker, kept from growing with the jobs that it has run.

The C library (glibc) gives threads heaps of their own, up to eight for each core. A job's threads
come and go, and what one heap has free another cannot use: memory would grow from job to job.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def share_heaps() -> None:
    """Have all threads share two heaps; to be called before there are many threads."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


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
