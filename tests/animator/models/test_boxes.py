from __future__ import annotations

import numpy as np
import pytest

from animator.models.boxes import anchors, detections, overlaps


def test_anchors_are_the_middles_of_cells() -> None:
    found = anchors(8, ((4, 1), (8, 2)))
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(found, expected)


def test_answers_of_one_thing_are_averaged() -> None:
    middles = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.1], [0.9, 0.9]])
    places = np.array(
        [[0, 0, 20, 20, 1, 2], [4, 0, 20, 20, 5, 2], [0, 0, 10, 10, 0, 0], [0, 0, 9, 9, 0, 0]]
    )
    found = detections(places, np.array([2.0, 2.0, 3.0, -3.0]), middles, 100, 0.5)
    assert [one.score for one in found] == pytest.approx([0.9526, 0.8808], abs=1e-4)
    np.testing.assert_allclose(found[0].box, [0.05, 0.05, 0.15, 0.15])
    np.testing.assert_allclose(found[1].box, [0.42, 0.4, 0.62, 0.6])
    np.testing.assert_allclose(found[1].points, [[0.53, 0.52]])
    assert detections(places, np.full(4, -1e4), middles, 100, 0.5) == []


def test_overlaps() -> None:
    box, boxes = np.array([0, 0, 2, 2]), np.array([[1, 0, 3, 2], [5, 5, 6, 6], [2, 2, 0, 0]])
    np.testing.assert_allclose(overlaps(box, boxes), [1 / 3, 0, 0])
