"""Measures of how a head is held and what is open, on faces that are turned by known angles."""

from __future__ import annotations

import numpy as np
import pytest

from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.measures import head_angles, head_lean, relative_openings

FACE = np.asarray(MEAN_FACE, np.float64) * 200 + 300


def turned(degrees: float) -> np.ndarray:
    values = (FACE - 300) @ np.array([1, 1j])
    values = values * np.exp(1j * np.radians(degrees))
    return np.stack([values.real, values.imag], -1) + 300


@pytest.mark.parametrize("degrees", [-40, -5, 0, 20, 60])
def test_roll_is_the_angle_by_which_a_face_leans(degrees: float) -> None:
    roll, pitch, yaw = head_angles(turned(degrees))
    assert roll == pytest.approx(degrees, abs=0.01) == pytest.approx(head_lean(turned(degrees)))
    # A lean is no nod and no turn.
    upright = head_angles(FACE)
    assert (pitch, yaw) == (
        pytest.approx(upright[1], abs=0.01),
        pytest.approx(upright[2], abs=0.01),
    )


def test_a_nose_that_moves_turns_and_lifts_the_head() -> None:
    roll, pitch, yaw = head_angles(FACE)
    assert abs(pitch) < 0.01 and abs(roll) < 0.01 and abs(yaw) < 5
    moved = FACE.copy()
    moved[27:36] += (12, -12)
    after = head_angles(moved)
    assert after[1] > pitch + 5 and after[2] > yaw + 5


def test_angles_of_many_frames_are_those_of_each() -> None:
    frames = np.stack([turned(-10), FACE, turned(30)])
    assert np.allclose(head_angles(frames), [head_angles(frame) for frame in frames])
    assert relative_openings(frames).shape == (3, 3)


def test_closed_eyes_and_lips_have_no_opening() -> None:
    shut = FACE.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)):
        shut[upper] = shut[lower]
    assert np.allclose(relative_openings(shut), 0)
    assert (relative_openings(FACE)[:2] > 0.15).all()
