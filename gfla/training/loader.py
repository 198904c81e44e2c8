"""Batches from samples: replaced where they are broken, in an order that can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from gfla.data.samples import Positions, Sample, Samples
from gfla.errors import GflaError

TRIES = 20
"""Samples in a row that may fail before a run gives up at once."""
MOST_FAILURES = 20
"""Failures that are never too many; beyond them a share counts."""
MOST_SHARE = 0.01
"""Of failures among all samples, beyond which a run is meaningless."""
_EXPECTED = (GflaError, OSError, ValueError, LookupError, RuntimeError, cv2.error)
"""What broken data raises; anything else is a fault of the program."""


@dataclass(frozen=True)
class Failure:
    """A sample that could not be used; the next one that works took its place."""

    index: int
    reason: str


@dataclass(frozen=True)
class Loaded:
    """A batch.

    Attributes:
        tensors: by name, with a batch dimension; None if too many samples in a row failed.
        failures: of the samples that were asked for.
    """

    tensors: dict[str, Tensor] | None
    failures: list[Failure]

    def pin_memory(self) -> Loaded:
        """The same in memory that a GPU can fetch from; the loader calls it."""
        pinned = {name: value.pin_memory() for name, value in (self.tensors or {}).items()}
        return Loaded(pinned if self.tensors is not None else None, self.failures)


class Sturdy(Dataset[tuple[Sample | None, list[Failure]]]):
    """Samples that never fail: a broken one is replaced by the next, and reported."""

    def __init__(self, samples: Samples) -> None:
        """Wrap what may fail."""
        self._samples = samples

    def __getitem__(self, index: int) -> tuple[Sample | None, list[Failure]]:
        """The sample, or the first one after it that works; None after ``TRIES`` of them."""
        failures = []
        # The next index in place of a broken one: no randomness, so a resumed run replaces alike.
        for place in range(index, index + TRIES):
            try:
                sample = self._samples[place]
                _check_finite(sample)
            except _EXPECTED as error:
                failures.append(Failure(place, f"{type(error).__name__}: {error}"))
                continue
            return sample, failures
        return None, failures


def make_loader(
    samples: Samples, positions: Positions, workers: int, prefetch: int, pin_memory: bool
) -> Iterable[Loaded]:
    """Endless batches of the samples at these positions.

    Args:
        samples: see ``gfla.data.samples``.
        positions: which of them, in batches.
        workers: processes that load ahead; the order of batches does not depend on it.
        prefetch: batches that each keeps ready.
        pin_memory: for the way to a GPU.
    """
    if workers:
        # Here, not in the workers: a forked process has none of OpenCV's threads and would wait for
        # them for ever, also while it changes their number.
        cv2.setNumThreads(1)
    return DataLoader(
        Sturdy(samples),
        batch_size=positions.batch,
        sampler=positions,
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        collate_fn=_collate,
        worker_init_fn=_begin_worker if workers else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # of seeds that nothing uses, so that the run's stays as it is
    )


def check_failures(failed: int, seen: int, latest: str) -> None:
    """Stop a run whose data is broken rather than flawed.

    Args:
        failed: samples that failed since its begin.
        seen: samples that were used.
        latest: the last failure's reason.

    Raises:
        GflaError: ``broken_data``.
    """
    # A few are allowed at any time: the first sample of a run may well be a broken one.
    if failed >= MOST_FAILURES and failed > MOST_SHARE * seen:
        raise GflaError(
            "broken_data",
            f"{failed} of {failed + seen} samples could not be used, more than "
            f"{MOST_SHARE:.0%}; the latest: {latest}",
        )


def _check_finite(sample: Sample) -> None:
    for name, value in sample.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity")


def _collate(items: list[tuple[Sample | None, list[Failure]]]) -> Loaded:
    failures = [failure for _, failed in items for failure in failed]
    samples = [sample for sample, _ in items]
    whole = all(sample is not None for sample in samples)
    return Loaded(default_collate(samples) if whole else None, failures)


def _begin_worker(worker: int) -> None:
    # Ctrl-C and SIGTERM reach the whole process group; what ends is the main process's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
