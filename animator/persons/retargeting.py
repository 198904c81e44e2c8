"""Target joints of an animated person, made of those of the driving video.

Every limb of the driver becomes a limb of the source: it keeps its direction, and it is as long,
in parts of the source's limb, as the driver's looks in parts of the longest that it is ever seen.
An arm that points at the camera therefore stays short, and nobody gets a driver's long legs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.persons import skeleton
from animator.persons.skeleton import KINDS, LARGE, LEAST, LEGS, LIMBS, PELVIS, USUAL, Bodies
from gfla.joints import JOINTS, NECK, SHOULDERS, Joints, found

Motion = Literal["relative", "absolute"]

MOST = 2.2
"""How many times longer or shorter a limb may become than the whole body does."""
UPRIGHT = 0.85
"""A torso that looks shorter, in parts of its length, is bent."""
_NOSE = JOINTS.index("nose")
_TRUNK = (NECK, PELVIS, *skeleton.HIPS, *SHOULDERS)
_USUAL = np.array(list(USUAL.values()))
_AROUND = 31
"""Frames over which the driver's distance from the camera is judged."""
_KINDS_FOR_ZOOM = 3
_TORSO = KINDS.index("torso")
_LEG = [KINDS.index("thigh"), KINDS.index("shank")]
_ASTRAY = 2.0
"""Cost of a limb that cannot be compared: as if it stood at a right angle."""


def retarget(source: Joints, driving: Joints, anchor: Joints, motion: Motion) -> Joints:
    """The source's joints in each driving frame.

    Scale and place are those that lay the torso of the anchor on the source's. "absolute" moves the
    driver's own body by them; "relative" gives each of its limbs the length of the source's, and
    scales steps and jumps by the legs, so that feet do not slide. Limbs that the source does not
    show are as long as the driver's, scaled; knees and ankles, of which the source shows none, are
    left out. What the driver lacks is missing.

    Args:
        source: 18 x 2 pixels of the source picture, -1 where missing.
        driving: T x 18 x 2 pixels of the driving video, likewise.
        anchor: 18 x 2, the driving body that stands where the source does.
        motion: "relative" or "absolute".

    Returns:
        T x 18 x 2 pixels of the source picture, -1 where missing.

    Raises:
        AnimatorError: invalid_option for another motion, no_body if the source, the anchor or all
            of the driving frames have no joint.
        ValueError: for other shapes, or numbers that are not finite.
    """
    source, driving, anchor = _checked(source, driving, anchor)
    if motion not in ("relative", "absolute"):
        message = f"motion is {motion!r}; allowed is relative or absolute."
        raise AnimatorError("invalid_option", message)
    own, bodies, rest = (skeleton.complete(joints) for joints in (source, driving, anchor))
    # How much larger the source is, as a whole and limb by limb.
    mine = _source_lengths(own)
    theirs = _Driver.measure(bodies, rest)
    scale = _scale(mine, theirs.at_anchor, own, rest)
    factors = np.full(len(KINDS), scale)
    if motion == "relative":
        ratio = np.where(np.isfinite(mine), mine / theirs.at_anchor, scale)
        ratio = np.where(np.isfinite(ratio), ratio, scale)
        factors = np.clip(ratio, scale / MOST, scale * MOST)
    # The root goes first, and the limbs hang on it.
    root = _root(own, bodies, rest)
    track = _track(bodies, rest, root)
    start = _track(rest[None], rest, root)[0]
    steps = _step(factors, mine, theirs.at_anchor, root, scale)
    placed = np.full_like(bodies, np.nan)
    placed[:, root] = _place(own, root) + steps * (track - start)
    bodies = bodies.copy()
    bodies[:, root] = track
    _hang(placed, bodies, root, factors)
    return skeleton.as_joints(placed, found(driving) & _shown(source))


