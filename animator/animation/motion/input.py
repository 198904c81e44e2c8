"""Motion files in the place of a driving video: what a job reads of one, and what it shows."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving
from animator.animation.motion.file import is_motion, read_motion
from animator.errors import AnimatorError
from animator.faces.stick_figure import draw_figure
from animator.files.local import quoted
from animator.settings import MediaLimits

__all__ = ["is_motion", "motion_of", "stick_figures"]

_LONGEST = 1024  # pixels of the longer side of a picture


def motion_of(
    path: str, start: Fraction | None, end: Fraction | None, limits: MediaLimits
) -> Driving:
    """The part of a motion file between two times in seconds, as a job has driving videos.

    Raises:
        AnimatorError: `too_long`, `no_frames`, and those of `read_motion`.
    """
    driving = read_motion(path, limits).driving.part(start, end)
    seconds = driving.pts[-1] * driving.time_base
    if seconds > limits.max_seconds:
        message = (
            f"{quoted(path)} has {float(seconds):.1f} s; {limits.max_seconds} s are allowed. "
            "Choose a part with --start and --end."
        )
        raise AnimatorError("too_long", message)
    return driving


def stick_figures(
    driving: Driving, frames: NDArray[np.intp]
) -> Generator[NDArray[np.uint8], None, None]:
    """The faces of some frames as lines, H W 3 each; a frame without one is empty."""
    landmarks, found = driving.landmarks, driving.landmarks.found
    # No larger than is of use, as the video may have had very large frames.
    width, height = driving.size
    scale = min(_LONGEST / max(width, height), 1.0)
    width, height = max(round(width * scale), 1), max(round(height * scale), 1)
    for frame in frames.tolist():
        points = (landmarks.points[frame] + 0.5) * scale - 0.5 if found[frame] else None
        yield draw_figure(points, width, height)
