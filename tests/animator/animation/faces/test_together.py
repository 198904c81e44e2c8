"""Videos of different lengths and rates in one result: each shows what its own times say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from animator.animation.faces.together import along, lasting, lead_of
from animator.animation.resampling import duration, moments_of
from animator.animation.result_time import ResultTime

LEAD = ResultTime([1001 * n for n in range(90)], Fraction(30000, 1001), (None, None), (),
                  Fraction(1, 30000), None)  # fmt: skip
SHORT = ResultTime(list(range(25)), Fraction(25), (None, None), (), Fraction(1, 25), None)


def moving(time: ResultTime) -> np.ndarray:
    """T 68 2: landmarks that say the time in seconds."""
    seconds = np.array([float(moment) for moment in moments_of(time)], np.float32)
    return np.broadcast_to(seconds[:, None, None], (len(seconds), 68, 2)).copy()


def test_the_longest_leads_and_of_equals_the_first() -> None:
    assert lead_of([SHORT, LEAD, SHORT]) == 1
    assert lead_of([SHORT, SHORT]) == 0


@pytest.mark.parametrize("ending", ["hold", "loop", "stop"])
def test_a_shorter_one_goes_by_time(ending: str) -> None:
    moments = moments_of(LEAD)[: lasting(LEAD, [SHORT], ending)]
    points, shown = along(moving(SHORT), np.arange(25), SHORT, moments, ending)
    assert len(points) == len(shown) == (30 if ending == "stop" else 90)
    for moment, point, frame in zip(moments, points, shown.tolist(), strict=True):
        own = moment % 1 if ending == "loop" else min(moment, Fraction(24, 25))
        assert frame == min(int(own * 25), 24)
        assert point == pytest.approx(min(float(own), 0.96), abs=1e-6)


def test_looping_has_nothing_between_the_last_frame_and_the_first() -> None:
    moments = [Fraction(n, 100) for n in range(300)]
    points, _ = along(moving(SHORT), np.arange(25), SHORT, moments, "loop")
    values = points[:, 0, 0]
    assert values[97:100].tolist() == [values[96]] * 3 and values[100] == values[200] == 0
    assert np.array_equal(values[:100], values[100:200])


def test_own_moments_give_the_own_landmarks_to_the_last_bit() -> None:
    points = np.random.default_rng(1).random((90, 68, 2), np.float32)
    for ending in ("hold", "loop", "stop"):
        made, shown = along(points, np.arange(90), LEAD, moments_of(LEAD), ending)
        assert np.array_equal(made, points) and shown.tolist() == list(range(90))


def test_nothing_is_between_shots() -> None:
    moments = [Fraction(n, 100) for n in range(48, 56)]
    points, _ = along(moving(SHORT), np.arange(25), SHORT, moments, "hold", (13,))
    assert points[:5, 0, 0].tolist() == [np.float32(0.48)] * 4 + [np.float32(0.52)]


def test_stopping_ends_with_the_first_that_ends() -> None:
    third = ResultTime([0, 1], Fraction(10), (None, None), (), Fraction(1, 10), None)
    frames = lasting(LEAD, [SHORT, third], "stop")
    assert moments_of(LEAD)[frames - 1] < duration(third) <= moments_of(LEAD)[frames]
    assert lasting(LEAD, [], "stop") == lasting(LEAD, [SHORT], "hold") == 90
    blink = ResultTime([0], Fraction(100000), (None, None), (), Fraction(1, 100000), None)
    assert lasting(LEAD, [blink], "stop") == 1
