"""Stick figures: lines where the landmarks are, and nothing that a landmark could break."""

from __future__ import annotations

import numpy as np
import pytest

from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.stick_figure import DARK, PALE, draw_figure

FACE = (np.asarray(MEAN_FACE) * 200 + 150).astype(np.float32)


@pytest.mark.parametrize("ground", [DARK, PALE])
def test_lines_go_through_the_landmarks(ground: tuple[int, int, int]) -> None:
    picture = draw_figure(FACE, 300, 320, ground)
    assert picture.shape == (320, 300, 3) and picture.dtype == np.uint8
    drawn = (picture != ground).any(-1)
    inside = [(x, y) for x, y in FACE.round().astype(int) if 0 <= x < 300 and 0 <= y < 320]
    assert len(inside) == 68 and all(drawn[y, x] for x, y in inside)
    assert 0.005 < drawn.mean() < 0.1


def test_nobody_is_an_empty_picture() -> None:
    assert (draw_figure(None, 30, 20) == DARK).all()


def test_lines_do_not_hide_one_another() -> None:
    """Eyes that are open have ground between their lids."""
    picture = draw_figure(FACE, 300, 320)
    x, y = FACE[36:42].mean(0).round().astype(int)
    assert (picture[y, x] == DARK).all()


@pytest.mark.parametrize("far", [-1e6, 1e6, 3e38])
def test_landmarks_far_away_do_no_harm(far: float) -> None:
    points = FACE.copy()
    points[::3] = far
    assert draw_figure(points, 64, 64).shape == (64, 64, 3)


def test_another_number_of_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="68"):
        draw_figure(FACE[:5], 10, 10)
