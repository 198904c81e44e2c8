"""The trainer's view of every data set: endless, stateless samples, and positions in them.

``samples[index]`` gives the same sample every time, for any index from 0, from randomness of
``np.random.default_rng([seed, index])`` alone. A position in the data is therefore one integer:
any number of loader workers gives the same order, a resumed run goes on where it was, and
processes that share a step see together what one process would have seen.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from gfla.errors import GflaError

Sample = dict[str, Tensor]


class Samples(Protocol):
    """Endless samples; pictures are uint8 C H W, everything else float32.

    A pair holds ``source`` and ``target`` (3 H W) with ``source_structure`` and
    ``target_structure`` (C H W, or C 1 1 for views). A block of a clip holds ``images``
    ((1 + T) 3 S S) and ``structures`` ((1 + T) C s s), and ``landmarks`` ((1 + T) 68 2) where there
    is a face; index 0 is the source.
    """

    def __getitem__(self, index: int, /) -> Sample:
        """The sample of an index from 0; the same one every time."""
        ...


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits ``count`` samples; every epoch has one of its own."""
    return np.random.default_rng([seed, epoch]).permutation(count)


@dataclass(frozen=True)
class Positions(Sampler[int]):
    """The indices that one process takes: of every step's ``world * batch``, its own ``batch``.

    Step s of process r takes start + s * batch * world + r * batch + 0, 1, ..., batch - 1.

    Attributes:
        batch: samples of a step in one process.
        start: position in the data where the first step begins, a count of samples.
        rank: of this process.
        world: number of processes.
    """

    batch: int
    start: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1 or self.start < 0 or not 0 <= self.rank < self.world:
            raise GflaError(
                "invalid_config",
                f"no positions for batch {self.batch} (at least 1), start {self.start} (at least "
                f"0), process {self.rank} of {self.world}",
            )

    def __iter__(self) -> Iterator[int]:
        # Processes take turns, a batch each; together they go through every index once.
        first = self.start + self.rank * self.batch
        while True:
            yield from range(first, first + self.batch)
            first += self.batch * self.world
