"""Means over samples, with intervals that respect that one person's samples are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gfla.errors import GflaError


@dataclass(frozen=True)
class Figure:
    """A figure of a table.

    Attributes:
        value: the mean over samples, or the ratio of two means.
        low: lower end of the confidence interval; None where there is none.
        high: upper end.
        samples: how many went in.
        identities: how many people they show.
    """

    value: float
    low: float | None
    high: float | None
    samples: int
    identities: int


def bootstrap(
    values: Sequence[float] | NDArray[np.floating],
    identities: Sequence[str],
    *,
    divisors: Sequence[float] | NDArray[np.floating] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Figure:
    """The mean of samples and its percentile bootstrap interval over identities.

    People, not samples, are drawn with replacement, each with all samples: the interval tells what
    other people would give.

    Args:
        values: N.
        identities: N, who is seen in each.
        divisors: N; with them the figure is the ratio of the two means.
        level: of confidence.
        resamples: how many draws.
        seed: of the draws.

    Raises:
        GflaError: ``too_few_samples`` without any.
    """
    # A plain mean is a ratio, too: of sums over ones.
    numbers = np.asarray(values, np.float64)
    below = np.ones_like(numbers) if divisors is None else np.asarray(divisors, np.float64)
    if not len(numbers):
        raise GflaError("too_few_samples", "there is nothing to take a mean of")
    # Sums over each person's samples, of which every draw takes whole people.
    names, places = np.unique(np.asarray(identities), return_inverse=True)
    people = len(names)
    top, bottom = (np.bincount(places, weights, people) for weights in (numbers, below))
    value = float(top.sum() / bottom.sum())
    low = high = None
    # How often each of them is drawn, all draws at once.
    if people > 1 and np.isfinite(numbers).all():
        drawn = np.random.default_rng(seed).multinomial(
            people, np.full(people, 1 / people), resamples
        )
        means = (drawn @ top) / (drawn @ bottom)
        low, high = (float(end) for end in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))
    return Figure(value, low, high, len(numbers), people)
