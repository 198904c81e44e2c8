"""Mappings that are made in another thread until somebody looks into them.

On a CPU a frame's features are made while the next step begins, which needs them only half way:
two threads with a part each take less time than one with both. The values do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import TypeVar

import torch

K = TypeVar("K")
V = TypeVar("V")


def later(pool: Executor | None, make: Callable[[], Mapping[K, V]]) -> Mapping[K, V]:
    """A mapping, made in a pool of threads in the caller's modes of inference and precision.

    Args:
        pool: None, or where gradients are wanted, makes it here and now.
        make: makes it. What it raises comes to whoever looks into the mapping first.
    """
    if pool is None or not torch.is_inference_mode_enabled():
        return make()
    half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    return _Later(pool.submit(_made, make, half))


def _made(make: Callable[[], Mapping[K, V]], half: torch.dtype | None) -> Mapping[K, V]:
    # Modes belong to threads; a new one has none.
    with torch.inference_mode(), torch.autocast("cpu", half, enabled=half is not None):
        return make()


class _Later(Mapping[K, V]):
    """A mapping of which only the future is known; whoever looks into it waits."""

    def __init__(self, future: Future[Mapping[K, V]]) -> None:
        self._future = future

    def __getitem__(self, key: K) -> V:
        return self._future.result()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._future.result())

    def __len__(self) -> int:
        return len(self._future.result())
