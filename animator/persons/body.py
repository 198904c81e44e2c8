"""A person in a picture: the joints, who it is from frame to frame, and what finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.models.crops import Region
from gfla.joints import Joints

SAME_BODY = 0.3
"""Least overlap of boxes that are one person's, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Body:
    """One person in a picture.

    Attributes:
        joints: 18 x 2 pixels (x, y) in the order of ``gfla.joints.JOINTS``, -1 where not found.
        box: left, top, right and bottom in pixels.
        score: how certain it is that this is a person, 0 to 1.
        region: where a detector that follows persons looks for this one in the next frame; None
            for other detectors.
    """

    joints: Joints
    box: tuple[float, float, float, float]
    score: float
    region: Region | None = None

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)


class BodyDetector(Protocol):
    """Finds persons and their joints."""

    def find(self, picture: NDArray[np.uint8]) -> list[Body]:
        """The persons in a picture uint8 H W 3 RGB, the largest first."""
        ...


@runtime_checkable
class FollowingDetector(BodyDetector, Protocol):
    """Finds persons in a frame of a video better for knowing where they were before."""

    def find_after(self, picture: NDArray[np.uint8], before: Sequence[Body]) -> list[Body]:
        """Those of the frame before, where they were; if one is there no more, all as `find`."""
        ...


def overlap(one: Body, other: Body) -> float:
    """Common area in parts of the area of both boxes, 0 to 1."""
    left, top = (max(one.box[i], other.box[i]) for i in (0, 1))
    right, bottom = (min(one.box[i], other.box[i]) for i in (2, 3))
    common = max(0.0, right - left) * max(0.0, bottom - top)
    whole = one.area + other.area - common
    return common / whole if whole > 0 else 0.0


def largest_body(picture: NDArray[np.uint8], detector: BodyDetector, what: str | Path) -> Joints:
    """The joints of the largest person.

    Raises:
        AnimatorError: no_body.
    """
    bodies = detector.find(picture)
    if not bodies:
        raise AnimatorError("no_body", f"No person was found in {quoted(what)}.")
    return bodies[0].joints
