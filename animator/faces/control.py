"""Target landmarks under an artist's control: how much of the head's and of the face's motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animator.faces.geometry import fit_similarity, to_points
from animator.faces.head import (
    Pose,
    blend_rotation,
    learn_head,
    limit_angles,
    rotation_vectors,
    split,
)
from animator.faces.motion import EYES, Eye, Motion, carry_lids, part_lips, retarget, seen_from
from gfla.arrays import Points

__all__ = ["FACE_REGIONS", "REGIONS", "Controls", "retarget_controlled"]

Floats = NDArray[np.float64]

FACE_REGIONS = ("brows", "eyes", "mouth", "jaw")
REGIONS = ("head", *FACE_REGIONS)

TRAINED = 30.0
"""Degrees to each side for which the networks are trained; beyond, pictures get worse."""
_LIMIT, _SLACK = 27.0, 6.0
_NOTICED = 0.5
"""Degrees beyond `TRAINED` from which a frame counts as out of range."""
_THINNEST = 0.35
"""Of the source's own lips, to which a lip is pressed at most."""
_PART = 2000
"""Frames that are moved at once."""
_LIPS = ((50, 61), (51, 62), (52, 63), (58, 67), (57, 66), (56, 65))
"""Points of the outer lips, and those of the inner lips beside them."""


def _shares() -> Floats:
    """How much of a point's motion belongs to each of `FACE_REGIONS`, 68 x 4.

    Each row adds up to 1, so that regions that are chosen apart make the whole when put together.
    """
    shares = np.zeros((68, 4))
    shares[17:27, 0] = shares[36:48, 1] = shares[48:, 2] = shares[:17, 3] = 1
    # The bridge of the nose wrinkles with brows and eyes, its wings move with the mouth.
    shares[27:29] = 0.5, 0.5, 0, 0
    shares[29:31] = 0.25, 0.25, 0.5, 0
    shares[31:36, 2] = 1
    # An open mouth needs a chin that gives way: towards the middle the outline follows the lips.
    for distance, share in enumerate((0.5, 0.5, 0.4, 0.25, 0.1)):
        for point in (8 - distance, 8 + distance):
            shares[point, 2:] = share, 1 - share
    return shares


_SHARES = _shares()


@dataclass(frozen=True)
class Controls:
    """How much of the driving motion the portrait gets.

    Attributes:
        head: what the turning, tilting, nearing and shifting of the head is multiplied by, from 0.
        expression: likewise for the face.
        regions: the names among `REGIONS` that move at all; the others stay as in the source.
    """

    head: float = 1.0
    expression: float = 1.0
    regions: frozenset[str] = frozenset(REGIONS)

    @property
    def plain(self) -> bool:
        """Whether all of the motion is wanted as it is."""
        return self.head == self.expression == 1 and self.regions == frozenset(REGIONS)

    @property
    def turn(self) -> float:
        """The factor of the head's motion."""
        return self.head if "head" in self.regions else 0.0

    def of_region(self, name: str) -> float:
        """The factor of one of `FACE_REGIONS`."""
        return self.expression if name in self.regions else 0.0

    @property
    def of_points(self) -> Floats:
        """The factors of the 68 points' expression."""
        return _SHARES @ [self.of_region(name) for name in FACE_REGIONS]


