"""Head pose and facial expression, told apart by a mean head of 68 points in three dimensions.

Axes are those of a camera: x to the right, y down, z away from it. A face is seen under weak
perspective: its points are turned, lose their depth, are scaled and shifted. What that leaves
unexplained is its expression, in the face's own plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animator.faces.mean_head import MEAN_HEAD
from gfla.arrays import Points

__all__ = [
    "Pose",
    "blend_rotation",
    "fit_pose",
    "learn_head",
    "limit_angles",
    "rotation_of",
    "rotation_vectors",
    "split",
]

Floats = NDArray[np.float64]

STEADY = np.zeros(68)
"""Weights of the landmarks for the pose: bone counts; what speech and expression move hardly does,
and the outline, which slides over the head, only beside the ears."""
STEADY[:17] = 0.001
STEADY[[0, 1, 2, 14, 15, 16]] = 0.1
STEADY[17:27] = 0.01
STEADY[27:31] = 1.0
STEADY[31:36] = 0.6
STEADY[36:48] = 0.02
STEADY[[36, 39, 42, 45]] = 1.0
STEADY[48:] = 0.0005
STEADY /= STEADY.sum()

_ALIGNED = np.where(STEADY > 0.2 * STEADY.max(), 1.0, 0.6)
_ALIGNED[3:14] = _ALIGNED[48:] = 0.1
_ALIGNED /= _ALIGNED.sum()
"""Weights by which one person's head is laid on the mean one."""

_STEPS = 5
"""Of Gauss-Newton; from the linear start the error shrinks a hundredfold in each."""
_FLAT = 0.4
"""How thin the face's plane may look before the expression in it is held to be no thinner: at
about 66 degrees. A line seen from its end would have any length."""
_FRAMES, _ROUNDS = 160, 20
_TRUST = np.array([0.004, 0.004, 0.005])
"""What the mean head counts beside one frame of a person, in x, y and z."""
_DOUBT = 0.15
"""Expression, in units of the head, at which a point says half as much about the person."""


@dataclass(frozen=True, eq=False)
class Pose:
    """How heads stand in their pictures; the leading axes are those of any number of frames.

    Attributes:
        rotation: ... x 3 x 3, from the head's axes to the camera's.
        scale: ..., pixels for a unit of the head, which is half the distance of the outer corners
            of the eyes.
        place: ... x 2, pixels; where the steady points have their middle.
    """

    rotation: Floats
    scale: Floats
    place: Floats

    @property
    def angles(self) -> Floats:
        """Yaw, pitch and roll, ... x 3 degrees.

        The head turns towards the right of the picture, downwards, and clockwise as these grow.
        """
        turn = self.rotation
        yaw = np.arcsin(np.clip(-turn[..., 2, 0], -1, 1))
        pitch = np.arctan2(turn[..., 2, 1], turn[..., 2, 2])
        roll = np.arctan2(turn[..., 1, 0], turn[..., 0, 0])
        # The rotation about y that takes +x away from the camera turns the nose to the left.
        return np.degrees(np.stack([-yaw, pitch, roll], -1))

    def show(self, head: Floats, expression: Floats | float = 0.0) -> Floats:
        """The landmarks ... x 68 x 2 of a head ... x 68 x 3 with expressions ... x 68 x 2.

        The middle of the head's steady points is at 0, as it is of those of `learn_head`.
        """
        seen = (head @ np.swapaxes(self.rotation, -1, -2))[..., :2]
        if np.ndim(expression):
            seen = seen + expression @ np.swapaxes(_plane(self.rotation), -1, -2)
        return self.scale[..., None, None] * seen + self.place[..., None, :]


