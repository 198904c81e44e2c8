"""The processor and the memory as this process uses them: cores, threads, what is given back.

All of it is to be called before torch is imported, and keeps what a user has chosen.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_SPIN = 2000
"""Rounds, some microseconds, that a thread of PyTorch looks for the others before it sleeps."""
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_KEPT = 128 * 1024**2
_STEP = 16 * 1024**2
_LARGE = 32 * 1024**2  # more is not allowed


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wait_briefly() -> None:
    """Let the threads of PyTorch on a CPU look for one another for a moment, and then sleep.

    By default they spin, and where another program wants the same cores, a frame then takes ten
    times as long; where they sleep at once, most of a second thread's time goes into waking it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPIN))


def share_cores(jobs: int = 1) -> None:
    """Set how many threads of PyTorch work on a step on a CPU.

    One core is left to what is done around the steps, in threads of its own. Several jobs in one
    process share its cores: each in a thread of its own they are done sooner than one after another
    by all. Processes that this one starts take it over, so that one that starts workers does not
    call it.
    """
    wait_briefly()
    threads = cores() // jobs if jobs > 1 else cores() - 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))


def keep_memory() -> None:
    """Have the C library keep the memory of a frame's maps for the next frame (glibc).

    It would give most of it back to the system, whose empty pages then take a tenth of all time to
    come again.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_TOP_PAD, _STEP)
