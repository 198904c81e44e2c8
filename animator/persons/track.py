"""The joints of one person in the frames of a video, as a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gfla.joints import JOINTS, found


@dataclass(frozen=True, eq=False)
class BodyTrack:
    """The joints of one person in T frames.

    Attributes:
        joints: float64 T x 18 x 2 pixels of the frame, -1 where a joint was not found.
        canvas: height and width of the frames, None where the joints came without pictures.

    Raises:
        ValueError: for another shape, or numbers that are not finite.
    """

    joints: NDArray[np.float64]
    canvas: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.joints.ndim != 3 or self.joints.shape[1:] != (len(JOINTS), 2):
            raise ValueError(f"joints must be T x {len(JOINTS)} x 2, got {self.joints.shape}")
        if self.joints.dtype != np.float64 or not np.isfinite(self.joints).all():
            raise ValueError("joints must be finite float64")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def found(self) -> NDArray[np.bool_]:
        """T: whether the frame shows the person."""
        return np.asarray(found(self.joints).any(-1))

    def part(self, frames: slice) -> BodyTrack:
        """The joints in a stretch of the frames."""
        return BodyTrack(self.joints[frames], self.canvas)