def choose_anchor(source: Joints, driving: Joints) -> int:
    """The driving frame whose pose is nearest to the source's.

    Limbs are compared by their directions and by how foreshortened they are, longer ones counting
    more, so that neither place nor size nor build matters; a limb of the source that a frame does
    not show counts against that frame.

    Args:
        source: 18 x 2.
        driving: T x 18 x 2, T >= 1.

    Raises:
        AnimatorError: no_body if the source or all frames have no joint.
        ValueError: for other shapes, or numbers that are not finite.
    """
    source, driving, _ = _checked(source, driving, source)
    own, bodies = skeleton.complete(source), skeleton.complete(driving)
    kinds = [limb.kind for limb in LIMBS]
    driver = _Driver.measure(bodies, bodies[0])
    # Limbs in parts of their full length.
    mine = skeleton.vectors(own) / _source_lengths(own)[kinds, None]
    full = driver.full[kinds] * driver.zoom[:, None]
    theirs = skeleton.vectors(bodies) / full[..., None]
    compared = np.isfinite(mine).all(-1) & np.isin(kinds, LARGE)
    if not compared.any():
        return int(np.argmax(found(driving).sum(-1)))
    apart = ((theirs - mine) ** 2).sum(-1)[:, compared]
    apart = np.where(np.isfinite(apart), np.minimum(apart, 2 * _ASTRAY), _ASTRAY)
    return int(np.argmin(apart @ _USUAL[kinds][compared]))


def _checked(source: Joints, driving: Joints, anchor: Joints) -> tuple[Joints, Joints, Joints]:
    arrays = tuple(np.asarray(joints, np.float64) for joints in (source, driving, anchor))
    one = (len(JOINTS), 2)
    for joints, shape in zip(arrays, (one, (len(driving), *one), one), strict=True):
        if joints.shape != shape or not len(joints):
            raise ValueError(f"joints are {joints.shape}; needs {shape}, T at least 1")
        if not np.isfinite(joints).all():
            raise ValueError("joints must be finite numbers")
        if not found(joints).any():
            raise AnimatorError("no_body", "There is no joint to animate, or to animate by.")
    return arrays[0], arrays[1], arrays[2]


def _source_lengths(own: Bodies) -> NDArray[np.float64]:
    """How long each kind of limb of the source is; one that looks too short is foreshortened."""
    measured = skeleton.lengths(own)
    least = LEAST * _USUAL * skeleton.unit(measured)
    return np.where(measured < least, least, measured)


@dataclass(frozen=True, eq=False)
class _Driver:
    """How long the driver's limbs are.

    Attributes:
        full: each kind where it is largest in the picture, in pixels.
        zoom: T, how large the driver is in each frame in units of that.
        at_anchor: each kind as it would be at full length in the anchor.
    """

    full: NDArray[np.float64]
    zoom: NDArray[np.float64]
    at_anchor: NDArray[np.float64]

    @classmethod
    def measure(cls, bodies: Bodies, rest: Bodies) -> _Driver:
        """Measure a clip and its anchor."""
        measured = skeleton.lengths(np.concatenate([bodies, rest[None]]))
        seen = skeleton.longest_lengths(measured)
        # The limb that is nearest to its full length tells the distance from the camera.
        zoom = _zoom(measured / seen)
        zoom[:-1] = _calm(zoom[:-1])
        same = np.flatnonzero(_equal(bodies, rest))
        zoom[-1] = zoom[same[0]] if len(same) else zoom[-1]
        full = skeleton.longest_lengths(measured / zoom[:, None])
        least = LEAST * _USUAL * skeleton.unit(full)
        full = np.where(full < least, least, full)
        at_anchor = full * zoom[-1]
        # The anchor's own torso, which is to lie on the source's, unless it is bent.
        if measured[-1, _TORSO] > UPRIGHT * at_anchor[_TORSO]:
            at_anchor[_TORSO] = measured[-1, _TORSO]
        return cls(full, zoom[:-1], at_anchor)


