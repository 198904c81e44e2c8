"""The limbs of a body: which joints they join, how long they are, and how large a body is.

Bodies are counted in torsos: the distance from the neck to the middle of the hips, seen from the
front or from behind.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfla.joints import JOINTS, MISSING, NECK, SHOULDERS, Joints, found

Bodies = NDArray[np.float64]
"""... x 19 x 2 pixels: the 18 joints and the pelvis, NaN where one is missing."""

PELVIS = len(JOINTS)
"""The middle of the hips, which bodies have behind the 18 joints."""
HIPS = (JOINTS.index("right hip"), JOINTS.index("left hip"))
LEGS = ("knee", "ankle")
FACE = tuple(JOINTS.index(name) for name in JOINTS if name.split()[-1] in ("nose", "eye", "ear"))
USUAL = {
    "torso": 1.0,
    "shoulder": 0.32,
    "hip": 0.19,
    "upper arm": 0.54,
    "forearm": 0.46,
    "thigh": 0.72,
    "shank": 0.70,
    "neck": 0.41,
    "eye": 0.10,
    "ear": 0.10,
}
"""Kinds of limbs, and their length in torsos: medians of a dozen people as detectors see them."""
KINDS = tuple(USUAL)
LARGE = tuple(KINDS.index(kind) for kind in KINDS if kind not in ("hip", "eye", "ear"))
"""Limbs that are long enough to be measured well."""
WIDER = USUAL["shoulder"] / USUAL["hip"]
"""The shoulders in units of the hips."""
LEAST = 0.75
"""A limb that looks shorter than this, in parts of the usual, is foreshortened, not short."""
SUNK = 0.6
"""Likewise a torso, in parts of what the limbs let expect."""


class Limb(NamedTuple):
    """A line of the skeleton: its end away from the pelvis, the other one, and its kind."""

    joint: int
    parent: int
    kind: int


def _limbs() -> tuple[Limb, ...]:
    lines = [("neck", "pelvis", "torso"), ("nose", "neck", "neck")]
    for side in ("right", "left"):
        lines += [(f"{side} eye", "nose", "eye"), (f"{side} ear", f"{side} eye", "ear")]
        lines += [(f"{side} shoulder", "neck", "shoulder"), (f"{side} hip", "pelvis", "hip")]
        lines += [(f"{side} elbow", f"{side} shoulder", "upper arm")]
        lines += [(f"{side} wrist", f"{side} elbow", "forearm")]
        lines += [(f"{side} knee", f"{side} hip", "thigh")]
        lines += [(f"{side} ankle", f"{side} knee", "shank")]
    order = (*JOINTS, "pelvis")
    return tuple(Limb(order.index(a), order.index(b), KINDS.index(kind)) for a, b, kind in lines)


LIMBS = _limbs()
_OF_KIND = [[n for n, limb in enumerate(LIMBS) if limb.kind == k] for k in range(len(KINDS))]


def complete(joints: Joints) -> Bodies:
    """Bodies with a pelvis, and with a neck where the shoulders tell it.

    Where one hip is missing its place is guessed from the shoulders, and the other way round, so
    that a body seen from the side keeps its middle.

    Args:
        joints: ... x 18 x 2 pixels, -1 where missing.
    """
    joints = np.asarray(joints, np.float64)
    points = np.where(found(joints)[..., None], joints, np.nan)
    points = np.concatenate([points, _middle(points, HIPS)[..., None, :]], -2)
    points[..., NECK, :] = _either(points[..., NECK, :], _middle(points, SHOULDERS))
    # One hip: the other lies as the shoulders do; then one shoulder; then what there is.
    for centre, sides, other, others, wider in (
        (PELVIS, HIPS, NECK, SHOULDERS, 1 / WIDER),
        (NECK, SHOULDERS, PELVIS, HIPS, WIDER),
    ):
        for side, across in zip(sides, others, strict=True):
            half = wider * (points[..., other, :] - points[..., across, :])
            guess = points[..., side, :] + half
            points[..., centre, :] = _either(points[..., centre, :], guess)
        for side in sides:
            points[..., centre, :] = _either(points[..., centre, :], points[..., side, :])
    return points


def _middle(points: Bodies, pair: tuple[int, int]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = points[..., list(pair), :].mean(-2)
    return middle


def _either(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(one), one, other)


def there(points: Bodies) -> NDArray[np.bool_]:
    """Which joints of bodies are there: ... x 19."""
    return np.asarray(np.isfinite(points).all(-1))


def as_joints(points: Bodies, wanted: NDArray[np.bool_]) -> Joints:
    """Bodies as joints ... x 18 x 2, of which those that are not wanted, or not there, are -1."""
    joints = points[..., :PELVIS, :]
    # A joint that happens to fall onto the mark of missing ones is moved by nothing visible.
    joints = np.where(joints == MISSING, MISSING + 1e-3, joints)
    kept = wanted & there(points)[..., :PELVIS]
    return np.where(kept[..., None], joints, MISSING)


def vectors(points: Bodies) -> NDArray[np.float64]:
    """The limbs of bodies in the order of ``LIMBS``, from parent to joint: ... x 18 x 2 pixels."""
    ends = points[..., [limb.joint for limb in LIMBS], :]
    return np.asarray(ends - points[..., [limb.parent for limb in LIMBS], :])


def lengths(points: Bodies) -> NDArray[np.float64]:
    """How long each kind of limb looks, the longer of both sides: ... x kinds, NaN if unseen."""
    every = np.linalg.norm(vectors(points), axis=-1)
    longest = np.stack([np.fmax.reduce(every[..., places], -1) for places in _OF_KIND], -1)
    return np.where(longest > 0, longest, np.nan)


def unit(measured: NDArray[np.float64]) -> float:
    """How long the torso of a body is in pixels, judged by all limbs; NaN if there are none.

    Args:
        measured: the length of each kind of limb.
    """
    usual = measured / np.array(list(USUAL.values()))
    torso, limbs = usual[0], usual[list(LARGE[1:])]
    by_limbs = _quiet_median(limbs) if np.isfinite(limbs).any() else _quiet_median(usual)
    # A torso that leans towards the camera looks shorter than it is.
    if np.isfinite(torso) and not torso < SUNK * by_limbs:
        return float(torso)
    return float(by_limbs)


def _quiet_median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def sizes(joints: Joints) -> float:
    """The length of the torso in a clip, in pixels, by which motion is measured; 1 if unknown.

    Args:
        joints: T x 18 x 2 pixels.
    """
    measured = longest_lengths(lengths(complete(joints)))
    size = unit(measured)
    return size if np.isfinite(size) and size > 0 else 1.0


def longest_lengths(measured: NDArray[np.float64], share: float = 0.9) -> NDArray[np.float64]:
    """How long limbs are where they look longest: kinds, of T x kinds.

    Args:
        measured: lengths in each frame.
        share: of the frames in which a limb looks shorter; the few beyond are mistakes.
    """
    with warnings.catch_warnings():  # of kinds that are never seen, which stay NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanquantile(measured, share, axis=0))
