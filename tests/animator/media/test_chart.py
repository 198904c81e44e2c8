"""Curves over time as a picture: they lie where their values are."""

from __future__ import annotations

import numpy as np
import pytest

from animator.media.chart import CUT, EMPTY, Curve, draw_curves

RED, BLUE = (200, 0, 0), (0, 0, 200)


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """x and y of the pixels of about a colour."""
    near = np.abs(picture.astype(int) - colour).max(-1) < 40
    return np.argwhere(near)[:, ::-1]


def test_a_rising_curve_rises() -> None:
    seconds = np.arange(50) / 25
    curve = Curve(np.linspace(-10, 10, 50), RED)
    picture = draw_curves(seconds, [curve], 600, 200, unit=" deg")
    assert picture.shape == (200, 600, 3)
    line = places(picture, RED)
    assert line[:, 0].min() < 75 and line[:, 0].max() > 570
    across = np.corrcoef(line[:, 0], line[:, 1])[0, 1]
    assert across < -0.99  # y counts from the top


def test_where_there_is_no_value_there_is_no_line_but_a_shade() -> None:
    seconds = np.arange(100) / 25
    values = np.zeros(100)
    values[40:60] = np.nan
    picture = draw_curves(seconds, [Curve(values, RED)], 600, 200)
    line, shade = places(picture, RED), np.argwhere((picture == EMPTY).all(-1))
    gap = line[:, 0][(line[:, 0] > 280) & (line[:, 0] < 370)]
    assert not len(gap) and len(shade) > 1000
    assert 270 < shade[:, 1].min() and shade[:, 1].max() < 390


def test_cuts_are_upright_lines() -> None:
    seconds = np.arange(100) / 25
    picture = draw_curves(seconds, [Curve(np.zeros(100), BLUE)], 600, 200, cuts=[2.0])
    line = places(picture, CUT)
    assert len(line) and np.ptp(line[:, 0]) <= 3


def test_an_axis_may_begin_at_zero() -> None:
    seconds, values = np.arange(10) / 5, np.full(10, 2.0)
    high = places(draw_curves(seconds, [Curve(values, RED)], 300, 200, from_zero=True), RED)
    middle = places(draw_curves(seconds, [Curve(values, RED)], 300, 200), RED)
    assert high[:, 1].mean() < middle[:, 1].mean() - 20


@pytest.mark.parametrize("count", [1, 2])
def test_few_frames_are_drawn_too(count: int) -> None:
    seconds = np.arange(count) / 25
    picture = draw_curves(seconds, [Curve(np.full(count, 3.0), RED)], 300, 120)
    assert len(places(picture, RED))


def test_nothing_at_all_is_drawn_as_empty() -> None:
    picture = draw_curves(np.arange(5.0), [Curve(np.full(5, np.nan), RED)], 300, 120)
    assert not len(places(picture, RED)) and (picture == EMPTY).all(-1).any()
