"""Similarities, missing faces, smoothing, the anchor, and the motion's way to the source."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.crop import Square, face_square
from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.geometry import Similarity, face_size, fit_similarity
from animator.faces.landmarks import Landmarks
from animator.faces.motion import (
    Motion,
    choose_anchor,
    fill_missing,
    keep_inside,
    retarget,
    smooth,
)

Array = NDArray[np.floating]
EYES = (((37, 38), (41, 40)), ((43, 44), (47, 46)))
INNER_LIPS = ((61, 62, 63), (67, 66, 65))


def face(
    x: float = 200.0, y: float = 200.0, side: float = 100.0, roll: float = 0.0
) -> NDArray[np.float64]:
    """The mean face at a place, in a size, leaning by radians."""
    pose = Similarity(np.asarray(side * np.exp(1j * roll)), np.asarray(complex(x, y)))
    return pose.apply(MEAN_FACE)


def with_eyes(points: Array, opening: float) -> Array:
    """The same upright face with its lids `opening` times as far apart."""
    points = points.copy()
    for upper, lower in EYES:
        middle = (points[list(upper)] + points[list(lower)]) / 2
        points[list(upper)] = middle + opening * (points[list(upper)] - middle)
        points[list(lower)] = middle + opening * (points[list(lower)] - middle)
    return points


def with_mouth(points: Array, gap: float) -> Array:
    """The same upright face with its lower lip `gap` pixels lower."""
    points = points.copy()
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += gap
    return points


def lid_gap(points: Array) -> Array:
    """Mean signed gap of all lids of upright faces, positive where open."""
    gaps = [points[..., list(lower), 1] - points[..., list(upper), 1] for upper, lower in EYES]
    return np.concatenate(gaps, -1).mean(-1)


def lip_gap(points: Array) -> Array:
    upper, lower = INNER_LIPS
    return points[..., list(lower), 1] - points[..., list(upper), 1]


def landmarks(points: Array, found: list[bool]) -> Landmarks:
    seen = np.array(found)
    points = np.where(seen[:, None, None], points, np.nan).astype(np.float32)
    boxes = np.concatenate([points.min(1), points.max(1)], -1)
    return Landmarks(points, boxes, seen.astype(np.float32))


# Similarities


def test_a_similarity_is_found_exactly() -> None:
    turn = Similarity(np.asarray(1.7 * np.exp(0.4j)), np.asarray(5 - 3j))
    points = np.random.default_rng(0).normal(size=(68, 2))
    fitted = fit_similarity(points, turn.apply(points))
    assert fitted.scale == pytest.approx(1.7)
    assert fitted.angle == pytest.approx(0.4)
    np.testing.assert_allclose(fitted.apply(points), turn.apply(points), atol=1e-12)


def test_weights_leave_points_out_and_leading_axes_broadcast() -> None:
    points = np.random.default_rng(1).normal(size=(3, 10, 2))
    target = points[0] * 2
    target[9] += 100
    weights = np.r_[np.ones(9), 0]
    fitted = fit_similarity(points[0], target, weights)
    assert fitted.scale == pytest.approx(2)
    assert fit_similarity(points, target).linear.shape == (3,)
    assert fit_similarity(target, points).linear.shape == (3,)


def test_a_face_shrunk_to_a_point_is_only_shifted() -> None:
    fitted = fit_similarity(np.full((68, 2), 7.0), face())
    assert fitted.linear == 1
    assert np.isfinite(fitted.offset)


# Squares


def test_face_square_is_that_of_the_training_data() -> None:
    points = np.zeros((68, 2))
    points[0], points[1] = (100, 100), (180, 200)
    points[2:] = (140, 150)
    assert face_square(points) == Square(140, 140, 175)
    assert face_square(points, 2.0).side == 200


def test_keep_inside_moves_only_what_leaves() -> None:
    square = Square(200, 200, 200)
    inside, left, low, huge = face(), face(x=90), face(y=300, x=310), face(x=350, side=400)
    moved = keep_inside(np.stack([inside, left, low, huge]), square, margin=0.0)
    np.testing.assert_allclose(moved[0], inside, rtol=1e-6)
    assert moved[1, :, 0].min() == pytest.approx(100, abs=1e-3)
    np.testing.assert_allclose(np.ptp(moved[1], 0), np.ptp(left, 0), rtol=1e-5)
    np.testing.assert_allclose(moved[2].max(0), [300, 300], atol=1e-3)
    np.testing.assert_allclose((moved[3].max(0) + moved[3].min(0)) / 2, [200, 200], atol=1e-3)


# Missing faces


@pytest.fixture
def gaps() -> Landmarks:
    """Seven frames of a face that moves by 10 px a frame; 0, 3, 4 and 6 do not show it."""
    points = np.stack([face(x=200 + 10 * frame) for frame in range(7)])
    return landmarks(points, [False, True, True, False, False, True, False])


def places(points: Array) -> list[float]:
    return [round(float(x), 3) for x in points.mean(1)[:, 0] - face(x=0).mean(0)[0]]


def test_hold_keeps_the_last_pose(gaps: Landmarks) -> None:
    filled = fill_missing(gaps, "hold")
    assert places(filled.points) == [210, 210, 220, 220, 220, 250, 250]
    assert filled.kept.tolist() == list(range(7))
    assert filled.missing == ((0, 0), (3, 4), (6, 6))
    assert filled.points.dtype == np.float32


def test_interpolate_moves_evenly_in_time(gaps: Landmarks) -> None:
    assert places(fill_missing(gaps, "interpolate").points) == [210, 210, 220, 230, 240, 250, 250]
    seconds = np.array([0, 1, 2, 2.3, 4, 5, 6])
    uneven = fill_missing(gaps, "interpolate", seconds).points
    assert places(uneven) == [210, 210, 220, 223, 240, 250, 250]


def test_skip_leaves_frames_out(gaps: Landmarks) -> None:
    filled = fill_missing(gaps, "skip")
    assert filled.kept.tolist() == [1, 2, 5]
    assert places(filled.points) == [210, 220, 250]


def test_fail_names_the_frames(gaps: Landmarks) -> None:
    with pytest.raises(AnimatorError) as error:
        fill_missing(gaps, "fail")
    assert error.value.code == "face_lost"
    assert error.value.message == "There is no face in frame 0, frames 3-4, frame 6."


@pytest.mark.parametrize("policy", ["hold", "interpolate", "skip", "fail"])
def test_whole_and_empty_videos(policy: str) -> None:
    whole = landmarks(np.stack([face()] * 2), [True, True])
    assert fill_missing(whole, policy).missing == ()  # type: ignore[arg-type]
    none = landmarks(np.stack([face()] * 2), [False, False])
    with pytest.raises(AnimatorError) as error:
        fill_missing(none, policy)  # type: ignore[arg-type]
    assert error.value.code == "no_face"


# Smoothing


def jitter(points: Array) -> float:
    return float(np.sqrt(points.var(0).sum(-1).mean()))


def noisy(points: Array, seed: int = 0) -> Array:
    """Noise as dlib's on a still face: 0.15 % of its width."""
    generator = np.random.default_rng(seed)
    return points + generator.normal(0, 0.0015 * face_size(points[0]), points.shape)


