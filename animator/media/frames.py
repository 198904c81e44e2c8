"""Video frames and their timestamps, which always travel together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Consecutive frames of one video.

    Timestamps stay integers in an exact time base, so that nothing is rounded between the driving
    video and the result, whatever the frame rate.

    Attributes:
        pixels: uint8 T H W 3, RGB.
        pts: T presentation timestamps in units of `time_base`, strictly increasing. The first of a
            video need not be 0 and the steps need not be even.
        time_base: seconds per unit of `pts`.

    Raises:
        TypeError: if the pixels are not uint8 or the time base is not a Fraction.
        ValueError: if shape, number of timestamps, their order or the time base do not fit.
    """

    pixels: npt.NDArray[np.uint8]
    pts: tuple[int, ...]
    time_base: Fraction

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8:
            raise TypeError(f"frames must be uint8, got {self.pixels.dtype}")
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise ValueError(f"frames must have the shape T H W 3, got {self.pixels.shape}")
        if not isinstance(self.time_base, Fraction):
            raise TypeError(f"the time base must be a Fraction, got {type(self.time_base)}")
        if self.time_base <= 0:
            raise ValueError(f"the time base must be positive, got {self.time_base}")
        if len(self.pts) != len(self.pixels):
            raise ValueError(f"{len(self.pixels)} frames need as many pts, got {len(self.pts)}")
        if any(late <= early for early, late in zip(self.pts, self.pts[1:], strict=False)):
            raise ValueError(f"pts must increase strictly, got {self.pts}")

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.pts)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """float64 T, the timestamps in seconds: for filters, not for writing a video."""
        return np.asarray([float(pts * self.time_base) for pts in self.pts], dtype=np.float64)
