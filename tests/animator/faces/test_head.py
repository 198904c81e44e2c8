"""Head and expression are told apart on heads of other shapes than the mean one."""

from __future__ import annotations

import numpy as np
import pytest

from animator.faces.detectors.mean_face import MIRRORED
from animator.faces.head import (
    blend_rotation,
    fit_pose,
    learn_head,
    limit_angles,
    rotation_of,
    rotation_vectors,
    split,
)
from animator.faces.mean_head import MEAN_HEAD
from tests.synthetic_heads import SCALE, expressions, matrix, person, seen, talk, waves

FRAMES = 120
NOISE = 0.5
PEOPLE = range(8)


def test_the_mean_head_is_a_head() -> None:
    """Symmetric, in its units, and as deep as anthropometry says."""
    assert np.allclose(MEAN_HEAD, MEAN_HEAD[MIRRORED] * [-1, 1, 1], atol=1e-3)
    assert np.allclose(MEAN_HEAD[[36, 45]], [[-1, 0, 0], [1, 0, 0]], atol=1e-3)
    # Half the outer canthal distance is about 45 mm; the nose tip is as far in front.
    assert -1.15 < MEAN_HEAD[30, 2] < -0.85
    # The outline begins in front of the tragion, which is 75 to 80 mm behind.
    assert 0.9 < MEAN_HEAD[16, 2] < 1.8


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_angles_are_found_within_two_degrees(axes: tuple[int, ...]) -> None:
    errors = []
    for who in PEOPLE:
        angles = waves(who, FRAMES, 30, axes)
        points = seen(person(who), angles, talk(who, FRAMES), noise=NOISE, seed=who)
        errors.append(np.abs(fit_pose(points, learn_head(points)).angles - angles))
    # A head that turns about one axis only shows less of its shape than one that moves freely.
    free = len(axes) > 1
    assert (np.mean(errors, (0, 1)) < (1.0 if free else 1.8)).all()
    if free:
        assert (np.percentile(errors, 95, axis=(0, 1)) < 2).all()
        assert (np.mean(errors, 1) < 2).all()


def test_one_picture_gives_the_angles_of_a_mean_head() -> None:
    for angles in ([25.0, 0, 0], [0, -20.0, 0], [-10.0, 10, 30]):
        pose = fit_pose(seen(MEAN_HEAD, np.array(angles), scale=41.0))
        assert np.allclose(pose.angles, angles, atol=1e-3)
        assert np.isclose(pose.scale, 41)


def test_a_turn_to_the_right_moves_the_nose_to_the_right_and_a_nod_down() -> None:
    right = fit_pose(seen(MEAN_HEAD, np.array([20.0, 0, 0])))
    down = fit_pose(seen(MEAN_HEAD, np.array([0.0, 20, 0])))
    assert np.allclose([right.angles, down.angles], [[20, 0, 0], [0, 20, 0]], atol=1e-3)
    # Where the nose points to; z is away from the camera.
    assert (right.rotation @ [0, 0, -1])[0] > 0.3
    assert (down.rotation @ [0, 0, -1])[1] > 0.3


def moved(points: np.ndarray) -> float:
    return float(np.sqrt(((points - points.mean(0)) ** 2).mean()))


def test_expressions_hardly_move_the_head() -> None:
    for who in PEOPLE:
        points = seen(person(who), np.zeros((FRAMES, 3)), talk(who, FRAMES))
        head = learn_head(points)
        pose, _ = split(points, head)
        assert moved(pose.show(head)) < 0.05 * moved(points)


def test_turns_hardly_move_the_face() -> None:
    for who in PEOPLE:
        points = seen(person(who), waves(who, FRAMES, 30))
        head = learn_head(points)
        _, look = split(points, head)
        assert SCALE * moved(look) < 0.05 * moved(points)


def test_an_expression_is_the_same_from_every_side() -> None:
    head, none = person(3), np.zeros(FRAMES)
    open_mouth = expressions(np.ones(FRAMES), none, none, none)
    angles = waves(3, FRAMES, 25)
    still, turned = seen(head, angles * 0, open_mouth), seen(head, angles, open_mouth)
    own = learn_head(seen(head, angles))
    (_, front), (_, sides) = split(still, own), split(turned, own)
    chin = front[:, 8, 1]
    # Only the flat part is kept; what comes towards the camera shows as little as it does.
    assert chin.mean() > 0.5
    assert np.abs(sides[:, 8, 1] - chin).max() < 0.2


def test_taking_apart_and_putting_together_changes_nothing() -> None:
    points = seen(person(5), waves(5, FRAMES, 80), talk(5, FRAMES), noise=3)
    head = learn_head(points)
    pose, look = split(points, head)
    assert np.abs(pose.show(head, look) - points).max() < 1e-9


def test_a_head_is_learned_from_what_is_seen() -> None:
    """Of one picture the mean depth, of a turning head its own."""
    deep = MEAN_HEAD * [1, 1, 1.3]
    once = learn_head(seen(deep, np.zeros((1, 3))))
    turning = learn_head(seen(deep, waves(1, FRAMES, 30)))

    def depth(head: np.ndarray) -> float:
        half = np.linalg.norm(head[45] - head[36]) / 2
        return float((head[36, 2] - head[30, 2]) / half)

    assert abs(depth(once) - 1.0) < 0.1
    assert abs(depth(turning) - 1.3) < 0.08


def test_rotations() -> None:
    angles = waves(0, 50, 60)
    turn = matrix(angles)
    assert np.allclose(rotation_of(rotation_vectors(turn)), turn, atol=1e-9)
    assert np.allclose(rotation_vectors(np.eye(3)), 0)
    half = blend_rotation(np.eye(3), turn, 0.5)
    assert np.allclose(half @ half, turn, atol=1e-9)
    assert np.array_equal(blend_rotation(turn, turn, 0.0), turn)


def test_limits_are_soft_and_only_where_they_are_needed() -> None:
    yaw = np.linspace(-80, 80, 161)
    asked = matrix(np.stack([yaw, 0 * yaw + 5, 0 * yaw - 8], -1))
    turned = limit_angles(asked, np.eye(3), 27, 6)
    got = np.degrees(np.arcsin(turned[:, 2, 0]))
    inside = np.abs(yaw) <= 27
    assert np.array_equal(turned[inside], asked[inside])
    assert np.abs(got).max() < 33.01 and (np.diff(got) >= 0).all()
    assert np.abs(np.diff(got, 2)).max() < 0.3  # no kink
    # A portrait that stands further to the side stays as it is.
    own = matrix(np.array([45.0, 0, 0]))
    assert np.array_equal(limit_angles(own[None], own, 27, 6)[0], own)


def test_points_that_are_no_face_give_numbers() -> None:
    for points in (np.zeros((2, 68, 2)), np.ones((2, 68, 2)) * np.arange(68)[:, None]):
        pose, look = split(points, learn_head(points))
        assert np.isfinite(pose.rotation).all() and np.isfinite(look).all()
        assert np.isfinite(pose.show(MEAN_HEAD, look)).all()
