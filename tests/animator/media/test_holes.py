"""Stretches that are taken out of sound."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from animator.media.holes import Holes

RATE = 1000  # so that a sample is a millisecond, and a fade four of them
SPANS = [(Fraction(1, 10), Fraction(3, 10)), (Fraction(4, 10), Fraction(5, 10))]


def cut(samples: np.ndarray, spans: list[tuple[Fraction, Fraction]], step: int) -> np.ndarray:
    """The samples in packets of `step`, each piece put where it is to lie, NaN elsewhere."""
    holes = Holes(spans, RATE)
    line = np.full((1, samples.shape[1]), np.nan, np.float32)
    for first in range(0, samples.shape[1], step):
        for piece, place in holes.pieces(samples[:, first : first + step], first):
            assert np.isnan(line[:, place : place + piece.shape[1]]).all()
            line[:, place : place + piece.shape[1]] = piece
    return line


@pytest.mark.parametrize("step", [1, 7, 64, 150, 1000])
def test_what_follows_a_hole_moves_up(step: int) -> None:
    line = cut(np.arange(1000, dtype=np.float32)[None], SPANS, step)[0]
    wanted = np.r_[0:100, 300:400, 500:1000].astype(np.float32)
    assert np.isnan(line[700:]).all()
    far = np.ones(700, bool)
    far[96:104] = far[196:204] = False
    np.testing.assert_array_equal(line[:700][far], wanted[far])
    np.testing.assert_array_equal(line, cut(np.arange(1000, dtype=np.float32)[None], SPANS, 1)[0])


def test_both_sides_of_a_joint_fade() -> None:
    line = cut(np.ones((1, 1000), np.float32), SPANS, 64)[0]
    gains = [1, 0.875, 0.625, 0.375, 0.125, 0.125, 0.375, 0.625, 0.875, 1]
    np.testing.assert_allclose(line[95:105], gains)
    np.testing.assert_allclose(line[195:205], gains)


def test_many_holes_do_not_add_up_their_rounding() -> None:
    frame = Fraction(1001, 30000)
    spans = [(2 * n * frame, (2 * n + 1) * frame) for n in range(3000)]
    holes = Holes(spans, 44100)
    places = [holes.place(round(end * 44100)) for _, end in spans]
    assert all(abs(place - n * frame * 44100) <= 2 for n, place in enumerate(places))
    assert all(early < late for early, late in pairwise(places))


def test_a_time_within_a_hole_is_where_it_ends() -> None:
    holes = Holes(SPANS, RATE)
    assert [holes.place(n) for n in (99, 100, 200, 299, 300, 399, 450, 500)] == [
        *(99, 100, 100, 100, 100, 199, 200, 200),
    ]
    assert holes.seconds_after(Fraction(6, 10), RATE) == Fraction(3, 10)
