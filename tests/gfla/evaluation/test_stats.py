from __future__ import annotations

import numpy as np
import pytest

from gfla.errors import GflaError
from gfla.evaluation.stats import bootstrap


def test_intervals_are_over_people():
    # Ten samples of each of two people: what varies is the person alone.
    values, people = [0.0] * 10 + [1.0] * 10, ["a"] * 10 + ["b"] * 10
    found = bootstrap(values, people, resamples=500)
    assert found.value == 0.5
    assert (found.low, found.high) == (0, 1)
    assert (found.samples, found.identities) == (20, 2)
    assert bootstrap(values, people, resamples=500) == found
    each = bootstrap(values, [str(n) for n in range(20)], resamples=500)
    assert each.low is not None and each.low > 0.2


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = random.normal(size=40)
        found = bootstrap(values, [str(n) for n in range(40)], seed=trial, resamples=300)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_ratios_are_of_means():
    found = bootstrap([2.0, 4.0], ["a", "b"], divisors=[1.0, 5.0])
    assert found.value == 1
    assert bootstrap([3.0], ["a"]).low is None
    with pytest.raises(GflaError, match="nothing"):
        bootstrap([], [])
