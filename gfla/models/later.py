"""Parts of a step that another thread works on until they are needed.

On a CPU two threads with a part each take less time than one with both: a frame's features are made
while the next step begins, and the references are moved to their places while the renderer works.
The values do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import TypeVar

import torch

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


def begin(pool: Executor | None, make: Callable[[], T]) -> Callable[[], T]:
    """Begin to make something, in the caller's modes of inference and precision.

    Args:
        pool: of threads; None, or where gradients are wanted, makes it here and now.
        make: makes it, and begins nothing in the same pool, whose threads might all wait then.

    Returns:
        What waits for it and gives it, or raises what making it raised.
    """
    if pool is None or not torch.is_inference_mode_enabled():
        made = make()
        return lambda: made
    half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    return pool.submit(_made, make, half).result


def _made(make: Callable[[], T], half: torch.dtype | None) -> T:
    # Modes belong to threads; a new one has none.
    with torch.inference_mode(), torch.autocast("cpu", half, enabled=half is not None):
        return make()


class Later(Mapping[K, V]):
    """A mapping that may still be at work: whoever looks into it waits.

    Args:
        made: of ``begin``.
    """

    def __init__(self, made: Callable[[], Mapping[K, V]]) -> None:
        self._made = made

    def __getitem__(self, key: K) -> V:
        return self._made()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())
