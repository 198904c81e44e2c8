"""Landmarks on a grid and in few bytes: nothing but the rounding changes them."""

from __future__ import annotations

import lzma

import numpy as np
import pytest
from numpy.typing import NDArray

from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.landmarks import Landmarks
from animator.faces.packing import (
    FINENESS,
    XzStream,
    pack_bytes,
    pack_points,
    settle,
    unpack_points,
)

SIZE = 180.0  # pixels of the face


def shaken(frames: int, seed: int = 0, size: float = SIZE) -> NDArray[np.float32]:
    """A head that sways, as a detector sees it: with noise of 0.15 % of the face."""
    random = np.random.default_rng(seed)
    sway = np.cumsum(random.normal(0, 0.004 * size, (frames, 1, 2)), 0)
    noise = random.normal(0, 0.0015 * size, (frames, 68, 2))
    return (MEAN_FACE * size + 2 * size + sway + noise).astype(np.float32)


def landmarks(points: NDArray[np.float32]) -> Landmarks:
    whole = np.isfinite(points).all((1, 2))
    boxes = np.where(whole[:, None], [0, 0, 1, 1], np.nan).astype(np.float32)
    return Landmarks(points, boxes, whole.astype(np.float32))


@pytest.mark.parametrize("size", [3.0, 40.0, 180.0, 1500.0])
def test_rounding_is_finer_than_a_4000th_of_the_face(size: float) -> None:
    points = shaken(50, size=size)
    points[7] = np.nan
    before = landmarks(points)
    after = settle(before)
    seen = points[before.found]
    extent = np.median((seen.max(1) - seen.min(1)).max(-1))
    away = np.nanmax(np.abs(after.points - points))
    # Half a step; very small faces have the finest grid there is.
    assert 0 < away <= max(extent / FINENESS, 1 / 1024) / 2
    assert (after.found == before.found).all() and np.isnan(after.points[7]).all()
    assert after.boxes is before.boxes and after.points.dtype == np.float32


def test_landmarks_without_a_face_stay_as_they_are() -> None:
    empty = landmarks(np.full((3, 68, 2), np.nan, np.float32))
    assert settle(empty) is empty


@pytest.mark.parametrize("frames", [1, 2, 300, 4097])
def test_what_is_packed_comes_back_bit_for_bit(frames: int) -> None:
    points = settle(landmarks(shaken(frames))).points
    content, power, planes = pack_points(points)
    assert unpack_points(content, frames, power, planes).tobytes() == points.tobytes()
    assert pack_points(points)[0] == content


def test_none_is_packed_too() -> None:
    content, power, planes = pack_points(np.empty((0, 68, 2), np.float32))
    assert unpack_points(content, 0, power, planes).shape == (0, 68, 2)


def test_points_beyond_the_picture_and_jumps_of_the_face_are_packed() -> None:
    points = settle(landmarks(shaken(20))).points
    points[10:] -= 5000
    content, power, planes = pack_points(points)
    assert (unpack_points(content, 20, power, planes) == points).all()


def test_points_on_no_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="grid"):
        pack_points(shaken(3))


def test_a_minute_is_small() -> None:
    content, _, _ = pack_points(settle(landmarks(shaken(1800))).points)
    assert len(content) < 250_000


def test_damage_is_an_error_and_never_other_points() -> None:
    points = settle(landmarks(shaken(40))).points
    content, power, planes = pack_points(points)
    random = np.random.default_rng(1)
    for cut in random.integers(0, len(content), 40).tolist():
        with pytest.raises(ValueError):
            unpack_points(content[:cut], 40, power, planes)
    for place in random.integers(0, len(content), 150).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        with pytest.raises(ValueError):
            unpack_points(bytes(damaged), 40, power, planes)


@pytest.mark.parametrize("frames", [39, 41, 10**6])
def test_another_number_of_frames_is_an_error(frames: int) -> None:
    content, power, planes = pack_points(settle(landmarks(shaken(40))).points)
    with pytest.raises(ValueError, match="stream"):
        unpack_points(content, frames, power, planes)


def test_points_outside_of_any_picture_are_an_error() -> None:
    # One step of the mean that is as long as can be said.
    steps = np.zeros((4, 138, 1), np.uint8)
    steps[:, :2] = 255
    content = lzma.compress(steps.tobytes())
    with pytest.raises(ValueError, match="outside"):
        unpack_points(content, 1, 0, 4)


def test_a_stream_that_unfolds_to_much_is_read_as_far_as_it_is_asked_for() -> None:
    bomb = lzma.compress(bytes(8 << 20))
    assert len(bomb) < 5_000
    stream = XzStream(bomb)
    assert stream.read(10) == bytes(10)
    with pytest.raises(ValueError, match="too long"):
        stream.end()


def test_a_stream_that_wants_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}]
    greedy = lzma.compress(bytes(100), lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(ValueError, match="damaged"):
        XzStream(greedy).read(100)


def test_bytes_come_back_in_pieces() -> None:
    stream = XzStream(pack_bytes(b"one two"))
    assert (stream.read(3), stream.read(4)) == (b"one", b" two")
    stream.end()
