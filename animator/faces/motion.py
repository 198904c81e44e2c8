"""Target landmarks of the animated portrait, made of those of the driving video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.crop import Square
from animator.faces.geometry import face_size, fit_similarity, to_complex, to_points
from animator.faces.landmarks import POINTS, Landmarks
from animator.faces.smoothing import smooth
from gfla.arrays import Points

__all__ = [
    "EYES",
    "Eye",
    "FilledLandmarks",
    "carry_lids",
    "choose_anchor",
    "fill_missing",
    "keep_inside",
    "openings",
    "part_lips",
    "retarget",
    "seen_from",
    "smooth",
]

MissingFacePolicy = Literal["hold", "interpolate", "skip", "fail"]
Motion = Literal["relative", "absolute"]
Anchor = Literal["first", "auto"]

Eye = tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]
"""Its corners, the points of its upper lid, and those of the lower one below them."""

EYES: tuple[Eye, Eye] = (
    ((36, 39), (37, 38), (41, 40)),
    ((42, 45), (43, 44), (47, 46)),
)
_INNER_LIPS = ((60, 64), (61, 62, 63), (67, 66, 65))
"""Likewise."""
_OUTER_LIPS = ((50, 51, 52), (58, 57, 56))
"""The outer lip points above and below those of the inner lips."""


def keep_inside(
    points: Points, square: Square | NDArray[np.float64], margin: float = 0.02
) -> NDArray[np.float32]:
    """Shift the frames whose face would leave the crop, each by as little as it takes.

    Args:
        points: T x 68 x 2 pixels.
        square: the crop, or T of them as T x 3.
        margin: the border to keep free, in units of its side. A face larger than what is left is
            centred.

    Returns:
        float32 T x 68 x 2.
    """
    _check_points(points)
    place = np.asarray(square, np.float64)
    half, centre = place[..., 2:] * (0.5 - margin), place[..., :2]
    low, high = points.min(1) - centre, points.max(1) - centre
    shift = np.maximum(-half - low, 0) - np.maximum(high - half, 0)
    too_large = high - low > 2 * half
    shift = np.where(too_large, -(low + high) / 2, shift)
    return (points + shift[:, None]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FilledLandmarks:
    """Landmarks without gaps.

    Attributes:
        points: float32 T' x 68 x 2 pixels, all finite.
        kept: int T', the driving frame of each row; all frames unless the policy was "skip".
        missing: first and last frame of each run of frames that had no face.
    """

    points: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]


def fill_missing(
    landmarks: Landmarks, policy: MissingFacePolicy, seconds: NDArray[np.floating] | None = None
) -> FilledLandmarks:
    """Decide what happens to driving frames that show no face.

    Args:
        landmarks: of T driving frames.
        policy: "hold" keeps the last pose (before the first face: the first pose), "interpolate"
            moves evenly from the last pose to the next one and holds at both ends, "skip" leaves
            the frames out, "fail" refuses.
        seconds: T, the times of the frames, for "interpolate"; evenly spaced when None.

    Raises:
        AnimatorError: no_face if no frame has a face, face_lost if one has none under "fail",
            invalid_option for another policy.
    """
    if policy not in ("hold", "interpolate", "skip", "fail"):
        raise AnimatorError(
            "invalid_option",
            f"missing_face is {policy!r}; allowed is hold, interpolate, skip or fail.",
        )
    # Which frames have a face, and the runs of those that have none.
    found = np.flatnonzero(landmarks.found)
    missing = _runs(np.flatnonzero(~landmarks.found))
    if not len(found):
        raise AnimatorError("no_face", "No face was found in any frame of the driving video.")
    if missing and policy == "fail":
        raise AnimatorError("face_lost", f"There is no face in {_name_runs(missing)}.")
    points = landmarks.points
    frames = np.arange(len(points))
    if policy == "skip":
        return FilledLandmarks(points[found], found, missing)
    # The rows of `found` before (or at) and after (or at) each frame, at the ends the same one.
    before = np.clip(np.searchsorted(found, frames, "right") - 1, 0, len(found) - 1)
    if policy != "interpolate":
        return FilledLandmarks(points[found[before]], frames, missing)
    after = np.clip(np.searchsorted(found, frames, "left"), 0, len(found) - 1)
    # How far each frame is, in time, from the face before to the face after: 0 to 1.
    times = frames if seconds is None else np.asarray(seconds, np.float64)
    start, end = times[found[before]], times[found[after]]
    share = np.where(end > start, (times - start) / np.where(end > start, end - start, 1), 0)
    share = share[:, None, None].astype(np.float32)
    filled = (1 - share) * points[found[before]] + share * points[found[after]]
    return FilledLandmarks(filled.astype(np.float32), frames, missing)


def _runs(frames: NDArray[np.intp]) -> tuple[tuple[int, int], ...]:
    """First and last of each run of successive numbers."""
    if not len(frames):
        return ()
    pieces = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return tuple((int(piece[0]), int(piece[-1])) for piece in pieces)


def _name_runs(runs: tuple[tuple[int, int], ...], most: int = 5) -> str:
    names = [f"frame {a}" if a == b else f"frames {a}-{b}" for a, b in runs[:most]]
    return ", ".join(names) + (f" and {len(runs) - most} more runs" if len(runs) > most else "")


def choose_anchor(source_points: Points, driving_points: Points, mode: Anchor) -> int:
    """The driving frame that counts as the source's own pose and expression.

    "first" is frame 0. "auto" is the frame whose face is nearest to the source's: laid on it by a
    similarity (so that place, size and lean do not count), by the mean squared distance of the
    landmarks and by how far the eyes and the mouth are open, in units of the face.

    Args:
        source_points: 68 x 2.
        driving_points: T x 68 x 2, T >= 1.
        mode: "first" or "auto".

    Raises:
        AnimatorError: invalid_option for another mode.
    """
    _check_points(driving_points)
    if mode == "first":
        return 0
    if mode != "auto":
        raise AnimatorError("invalid_option", f"anchor is {mode!r}; allowed is first or auto.")
    # Distances in pixels, squared, of faces laid on one another.
    size = face_size(source_points)
    laid = fit_similarity(driving_points, source_points).apply(driving_points)
    shape = ((laid - source_points) ** 2).sum(-1).mean(-1)
    opening = ((openings(laid) - openings(source_points)) ** 2).sum(-1)
    return int(np.argmin((shape + opening) / size**2))


def openings(points: Points) -> NDArray[np.floating]:
    """Mean gap of the lids of each eye and of the inner lips in pixels: ... x 3."""
    values = to_complex(points)
    gaps = [
        np.abs(values[..., list(upper)] - values[..., list(lower)]).mean(-1)
        for _, upper, lower in (*EYES, _INNER_LIPS)
    ]
    return np.stack(gaps, -1)


def _check_points(points: Points) -> None:
    if points.ndim != 3 or points.shape[1:] != (POINTS, 2) or not len(points):
        raise ValueError(f"expected T x {POINTS} x 2 landmarks with T >= 1, got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("landmarks must be finite; call fill_missing first")


def retarget(
    source_points: Points, driving_points: Points, anchor_points: Points, mode: Motion
) -> NDArray[np.float32]:
    """The source's landmarks in each driving frame.

    Let S be the similarity that lays the anchor face on the source's face. "absolute" gives
    S(driving): the driving person's own face in the source's place. "relative" gives
    source + S(driving) - S(anchor): the source's own face, moved. There the lids and the inner
    lips are treated apart: an eye opens in proportion to the driving eye, so that it closes
    exactly when the driving eye does, whatever their shapes; lips move by the same distance, but
    never through each other.

    Args:
        source_points: 68 x 2 pixels of the source picture; T x 68 x 2 of one that moves by itself.
        driving_points: T x 68 x 2 pixels of the driving video.
        anchor_points: 68 x 2, the driving face that counts as the source's own pose, or of each
            frame T x 68 x 2.
        mode: "relative" or "absolute".

    Returns:
        float32 T x 68 x 2, pixels of the source picture.

    Raises:
        AnimatorError: invalid_option for another mode.
    """
    _check_points(driving_points)
    for points in (source_points, anchor_points):
        _check_points(points if points.ndim == 3 else points[None])
    if mode not in ("relative", "absolute"):
        raise AnimatorError(
            "invalid_option", f"motion is {mode!r}; allowed is relative or absolute."
        )
    # S, and the driving face as it lies on the source's.
    lay = fit_similarity(anchor_points, source_points)
    laid = lay.apply(driving_points)
    if mode == "absolute":
        return laid.astype(np.float32)
    # The source's own face moved by as much; then lids and lips, which must not cross.
    anchor = lay.apply(anchor_points)
    source = np.asarray(source_points, np.float64)
    target = source + laid - anchor
    for eye in EYES:
        carry_lids(target, source, laid, anchor, eye)
    part_lips(target)
    return target.astype(np.float32)


def carry_lids(
    target: Points, source: Points, laid: Points, anchor: Points, eye: Eye, gain: float = 1.0
) -> None:
    """Set the lids of one eye of `target`: the driving lids' motion, scaled to the source's eye.

    Lids are seen from the eye's own axes, x through its corners. Their motion across is scaled by
    the ratio of the openings, source to anchor, so a gap of zero stays zero; all of it is
    multiplied by ``gain``.
    """
    corners, upper, lower = eye
    lids = [*upper, *lower]
    half = len(upper)
    own, _, _ = seen_from(source, corners, lids)
    rest, _, _ = seen_from(anchor, corners, lids)
    moved, _, _ = seen_from(laid, corners, lids)
    own_gap = (own[..., half:] - own[..., :half]).imag.mean(-1)[..., None]
    rest_gap = (rest[..., half:] - rest[..., :half]).imag.mean(-1)[..., None]
    # A closed eye in the source or the anchor says nothing about the other's eye.
    ratio = np.clip(own_gap / np.maximum(rest_gap, 1e-6), 0.4, 2.5)
    local = own + gain * ((moved - rest).real + 1j * ratio * (moved - rest).imag)
    # Lids that have passed one another meet in the middle.
    excess = np.maximum((local[:, :half] - local[:, half:]).imag, 0) / 2
    local -= 1j * np.concatenate([excess, -excess], -1)
    _, middle, axis = seen_from(target, corners, lids)
    target[:, lids] = to_points(middle + axis * local)


def seen_from(
    points: Points, corners: tuple[int, int], chosen: list[int]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]]:
    """The chosen points relative to the middle of two corners, x along them, in pixels.

    Returns:
        These as complex numbers ... x N, the middle and the unit vector of x, both ... x 1.
    """
    values = to_complex(points)
    left, right = values[..., corners[0], None], values[..., corners[1], None]
    length = np.abs(right - left)
    axis = np.where(length > 1e-9, (right - left) / np.where(length > 1e-9, length, 1), 1)
    middle = (left + right) / 2
    return (values[..., chosen] - middle) / axis, middle, axis


def part_lips(target: Points) -> None:
    """Where the inner lips of `target` cross, move each lip back by half of it, as a whole."""
    _, upper, lower = _INNER_LIPS
    above, below = _OUTER_LIPS
    rows = [*upper, *above, *lower, *below]
    local, middle, axis = seen_from(target, (48, 54), rows)
    third = len(upper)
    cross = np.maximum((local[:, :third] - local[:, 2 * third : 3 * third]).imag, 0) / 2
    local -= 1j * np.concatenate([cross, cross, -cross, -cross], -1)
    target[:, rows] = to_points(middle + axis * local)