def test_a_still_face_jitters_less_than_half_as_much() -> None:
    still = noisy(np.stack([face()] * 90))
    assert jitter(smooth(still, np.arange(90) / 30, 0.5)) < jitter(still) / 2


def test_a_blink_keeps_its_depth() -> None:
    openings = np.ones(60)
    openings[30:34] = (0.5, 0.1, 0.2, 0.6)
    clean = np.stack([with_eyes(face(), opening) for opening in openings])
    smoothed = smooth(noisy(clean), np.arange(60) / 30, 0.5)
    before = lid_gap(clean)[31] - lid_gap(clean)[20]
    assert (lid_gap(smoothed)[30:34].min() - lid_gap(smoothed)[20]) / before > 0.85


def test_motion_does_not_lag() -> None:
    seconds = np.arange(120) / 30
    clean = np.stack([face(x=200 + 15 * np.sin(2 * np.pi * time), roll=0.1) for time in seconds])
    smoothed = smooth(clean, seconds, 0.5)
    waves = [points.mean(1)[:, 0] - 200 for points in (clean, smoothed.astype(np.float64))]
    lags = range(-3, 4)
    fits = [float((waves[0][10:-10] * np.roll(waves[1], -lag)[10:-10]).sum()) for lag in lags]
    assert lags[int(np.argmax(fits))] == 0
    assert np.abs(waves[1]).max() > 0.9 * np.abs(waves[0]).max()