def retarget_controlled(
    source_points: Points,
    driving_points: Points,
    anchor_points: Points,
    mode: Motion,
    controls: Controls = Controls(),  # noqa: B008 - it is frozen
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The source's landmarks in each driving frame, as `animator.faces.motion.retarget`.

    With plain controls the landmarks are exactly those. Others lead there without a step: the head
    is taken apart from the face, each is moved by as much as is asked for, in three dimensions,
    and what a flat motion differs from that by comes with the head. Poses far beyond `TRAINED`
    degrees are then held near them; lips never cross, and lids never pass one another.

    Args:
        source_points: 68 x 2 pixels of the source picture; T x 68 x 2 of one that moves by itself.
        driving_points: T x 68 x 2 pixels of the driving video.
        anchor_points: 68 x 2, the driving face that counts as the source's own pose, or of each
            frame T x 68 x 2.
        mode: "relative" or "absolute".
        controls: how much of the motion.

    Returns:
        float32 T x 68 x 2 pixels of the source picture, and for each frame whether the head would
        turn out of the range.

    Raises:
        AnimatorError: invalid_option for another mode.
    """
    plain = retarget(source_points, driving_points, anchor_points, mode)
    source = np.asarray(source_points, np.float64)
    lay = fit_similarity(anchor_points, source)
    anchor = lay.apply(anchor_points)
    laid = lay.apply(driving_points)
    own = learn_head(source if source.ndim == 3 else source[None])
    head = learn_head(driving_points)
    # A part after the other, so that long videos take no more memory than short ones.
    targets, beyond = [], []
    for first in range(0, len(driving_points), _PART):
        part = slice(first, first + _PART)
        here, there, rest = (_part(each, part) for each in (source, laid, anchor))
        motion = _Motion.of(here, there, rest, own, head, absolute=mode == "absolute")
        beyond.append(motion.out_of_range(1.0 if controls.plain else controls.turn))
        if not controls.plain:
            targets.append(_moved(here, there, rest, motion, controls).astype(np.float32))
    return (np.concatenate(targets) if targets else plain), np.concatenate(beyond)


def _part(faces: Floats, part: slice) -> Floats:
    """Of faces of frames those of a part; one face alone is that of all frames."""
    return faces[part] if faces.ndim == 3 else faces


def _moved(
    source: Floats, laid: Floats, anchor: Floats, motion: _Motion, controls: Controls
) -> Floats:
    """The head and the points of the face, then lids and lips."""
    target = source + motion.shift(controls.turn, controls.of_points)
    for eye in EYES:
        if motion.absolute:
            _part_lids(target, eye)
        else:
            carry_lids(target, source, laid, anchor, eye, controls.of_region("eyes"))
    if controls.of_region("mouth"):
        _keep_lips(target, source)
        part_lips(target)
    return target


@dataclass(frozen=True, eq=False)
class _Motion:
    """A driving motion as laid on a source: poses of heads, and the faces on them.

    Attributes:
        own, head: the source's head and the driving one, 68 x 3.
        own_pose, own_look: how the source's head stands, and its face.
        rest, rest_look: likewise for the anchor.
        pose, look: likewise for the T driving frames.
        flat: T x 68 x 2, by how much the driving points differ from the anchor's.
        absolute: whether the driving face's own features are wanted.
    """

    own: Floats
    own_pose: Pose
    own_look: Floats
    head: Floats
    rest: Pose
    rest_look: Floats
    pose: Pose
    look: Floats
    flat: Floats
    absolute: bool

    @classmethod
    def of(
        cls,
        source: Floats,
        laid: Floats,
        anchor: Floats,
        own: Floats,
        head: Floats,
        *,
        absolute: bool,
    ) -> _Motion:
        """Take source, driving frames and anchor apart."""
        return cls(
            own,
            *split(source, own),
            head,
            *split(anchor, head),
            *split(laid, head),
            laid - anchor,
            absolute,
        )

    def shift(self, turn: float, gains: Floats) -> Floats:
        """By how much the source's points move, T x 68 x 2.

        Args:
            turn: the factor of the head's motion.
            gains: those of the 68 points' expression.
        """
        moved = self._shown(turn, gains)
        if self.absolute:
            return moved
        # What the plain motion has besides: the driving head is not of the source's shape.
        still, whole = np.zeros(68), np.ones(68)
        flat_head = self.pose.show(self.head, self.rest_look)
        flat_head = flat_head - self.rest.show(self.head, self.rest_look)
        of_head = flat_head - self._shown(1, still, limited=False)
        of_both = self.flat - self._shown(1, whole, limited=False) - of_head
        share = np.minimum(turn * self._kept(turn), 1)[:, None, None]
        return moved + share * (of_head + np.minimum(gains, 1)[:, None] * of_both)

    def out_of_range(self, turn: float) -> NDArray[np.bool_]:
        """T, whether the head would stand beyond `TRAINED` degrees, and beyond the source's."""
        angles = Pose(self._turned(turn), self.pose.scale, self.pose.place).angles
        allowed = np.maximum(TRAINED, np.abs(self.own_pose.angles)) + _NOTICED
        return np.asarray((np.abs(angles) > allowed).any(-1))

    def _shown(self, turn: float, gains: Floats, limited: bool = True) -> Floats:
        """The motion of heads in three dimensions, T x 68 x 2."""
        start = self.own_pose if self.absolute else self.rest
        rotation = self._limited(turn) if limited else self._turned(turn)
        growth = (self.pose.scale / start.scale) ** turn
        place = self.own_pose.place + turn * (self.pose.place - start.place)
        pose = Pose(rotation, self.own_pose.scale * growth, place)
        gains = gains[:, None]
        if self.absolute:
            shape = self.own + gains * (self.head - self.own)
            look = self.own_look + gains * (self.look - self.own_look)
        else:
            shape = self.own
            size = (self.rest.scale / self.own_pose.scale)[..., None, None]
            look = self.own_look + gains * size * (self.look - self.rest_look)
        return pose.show(shape, look) - self.own_pose.show(self.own, self.own_look)

    def _turned(self, turn: float) -> Floats:
        """The rotations that are asked for, T x 3 x 3."""
        return blend_rotation(self.own_pose.rotation, self._turns, turn)

    def _limited(self, turn: float) -> Floats:
        """The rotations, near the range."""
        return limit_angles(self._turned(turn), self.own_pose.rotation, _LIMIT, _SLACK)

    def _kept(self, turn: float) -> Floats:
        """How much of the turn is left by the limit, T values from 0 to 1."""
        back = np.swapaxes(self.own_pose.rotation, -1, -2)
        wanted = np.linalg.norm(rotation_vectors(self._turned(turn) @ back), axis=-1)
        left = np.linalg.norm(rotation_vectors(self._limited(turn) @ back), axis=-1)
        return np.where(wanted > 1e-6, np.minimum(left / np.maximum(wanted, 1e-6), 1), 1.0)

    @property
    def _turns(self) -> Floats:
        """The driving head's rotations since it stood as the source does."""
        start = self.own_pose if self.absolute else self.rest
        return self.pose.rotation @ np.swapaxes(start.rotation, -1, -2)


def _part_lids(target: Points, eye: Eye) -> None:
    """Lids of `target` that have passed one another meet in the middle."""
    corners, upper, lower = eye
    local, middle, axis = seen_from(target, corners, [*upper, *lower])
    half = len(upper)
    excess = np.maximum((local[:, :half] - local[:, half:]).imag, 0) / 2
    local -= 1j * np.concatenate([excess, -excess], -1)
    target[:, [*upper, *lower]] = to_points(middle + axis * local)


def _keep_lips(target: Points, source: Floats) -> None:
    """Keep the lips of `target` from turning inside out: the outer points stay outside."""
    outer, inner = map(list, zip(*_LIPS, strict=True))
    side = np.array([-1, -1, -1, 1, 1, 1])
    own, _, _ = seen_from(source, (48, 54), outer + inner)
    local, middle, axis = seen_from(target, (48, 54), outer + inner)
    least = _THINNEST * np.maximum(side * (own[..., :6] - own[..., 6:]).imag, 0)
    lacking = np.maximum(least - side * (local[:, :6] - local[:, 6:]).imag, 0)
    local[:, :6] += 1j * side * lacking
    target[:, outer] = to_points(middle + axis * local[:, :6])