def _zoom(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The size of the driver in each frame, 1 where too little is seen to tell."""
    large = np.nan_to_num(parts[:, list(LARGE)])
    enough = (large > 0).sum(-1) >= _KINDS_FOR_ZOOM
    # The largest but one, as one limb may be a mistake.
    return np.where(enough, np.sort(large, -1)[:, -2], 1.0)


def _calm(zoom: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each frame's neighbourhood."""
    half = min(_AROUND, len(zoom)) // 2
    padded = np.pad(zoom, half, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.median(around, -1))


def _equal(bodies: Bodies, rest: Bodies) -> NDArray[np.bool_]:
    return np.asarray(((bodies == rest) | (np.isnan(bodies) & np.isnan(rest))).all((1, 2)))


def _scale(
    mine: NDArray[np.float64], theirs: NDArray[np.float64], own: Bodies, rest: Bodies
) -> float:
    """How much larger the source is than the driver in the anchor: by the torso if both show it."""
    one, other = skeleton.unit(mine), skeleton.unit(theirs)
    torsos = bool(one == mine[_TORSO] and other == theirs[_TORSO])
    ratios = (mine / theirs)[list(LARGE)]
    ratios = ratios[np.isfinite(ratios)]
    if not torsos and len(ratios):
        return float(np.median(ratios))
    if np.isfinite(one / other) and one > 0:
        return one / other
    # Hardly any joints: by how far they reach.
    reach = [np.ptp(body[skeleton.there(body)], axis=0).max() for body in (own, rest)]
    return float(reach[0] / reach[1]) if min(reach) > 0 else 1.0


def _root(own: Bodies, bodies: Bodies, rest: Bodies) -> int:
    """The joint that a body hangs on: pelvis, neck or nose, which both show in most frames."""
    seen = skeleton.there(bodies)
    often = seen.sum(0) >= seen.any(-1).sum() / 2
    usable = skeleton.there(own) & often
    at_anchor = usable & skeleton.there(rest)
    for candidates in (at_anchor, usable, often):
        for joint in (PELVIS, NECK, _NOSE):
            if candidates[joint]:
                return joint
    return PELVIS


def _track(bodies: Bodies, like: Bodies, root: int) -> NDArray[np.float64]:
    """Where the root is in each frame; where it is missing, as the other joints tell."""
    known = skeleton.there(bodies)
    frames = np.concatenate([bodies, like[None]])
    offsets = frames[:, [root]] - frames
    # From each joint to the root, as a rule.
    usual = np.zeros(offsets.shape[1:])
    for joint, known_there in enumerate(np.isfinite(offsets).all(-1).T):
        if known_there.any():
            usual[joint] = np.median(offsets[known_there, joint], 0)
    track = bodies[:, root].copy()
    for frame in np.flatnonzero(~known[:, root] & known.any(-1)):
        joints = [joint for joint in _TRUNK if known[frame, joint]]
        chosen = np.array(joints) if joints else np.flatnonzero(known[frame])
        track[frame] = (bodies[frame, chosen] + usual[chosen]).mean(0)
    return track


def _place(own: Bodies, root: int) -> NDArray[np.float64]:
    """Where the source's root is; without it, the middle of what the source shows."""
    if np.isfinite(own[root]).all():
        return np.asarray(own[root])
    return np.asarray(own[skeleton.there(own)].mean(0))


def _step(
    factors: NDArray[np.float64],
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    root: int,
    scale: float,
) -> float:
    """By how much the root's motion is scaled: as the legs, where both show them."""
    legs = np.isfinite((mine / theirs)[_LEG]).all() and root == PELVIS
    if not legs:
        return scale
    return float((factors * theirs)[_LEG].sum() / theirs[_LEG].sum())


def _hang(placed: Bodies, bodies: Bodies, root: int, factors: NDArray[np.float64]) -> None:
    """Place all joints, from the root outwards, each on the nearest one that is there."""
    links: dict[int, list[tuple[int, int]]] = {}
    for joint, parent, kind in LIMBS:
        links.setdefault(parent, []).append((joint, kind))
        links.setdefault(joint, []).append((parent, kind))
    seen = skeleton.there(bodies)
    # From each joint to the root: the joints on the way, and the kinds of the limbs between.
    ways: dict[int, list[tuple[int, int]]] = {root: []}
    waiting = [root]
    while waiting:
        parent = waiting.pop(0)
        for joint, kind in links[parent]:
            if joint in ways:
                continue
            ways[joint] = [(parent, kind), *ways[parent]]
            waiting.append(joint)
            left, passed = seen[:, joint].copy(), []
            for other, limb in ways[joint]:
                passed.append(limb)
                now = left & seen[:, other]
                # Of limbs that are bridged, the longer ones count more.
                factor = np.average(factors[passed], weights=_USUAL[passed])
                moved = factor * (bodies[now, joint] - bodies[now, other])
                placed[now, joint] = placed[now, other] + moved
                left &= ~now


def _shown(source: Joints) -> NDArray[np.bool_]:
    """Which joints can be animated: all but knees and ankles that the source shows on neither side.

    A portrait that ends at the belt has no legs to show.
    """
    seen = found(source)
    shown = np.ones(len(JOINTS), bool)
    for part in LEGS:
        both = [n for n, name in enumerate(JOINTS) if name.endswith(part)]
        shown[both] = seen[both].any()
    return shown