def test_smoothing_depends_on_time_and_not_on_size() -> None:
    points = noisy(np.stack([face(x=200 + frame) for frame in range(40)]))
    seconds = np.arange(40) / 30
    base = smooth(points, seconds, 0.5)
    np.testing.assert_allclose(smooth(points * 4, seconds, 0.5), base * 4, rtol=1e-5)
    np.testing.assert_allclose(smooth(points, seconds + 100, 0.5), base, rtol=1e-6)
    assert jitter(smooth(points, seconds * 10, 0.5) - points) < jitter(base - points)


def test_strength_orders_the_result() -> None:
    still = noisy(np.stack([face()] * 60))
    seconds = np.arange(60) / 30
    values = [jitter(smooth(still, seconds, strength)) for strength in (0, 0.2, 0.5, 0.8, 1)]
    assert values == sorted(values, reverse=True)
    np.testing.assert_array_equal(smooth(still, seconds, 0), still.astype(np.float32))


def test_smoothing_of_odd_input() -> None:
    one = face()[None]
    np.testing.assert_allclose(smooth(one, np.zeros(1), 0.5), one, rtol=1e-6)
    same_time = smooth(np.stack([face(), face(x=210)]), np.zeros(2), 0.5)
    assert np.isfinite(same_time).all()
    points = np.stack([np.zeros((68, 2)), face()])
    assert np.isfinite(smooth(points, np.arange(2), 0.5)).all()
    with pytest.raises(ValueError, match="finite"):
        smooth(np.full((2, 68, 2), np.nan), np.arange(2), 0.5)
    with pytest.raises(ValueError, match="times"):
        smooth(points, np.arange(3), 0.5)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(AnimatorError) as error:
            smooth(points, np.arange(2), strength)
        assert error.value.code == "invalid_option"


# The anchor


def test_the_anchor_is_the_nearest_pose_wherever_it_stands() -> None:
    source = with_mouth(face(x=90, y=80, side=60), 12)
    driving = np.stack(
        [
            face(),
            with_mouth(face(), 8),
            with_mouth(face(x=300, y=100, side=120, roll=0.3), 0),
            with_mouth(face(x=250, side=120), 24),
            with_eyes(with_mouth(face(x=250, side=120), 24), 0.1),
        ]
    )
    assert choose_anchor(source, driving, "auto") == 3
    assert choose_anchor(source, driving, "first") == 0
    assert choose_anchor(with_eyes(source, 0.1), driving, "auto") == 4
    with pytest.raises(AnimatorError):
        choose_anchor(source, driving, "best")  # type: ignore[arg-type]


# Retargeting


@pytest.fixture
def source() -> Array:
    """Somebody with another face: longer, with larger eyes, leaning, smaller."""
    shape = with_eyes(face(0, 0, 1.0), 1.4) * np.array([0.9, 1.15])
    return Similarity(np.asarray(60 * np.exp(0.2j)), np.asarray(120 + 90j)).apply(shape)


def test_the_anchor_itself_gives_the_source(source: Array) -> None:
    driving = np.stack([face(), face(x=230)])
    np.testing.assert_allclose(
        retarget(source, driving, driving[0], "relative")[0], source, atol=1e-4
    )


def test_absolute_is_the_driving_face_in_the_sources_place(source: Array) -> None:
    driving = np.stack([face(), with_mouth(face(x=230, roll=0.2), 10)])
    moved = retarget(source, driving, driving[0], "absolute").astype(np.float64)
    lay = fit_similarity(driving[0], source)
    np.testing.assert_allclose(moved, lay.apply(driving), atol=1e-3)


