"""A person of a picture, and how that one moves, as plans have it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animator.animation.faces.following import rising_frames
from animator.animation.persons.dance import Dance
from animator.animation.rollout.generator import RolloutGenerator
from animator.faces.framing import even
from animator.media.decode import MediaLimits
from animator.persons.windows import Window
from animator.spec import JobSpec
from gfla.arrays import Picture, Points
from gfla.guidance.skeleton import skeleton_picture
from gfla.joints import MISSING, Joints, found
from gfla.models.rollout import RolloutState

_LONGEST = 512
"""Pixels of the longer side of a picture of a skeleton."""


@dataclass(frozen=True, eq=False)
class PersonSource:
    """The picture of a person.

    Attributes:
        picture: uint8 H W 3.
        points: 18 x 2 pixels, -1 where a joint was not found.
        square: the part of the picture that is animated.
        faces: how many persons the picture shows.
        notes: codes of `animator.media.notes.NOTES`.
        moving: None, as no video stands for a person.
    """

    picture: Picture
    points: Joints
    square: Window
    faces: int
    notes: tuple[str, ...] = ()
    moving: None = None


@dataclass(frozen=True, eq=False)
class PersonPlan:
    """The person of a picture, and how that one moves.

    Attributes:
        source: the picture with the person.
        driving: what is kept of what moves the person.
        targets: T' x 18 x 2 pixels of what the networks see, in every frame of the result.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed nobody.
        canvas: height and width of what the networks see.
        aspect: width of the result in units of its height.
        names: what each driving frame is called, if it is called anything.
        beyond: 0, and all below is as `animator.animation.faces.figure.FacePlan` has it.
    """

    source: PersonSource
    driving: Dance
    targets: Joints
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]
    aspect: float = 1.0
    names: tuple[str, ...] = ()
    beyond: int = 0
    number: None = None
    driven_by: str = "driving"
    shown: None = None
    still: bool = False

    @property
    def points(self) -> Joints:
        """18 x 2, the source's own joints in pixels of what the networks see."""
        return self.source.square.place(self.source.points, self.canvas)

    @property
    def own(self) -> Joints:
        """As `points`."""
        return self.points

    def square(self, number: int) -> Window:
        """The part of the source's picture that is animated."""
        return self.source.square

    def seen(self, generator: RolloutGenerator, size: int) -> Picture:
        """What the networks see of the source."""
        return self.source.square.cut(self.source.picture, self.canvas, generator.resample)

    def unmoved(self, generator: RolloutGenerator, size: int) -> Picture:
        """As `seen`."""
        return self.seen(generator, size)

    def motion(
        self, generator: RolloutGenerator, number: int, own: Points, state: RolloutState
    ) -> None:
        """None: all of a generated person is shown, as the whole body moves."""

    def driving_pictures(
        self, spec: JobSpec, kept: NDArray[np.intp], limits: MediaLimits
    ) -> Generator[Picture, None, None]:
        """The driving pictures of the frames that are kept; of joints alone, skeletons."""
        if self.driving.pictures:
            for rising in np.split(kept, np.flatnonzero(np.diff(kept) < 0) + 1):
                yield from rising_frames(spec, rising, limits)
            return
        for frame in kept.tolist():
            yield skeleton(self.driving.landmarks.joints[frame], self.driving.size)

    def extent(self, size: int) -> tuple[int, int]:
        """Width and height in pixels of what is animated, where that is so high."""
        return even(size * self.aspect), size

    def distances(self) -> NDArray[np.floating]:
        """T', how far the joints of each frame are from the source's."""
        both = found(self.targets) & found(self.points)
        away = np.where(both[..., None], self.targets - self.points, 0)
        return np.asarray((away**2).sum((1, 2)))

    def driving_points(self, frame: int) -> NDArray[np.floating]:
        """N x 2, the joints of a driving frame in pixels of its picture."""
        joints = self.driving.landmarks.joints[frame]
        scale = 1.0 if self.driving.pictures else skeleton_scale(self.driving.size)
        return joints[found(joints)] * scale

    def first(self, frames: int) -> PersonPlan:
        """The same person in so many frames of the result."""
        return replace(self, targets=self.targets[:frames], kept=self.kept[:frames])


def skeleton_scale(size: tuple[int, int]) -> float:
    """By how much the skeleton in a picture of this width and height is drawn smaller."""
    return min(_LONGEST / max(size), 1.0)


def skeleton(joints: Joints, size: tuple[int, int]) -> Picture:
    """The skeleton of a person on black, uint8 H W 3.

    Args:
        joints: 18 x 2 pixels of a picture, -1 where missing.
        size: its width and height; one that is large is drawn smaller.
    """
    scale = skeleton_scale(size)
    width, height = (max(round(side * scale), 1) for side in size)
    placed = np.where(found(joints)[:, None], joints * scale, MISSING)
    return skeleton_picture(placed, (height, width))
