"""Blinks: natural in number and length, the same for the same inputs, and harmless to the rest."""

from __future__ import annotations

import numpy as np

from animator.faces.blinks import LEFT, blink_seed, close_eyes, closures
from animator.faces.motion import EYES, seen_from
from tests.synthetic_heads import person, seen

BLINKS = [25, 181]
"""Frames with which a blink begins, at 25 a second."""


def starts(closed: np.ndarray) -> np.ndarray:
    return np.flatnonzero((closed[1:] > 0) & (closed[:-1] == 0))


def test_people_blink_fifteen_to_twenty_times_a_minute() -> None:
    seconds = np.arange(0, 600, 1 / 60)
    for seed in range(5):
        closed = closures(seconds, seed)
        assert closed.min() == 0 and closed.max() <= 1
        begins = starts(closed) / 60
        assert 12 < len(begins) / 10 < 24
        pauses = np.diff(begins)
        # Uneven, and never as a machine gun.
        assert pauses.std() > 0.8 and pauses.min() > 0.3 and pauses.max() < 11
        shut = np.diff(np.flatnonzero(np.diff(np.r_[0, closed > 0, 0]) != 0))[::2] / 60
        assert 0.2 < np.median(shut) < 0.45
        # Lids fall faster than they rise.
        speed = np.diff(closed) * 60
        assert speed.max() > 1.5 * -speed.min()


def test_blinks_do_not_depend_on_the_frame_rate_and_are_the_same_again() -> None:
    slow, fast = np.arange(0, 30, 1 / 15), np.arange(0, 30, 1 / 60)
    assert np.allclose(closures(slow, 7), closures(fast, 7)[::4])
    assert not np.array_equal(closures(slow, 7), closures(slow, 8))
    assert np.array_equal(closures(slow + 4.0, 7).round(6), closures(slow, 7).round(6))


def test_the_seed_is_that_of_the_inputs() -> None:
    moved = np.arange(272, dtype=np.float32).reshape(2, 68, 2)
    lost = np.where(moved < 136, moved, np.float32(np.nan))
    one = blink_seed("a" * 64, moved)
    assert len({one, blink_seed("b" * 64, moved), blink_seed("a" * 64, lost)}) == 3
    # Whatever a number is missing as.
    assert blink_seed("a" * 64, lost) == blink_seed("a" * 64, np.where(moved < 136, moved, -lost))
    # As it was when results of this version were made.
    assert one == 14694875496241814260
    assert starts(closures(np.arange(0, 10, 1 / 25), one)).tolist() == BLINKS


def test_lids_close_and_nothing_else_moves() -> None:
    face = seen(person(4), np.array([[10.0, 5, 20]] * 5)).astype(np.float32)
    closed = np.array([0, 0.25, 0.5, 1, 0])
    result = close_eyes(face, closed)
    for corners, upper, lower in EYES:
        local, _, _ = seen_from(np.stack([face, result]), corners, [*upper, *lower])
        own, left = (local[..., 2:] - local[..., :2]).imag
        assert np.allclose(left / own, 1 - (1 - LEFT) * closed[:, None], atol=1e-3)
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    rest = np.setdiff1d(np.arange(68), lids)
    assert np.array_equal(result[:, rest], face[:, rest])
    assert np.array_equal(result[[0, 4]], face[[0, 4]])
    # The upper lid does nearly all of it.
    way = np.abs(result - face).sum(-1)[3]
    assert way[[37, 38, 43, 44]].min() > 3 * way[[40, 41, 46, 47]].max()


def test_of_few_frames() -> None:
    assert len(closures(np.array([]), 1)) == 0
    assert closures(np.array([0.0]), 1).tolist() == [0]
