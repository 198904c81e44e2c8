"""The sides from which an object is shown in the frames of a result, as an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animator.views.turntable import SeenFrom, ViewPath


@dataclass(frozen=True, eq=False)
class ViewTrack:
    """The sides of T frames.

    Attributes:
        views: float32 T x 1 x 2 degrees, azimuth and elevation: one point, where faces have 68.

    Raises:
        ValueError: for another shape.
    """

    views: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.views.ndim != 3 or self.views.shape[1:] != (1, 2):
            raise ValueError(f"views must be T x 1 x 2, got {self.views.shape}")

    @classmethod
    def of(cls, path: ViewPath) -> ViewTrack:
        """The sides of a path, one a frame."""
        return cls(np.array(path.views, np.float32)[:, None])

    def __len__(self) -> int:
        return len(self.views)

    @property
    def found(self) -> NDArray[np.bool_]:
        """T: whether the frame shows the object, which all do."""
        return np.ones(len(self.views), bool)

    def part(self, frames: slice) -> ViewTrack:
        """The sides in a stretch of the frames."""
        return ViewTrack(self.views[frames])


def side_of(point: NDArray[np.floating]) -> SeenFrom:
    """The side of one frame, 1 x 2."""
    azimuth, elevation = point[0].round().astype(int).tolist()
    return SeenFrom(azimuth, elevation)