def fit_pose(points: Points, head: Floats = MEAN_HEAD) -> Pose:
    """The poses in which a head comes nearest to landmarks, by the weights of `STEADY`.

    Args:
        points: ... x 68 x 2 pixels, finite.
        head: 68 x 3.
    """
    points = np.asarray(points, np.float64)
    shape, place = _centred(head), np.einsum("p,...pk->...k", STEADY, points)
    around = points - place[..., None, :]
    # Where the scaled rotation may be any matrix the fit is linear; the rotation next to it.
    weighted = shape * STEADY[:, None]
    linear = np.swapaxes(around, -1, -2) @ weighted @ np.linalg.inv(weighted.T @ shape)
    left, sizes, right = np.linalg.svd(linear, full_matrices=False)
    rotation, scale = _completed(left @ right), np.maximum(sizes.mean(-1), 1e-6)
    for _ in range(_STEPS):
        seen = shape @ np.swapaxes(rotation, -1, -2)
        x, y, z = seen[..., 0], seen[..., 1], seen[..., 2]
        none = np.zeros_like(x)
        # How the points move by turns about the three axes and by growth, for a unit of scale.
        slopes = np.stack(
            [
                np.stack([none, -z], -1),
                np.stack([z, none], -1),
                np.stack([-y, x], -1),
                seen[..., :2],
            ],
            -3,
        )
        missing = around / scale[..., None, None] - seen[..., :2]
        matrix = np.einsum("...apk,p,...bpk->...ab", slopes, STEADY, slopes)
        matrix += 1e-9 * np.eye(4)
        step = np.linalg.solve(
            matrix, np.einsum("...apk,p,...pk->...a", slopes, STEADY, missing)[..., None]
        )[..., 0]
        rotation = rotation_of(step[..., :3]) @ rotation
        scale = np.maximum(scale * np.exp(np.clip(step[..., 3], -0.5, 0.5)), 1e-6)
    return Pose(rotation, scale, place)


def learn_head(points: Points, head: Floats = MEAN_HEAD) -> Floats:
    """The head of one person, from landmarks of some frames of him or her.

    What the frames do not show, such as the depth of a face that never turns, is that of ``head``.
    Expressions count the less the larger they are.

    Args:
        points: T x 68 x 2, T >= 1; of many frames, some are taken, evenly.
        head: 68 x 3, what is known beforehand.

    Returns:
        68 x 3 in units of ``head``, laid on it, the middle of the steady points at 0.
    """
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), _FRAMES)).astype(int))
    frames = np.asarray(points, np.float64)[chosen]
    trust, known = len(frames) * _TRUST * np.eye(3), _centred(head)
    shape = known
    for _ in range(_ROUNDS):
        pose = fit_pose(frames, shape)
        looks = pose.rotation[..., :2, :]
        seen = (frames - pose.place[:, None]) / pose.scale[:, None, None]
        excess = ((seen - shape @ np.swapaxes(looks, -1, -2)) ** 2).sum(-1)
        belief = 1 / (1 + excess / _DOUBT**2)
        # Each point by itself: the place from which all frames would see it as they do.
        matrix = np.einsum("tp,tki,tkj->pij", belief, looks, looks) + trust
        wanted = np.einsum("tp,tki,tpk->pi", belief, looks, seen) + known @ trust
        shape = _laid_on(np.linalg.solve(matrix, wanted[..., None])[..., 0], known)
    return shape


def split(points: Points, head: Floats) -> tuple[Pose, Floats]:
    """Poses, and expressions ... x 68 x 2; `Pose.show` puts them together again exactly.

    Args:
        points: ... x 68 x 2 pixels.
        head: 68 x 3, of `learn_head`.
    """
    pose = fit_pose(points, head)
    around = (points - pose.place[..., None, :]) / pose.scale[..., None, None]
    rest = around - (head @ np.swapaxes(pose.rotation, -1, -2))[..., :2]
    return pose, rest @ np.swapaxes(np.linalg.inv(_plane(pose.rotation)), -1, -2)


def blend_rotation(start: Floats, turn: Floats, share: float) -> Floats:
    """``start`` turned by ``share`` times the rotation ``turn``; both ... x 3 x 3."""
    return rotation_of(share * rotation_vectors(turn)) @ start


