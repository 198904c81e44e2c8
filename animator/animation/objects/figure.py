"""An object of a picture, and the sides it is shown from, as plans have it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Followed
from animator.animation.rollout.generator import RolloutGenerator
from animator.media.decode import MediaLimits
from animator.persons.windows import Window
from animator.spec import JobSpec
from animator.views.compass import compass
from animator.views.track import ViewTrack, side_of
from gfla.arrays import Picture, Points
from gfla.models.rollout import RolloutState


@dataclass(frozen=True, eq=False)
class ObjectSource:
    """The picture of an object.

    Attributes:
        picture: uint8 H W 3.
        points: 1 x 2, the azimuth and elevation in degrees from which it shows the object.
        notes: codes of `animator.media.notes.NOTES`.
        faces: how many objects it shows, as `animator.animation.faces.following.Source` has it.
        moving: None, as no video stands for an object.
    """

    picture: Picture
    points: NDArray[np.float32]
    notes: tuple[str, ...] = ()
    faces: int = 1
    moving: None = None

    @property
    def square(self) -> Window:
        """All of the picture, with its border repeated until it is as wide as high."""
        height, width = self.picture.shape[:2]
        side = max(height, width)
        return Window((width - side) // 2, (height - side) // 2, side, side)


@dataclass(frozen=True, eq=False)
class ObjectPlan:
    """The object of a picture, and the sides it is shown from.

    Attributes:
        source: the picture.
        driving: the sides, and when each is shown.
        targets: T' x 1 x 2 degrees, in every frame of the result.
        kept: T', the number of each among the driving ones.
        missing: empty, and all below is as `animator.animation.faces.figure.FacePlan` has it.
    """

    source: ObjectSource
    driving: Followed[ViewTrack]
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...] = ()
    beyond: int = 0
    number: None = None
    driven_by: str = "driving"
    shown: None = None
    still: bool = False

    @property
    def points(self) -> NDArray[np.float32]:
        """1 x 2, the source's own side."""
        return self.source.points

    @property
    def own(self) -> NDArray[np.float32]:
        """As `points`."""
        return self.points

    def square(self, number: int) -> Window:
        """The part of the source's picture that the networks see."""
        return self.source.square

    def seen(self, generator: RolloutGenerator, size: int) -> Picture:
        """What the networks see of the source."""
        side = generator.inner_size(size)
        return self.source.square.cut(self.source.picture, (side, side))

    def unmoved(self, generator: RolloutGenerator, size: int) -> Picture:
        """As `seen`."""
        return self.seen(generator, size)

    def motion(
        self, generator: RolloutGenerator, number: int, own: Points, state: RolloutState
    ) -> None:
        """None: all of a generated view is shown."""

    def driving_pictures(
        self, spec: JobSpec, kept: NDArray[np.intp], limits: MediaLimits
    ) -> Generator[Picture, None, None]:
        """A picture of where the object is seen from, for each frame that is kept."""
        for frame in kept.tolist():
            yield compass(side_of(self.driving.landmarks.views[frame]))

    def extent(self, size: int) -> tuple[int, int]:
        """Width and height in pixels of what is shown, where that is so high."""
        return size, size

    def distances(self) -> NDArray[np.floating]:
        """T', how far each frame's side is from the source's, in squared degrees."""
        away = np.abs(self.targets - self.points)
        away[..., 0] = np.minimum(away[..., 0], 360 - away[..., 0])
        return np.asarray((away**2).sum((1, 2)))

    def driving_points(self, frame: int) -> NDArray[np.floating]:
        """None: a side is no place in a picture."""
        return np.empty((0, 2), np.float32)

    def first(self, frames: int) -> ObjectPlan:
        """The same object in so many frames of the result."""
        return replace(self, targets=self.targets[:frames], kept=self.kept[:frames])
