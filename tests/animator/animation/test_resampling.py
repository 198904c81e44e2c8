"""Results at other rates: every moment shows what the driving video's times say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from animator.animation.resampling import duration, resample, result_times, shortest
from animator.animation.result_time import ResultTime

UNEVEN = [0, 400, 900, 1000, 2800, 2900, 4000]


def time_of(pts: list[int], base: Fraction, rate: Fraction | None = None) -> ResultTime:
    return ResultTime(pts, rate, (None, None), (), base)


def moving(time: ResultTime) -> np.ndarray:
    """T 68 2: landmarks that say the time in seconds."""
    seconds = np.array([float(pts * time.time_base) for pts in time.pts], np.float32)
    return np.broadcast_to(seconds[:, None, None], (len(seconds), 68, 2)).copy()


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24000, 1001), Fraction(60), Fraction(240)])
def test_landmarks_are_those_of_the_moment(rate: Fraction) -> None:
    time = time_of(UNEVEN, Fraction(1, 1000), Fraction(2))
    targets, kept = resample(moving(time), np.arange(7), time, rate, ())
    made = result_times(time, rate)
    assert len(targets) == len(kept) == len(made.pts) == round(Fraction(9, 2) * rate)
    for number, (target, frame) in enumerate(zip(targets, kept.tolist(), strict=True)):
        moment = number / rate
        assert made.pts[number] * made.time_base == moment
        # After the last driving frame has begun, it holds.
        assert target == pytest.approx(min(float(moment), 4.0), abs=1e-5)
        assert UNEVEN[frame] <= moment * 1000
        assert frame == 6 or moment * 1000 < UNEVEN[frame + 1]


def test_the_rate_that_it_has_changes_nothing() -> None:
    rate = Fraction(30000, 1001)
    time = time_of([1001 * n for n in range(50)], Fraction(1, 30000), rate)
    targets = np.random.default_rng(0).random((50, 68, 2), np.float32)
    made, kept = resample(targets, np.arange(50), time, rate, ())
    assert np.array_equal(made, targets)
    assert kept.tolist() == list(range(50))


@pytest.mark.parametrize(
    ("kept", "cuts"), [([0, 1, 2, 3], (2,)), ([0, 1, 5, 6], ())], ids=["cut", "left out"]
)
def test_nothing_is_between_shots(kept: list[int], cuts: tuple[int, ...]) -> None:
    time = time_of([0, 1, 2, 3], Fraction(1), Fraction(1))
    targets, shown = resample(moving(time), np.array(kept), time, Fraction(4), cuts)
    values = targets[:, 0, 0].tolist()
    assert values[4:8] == [1, 1, 1, 1]  # held up to the new shot
    assert values[:4] == [0, 0.25, 0.5, 0.75] and values[8:12] == [2, 2.25, 2.5, 2.75]
    assert shown.tolist() == [frame for frame in kept for _ in range(4)]


def test_it_lasts_as_long() -> None:
    time = time_of(UNEVEN, Fraction(1, 1000), Fraction(2))
    assert duration(time) == Fraction(9, 2)
    assert shortest(time) == Fraction(1, 10)
    for rate in (Fraction(1), Fraction(25), Fraction(60000, 1001)):
        made = result_times(time, rate)
        assert abs(duration(made) - duration(time)) <= 1 / (2 * rate)


def test_one_frame_stays_one_frame() -> None:
    time = time_of([0], Fraction(1, 25), Fraction(25))
    targets, kept = resample(moving(time), np.array([3]), time, Fraction(1), ())
    assert len(targets) == 1 and kept.tolist() == [3]
    assert shortest(time) == Fraction(1, 25)
