"""Work that a network does beside itself: in another thread, until its result is needed.

Within a frame some parts need nothing of one another, and on a CPU two threads with a part each
take less time than both together with one part after the other. Results do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import TypeVar

import torch

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


def begin(pool: Executor | None, work: Callable[[], T]) -> Callable[[], T]:
    """Begin some work, in the caller's modes of inference and precision.

    Args:
        pool: of threads; None, or where gradients are wanted, does the work here and now.
        work: what to do; it calls no ``begin`` of the same pool, whose threads might all wait then.

    Returns:
        What waits for the result and gives it, or raises what the work raised.
    """
    if pool is None or not is_used(pool):
        made = work()
        return lambda: made
    half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    return pool.submit(_run, work, half).result


def _run(work: Callable[[], T], half: torch.dtype | None) -> T:
    """What a thread does: modes belong to threads, and a new one has none."""
    with torch.inference_mode(), torch.autocast("cpu", half, enabled=half is not None):
        return work()


def later(pool: Executor | None, work: Callable[[], Mapping[K, V]]) -> Mapping[K, V]:
    """The mapping that some work makes, which may still be at work; arguments as of ``begin``."""
    return _Later(begin(pool, work)) if is_used(pool) else work()


def is_used(pool: Executor | None) -> bool:
    """Whether work is done in a pool: not without one, nor where gradients are wanted."""
    return pool is not None and torch.is_inference_mode_enabled()


class _Later(Mapping[K, V]):
    """A mapping that is still being made; whoever looks into it waits."""

    def __init__(self, made: Callable[[], Mapping[K, V]]) -> None:
        self._made = made

    def __getitem__(self, key: K) -> V:
        return self._made()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())