def rotation_of(vectors: Floats) -> Floats:
    """Rotations ... x 3 x 3 about axes ... x 3, by their lengths in radians."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = np.zeros((*vectors.shape, 3))
    for row, column, axis, sign in (
        *((2, 1, 0, 1), (1, 2, 0, -1), (0, 2, 1, 1)),
        *((2, 0, 1, -1), (1, 0, 2, 1), (0, 1, 2, -1)),
    ):
        cross[..., row, column] = sign * vectors[..., axis]
    # Rodrigues; np.sinc is sin(pi x) / (pi x), which knows its limit at 0.
    half = np.sinc(angle / (2 * np.pi)) ** 2 / 2
    return np.eye(3) + np.sinc(angle / np.pi) * cross + half * (cross @ cross)


def rotation_vectors(rotation: Floats) -> Floats:
    """The inverse of `rotation_of`, for angles below half a turn."""
    vector = np.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        -1,
    )
    sine = np.linalg.norm(vector, axis=-1) / 2
    angle = np.arctan2(sine, (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2)
    small = sine < 1e-9
    return vector * np.where(small, 0.5, angle / np.where(small, 1, 2 * sine))[..., None]


def limit_angles(rotation: Floats, rest: Floats, limit: float, slack: float) -> Floats:
    """Rotations whose yaw, pitch and roll stay near a range; ... x 3 x 3.

    Args:
        rotation: ... x 3 x 3.
        rest: 3 x 3, a rotation that is always allowed, with all up to it.
        limit: degrees to each side of zero, up to which nothing changes.
        slack: degrees beyond, that are approached and never reached.
    """
    angles, own = Pose(rotation, 0, 0).angles, Pose(rest, 0, 0).angles  # type: ignore[arg-type]
    low, high = np.minimum(-limit, own), np.maximum(limit, own)
    over, under = np.maximum(angles - high, 0), np.maximum(low - angles, 0)
    squeezed = angles - over + under
    squeezed += slack * (np.tanh(over / slack) - np.tanh(under / slack))
    outside = np.asarray((over + under).any(-1))[..., None, None]
    return np.where(outside, _turned(squeezed), rotation)


def _turned(angles: Floats) -> Floats:
    """The rotations that have these `Pose.angles`."""
    zero = np.zeros_like(angles[..., 0])
    yaw, pitch, roll = np.moveaxis(np.radians(angles), -1, 0)
    about_y = rotation_of(np.stack([zero, -yaw, zero], -1))
    about_x = rotation_of(np.stack([pitch, zero, zero], -1))
    about_z = rotation_of(np.stack([zero, zero, roll], -1))
    return about_z @ about_y @ about_x


def _centred(head: Floats) -> Floats:
    return head - STEADY @ head


def _completed(rows: Floats) -> Floats:
    """Rotations of which the first two rows are known."""
    return np.concatenate([rows, np.cross(rows[..., 0, :], rows[..., 1, :])[..., None, :]], -2)


def _plane(rotation: Floats) -> Floats:
    """How the face's own plane looks, ... x 2 x 2; never thinner than `_FLAT`."""
    left, sizes, right = np.linalg.svd(rotation[..., :2, :2])
    return (left * np.maximum(sizes, _FLAT)[..., None, :]) @ right


def _laid_on(shape: Floats, head: Floats) -> Floats:
    """A head turned, scaled and shifted on another one; the middle of the steady points is 0."""
    own, other = shape - _ALIGNED @ shape, head - _ALIGNED @ head
    left, _, right = np.linalg.svd((own * _ALIGNED[:, None]).T @ other)
    mirrored = np.array([1, 1, np.linalg.det(left @ right)])
    turned = own @ (left * mirrored) @ right
    size = (turned * other * _ALIGNED[:, None]).sum() / (turned**2 * _ALIGNED[:, None]).sum()
    return _centred(size * turned)