def test_motion_is_scaled_and_turned_to_the_source(source: Array) -> None:
    driving = np.stack([face(), face(x=230, y=190)])
    lay = fit_similarity(driving[0], source)
    shift = lay.apply(np.array([[30.0, -10.0]])) - lay.apply(np.zeros((1, 2)))
    for mode in ("relative", "absolute"):
        moved = retarget(source, driving, driving[0], mode)  # type: ignore[arg-type]
        expected = np.broadcast_to(shift, (68, 2))
        np.testing.assert_allclose(moved[1] - moved[0], expected, atol=1e-3)


@pytest.mark.parametrize("eyes", [0.6, 1.0, 2.0])
def test_eyes_open_in_proportion(eyes: float) -> None:
    own = with_eyes(face(100, 100, 50), eyes)
    openings = (1.0, 0.5, 0.0, 1.3)
    driving = np.stack([with_eyes(face(), opening) for opening in openings])
    moved = retarget(own, driving, driving[0], "relative")
    np.testing.assert_allclose(lid_gap(moved), lid_gap(own) * np.array(openings), atol=5e-3)


def test_lids_never_cross() -> None:
    own = with_eyes(face(100, 100, 50), 0.1)
    driving = np.stack([with_eyes(face(), opening) for opening in (1.0, 0.0, 2.0)])
    moved = retarget(own, driving, driving[0], "relative")
    for upper, lower in EYES:
        assert (moved[:, list(lower), 1] - moved[:, list(upper), 1]).min() > -5e-3
    assert lid_gap(moved)[2] > lid_gap(own), "an eye closed in the picture can still open"
    closed_anchor = retarget(face(100, 100, 50), driving, driving[1], "relative")
    assert np.isfinite(closed_anchor).all()
    assert lid_gap(closed_anchor)[0] < 3.5 * lid_gap(face(100, 100, 50))


def test_lips_move_but_never_cross() -> None:
    own = with_mouth(face(100, 100, 50), 1)
    driving = np.stack([with_mouth(face(), gap) for gap in (12, 0, 24)])
    moved = retarget(own, driving, driving[0], "relative")
    gaps = lip_gap(moved)
    assert gaps.min() > -1e-4
    np.testing.assert_allclose(gaps[2] - gaps[0], 6, atol=0.2)
    thickness = moved[1, [55, 56, 57, 58, 59], 1] - moved[1, [65, 66, 66, 67, 67], 1]
    assert (thickness > 0).all(), "a lip moves back as a whole"


def test_retargeting_of_odd_input(source: Array) -> None:
    one = face()[None]
    with pytest.raises(ValueError, match="finite"):
        retarget(source, np.full((1, 68, 2), np.nan), one[0], "relative")
    with pytest.raises(ValueError, match="T x 68 x 2"):
        retarget(source, one[0], one[0], "relative")
    with pytest.raises(AnimatorError) as error:
        retarget(source, one, one[0], "both")  # type: ignore[arg-type]
    assert error.value.code == "invalid_option"
    flat = np.zeros((1, 68, 2))
    for mode in ("relative", "absolute"):
        assert np.isfinite(retarget(source, flat, flat[0], mode)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_source_that_moves_gets_in_each_frame_what_a_still_one_gets(mode: Motion) -> None:
    places = [(200, 200, 100, 0.0), (230, 190, 120, 0.2), (260, 210, 90, -0.3)]
    sources = np.stack([with_eyes(face(*place), 0.4 + n) for n, place in enumerate(places)])
    driving = noisy(np.stack([with_mouth(face(90, 80, 60, 0.1 * n), 3.0 * n) for n in range(3)]))
    anchor = face(88, 82, 61)
    together = retarget(sources, driving, anchor, mode)
    apart = [
        retarget(own, one[None], anchor, mode)[0] for own, one in zip(sources, driving, strict=True)
    ]
    assert together == pytest.approx(np.stack(apart), abs=1e-3)


def test_keep_inside_knows_a_square_for_each_frame() -> None:
    points = np.stack([face(100, 100), face(300, 100), face(300, 100)])
    squares = np.array([[100.0, 100, 300], [300, 100, 300], [100, 100, 300]])
    kept = keep_inside(points, squares)
    assert kept[:2] == pytest.approx(points[:2], abs=1e-4)
    assert kept[2] == pytest.approx(keep_inside(points[2:], Square(100, 100, 300))[0], abs=1e-4)
    assert np.abs(kept[2] - points[2]).max() > 50
