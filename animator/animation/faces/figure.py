"""A face of a portrait, and how it moves, as plans have it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.reach import FaceMotion
from animator.animation.driving import Driving
from animator.animation.faces.following import Source, driving_frames
from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.generator import RolloutGenerator
from animator.faces.crop import Square, crop_square
from animator.faces.moving_square import cut_square
from animator.media.decode import MediaLimits
from animator.spec import JobSpec
from gfla.arrays import Picture, Points
from gfla.models.rollout import RolloutState

_STILL = 1e-6
"""Units of the crop, by which landmarks differ that were moved by nothing."""


@dataclass(frozen=True, eq=False)
class FacePlan:
    """One face of the portrait, and how it moves.

    Attributes:
        source: the portrait with this face.
        driving: what is kept of the video that moves it.
        targets: T' x 68 x 2, its landmarks in every frame of the result, in units of its square.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed no face.
        beyond: frames in which the head would turn out of the range that the networks know.
        number: which face it is, from the left from 1; None where one alone is asked for.
        driven_by: name of the file that moves it, as `JobSpec.drivings` has it.
        shown: T', the frame of the source that each shows, where that is a video.
    """

    source: Source
    driving: Driving
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    beyond: int = 0
    number: int | None = None
    driven_by: str = "driving"
    shown: NDArray[np.intp] | None = None

    @property
    def own(self) -> NDArray[np.float32]:
        """The source's own landmarks in units of the square: 68 x 2, of a video T' x 68 x 2."""
        if self.source.moving is None or self.shown is None:
            return self.source.crop_units(self.source.points)
        return self.source.moving.units(self.shown)

    @property
    def still(self) -> bool:
        """Whether the driving motion moves nothing: all landmarks are the source's own."""
        away = np.abs(self.targets - self.own)
        if self.source.moving is not None and self.shown is not None:
            away = away[self.source.moving.there[self.shown]]
        return bool(away.max(initial=0) < _STILL)

    def square(self, number: int) -> Square:
        """The part of the source's picture that is animated in a frame of the result."""
        if self.source.moving is None or self.shown is None:
            return self.source.square
        return self.source.moving.square(int(self.shown[number]))

    @property
    def points(self) -> NDArray[np.float32]:
        """68 x 2, the source's own landmarks where a clip begins, in units of the square."""
        return self.source.crop_units(self.source.points)

    def seen(self, generator: RolloutGenerator, size: int) -> Picture:
        """What the networks see of the source where a clip begins."""
        cut = crop_square if self.source.moving is None else cut_square
        return cut(self.source.picture, self.source.square, generator.inner_size(size))

    def unmoved(self, generator: RolloutGenerator, size: int) -> Picture:
        """The face as it is in the source, as large as the networks render it."""
        return crop_square(self.source.picture, self.source.square, generator.inner_size(size))

    def motion(
        self, generator: RolloutGenerator, number: int, own: Points, state: RolloutState
    ) -> FaceMotion:
        """How the face has moved in a frame, after which its clip is in this state.

        ``own`` is `own`, which a caller keeps.
        """
        assert isinstance(generator, PortraitGenerator)
        source = own if own.ndim == 2 else own[number]
        return FaceMotion(generator.flow(state), source, self.targets[number])

    def driving_pictures(
        self, spec: JobSpec, kept: NDArray[np.intp], limits: MediaLimits
    ) -> Generator[Picture, None, None]:
        """The driving pictures of the frames that are kept; see `driving_frames`."""
        return driving_frames(spec, self.driving, kept, limits)

    def extent(self, size: int) -> tuple[int, int]:
        """Width and height in pixels of what is animated, where that is so high."""
        return size, size

    def distances(self) -> NDArray[np.floating]:
        """T', how far the landmarks of each frame are from the source's."""
        return np.asarray(((self.targets - self.points) ** 2).sum((1, 2)))

    def driving_points(self, frame: int) -> NDArray[np.floating]:
        """N x 2, the landmarks of a driving frame in its pixels."""
        points = self.driving.landmarks.points[frame]
        return points if np.isfinite(points).all() else points[:0]

    def first(self, frames: int) -> FacePlan:
        """The same face in so many frames of the result."""
        shown = None if self.shown is None else self.shown[:frames]
        return replace(self, targets=self.targets[:frames], kept=self.kept[:frames], shown=shown)
