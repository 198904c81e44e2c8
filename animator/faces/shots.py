"""Changes of the shot in a video, as trackers, plans and checks see them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

CUT = 0.4
"""Mean change of a thumbnail, in units of its contrast, that makes a change of shot: cuts show 0.5
and more, fast motion at most 0.3."""
FLASH = 3
"""Frames after which a shot that is as before makes a flash of light of what lay between."""
_SIDE = 24


class ShotDetector:
    """Finds the frames with which a new shot begins, from thumbnails of successive frames.

    State lies in the detector, so that a video may come in batches of any size.

    Attributes:
        changes: the frames, from 0, that differ much from the one before.
        cuts: those of them with which a new shot began: without flashes of light.
    """

    def __init__(self) -> None:
        self.changes: list[int] = []
        self.cuts: list[int] = []
        self._frames = 0
        self._last: NDArray[np.float32] | None = None
        self._before_cut: NDArray[np.float32] | None = None

    def changed(self, frame: NDArray[np.uint8]) -> bool:
        """Whether the next frame, uint8 H x W x 3, differs much from the one before it."""
        number, self._frames = self._frames, self._frames + 1
        step = max(min(frame.shape[:2]) // 96, 1)
        small = cv2.resize(frame[::step, ::step], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        before, self._last = self._last, np.asarray(small, np.float32)
        if before is None or not _differ(before, self._last):
            return False
        self.changes.append(number)
        flash = bool(self.cuts) and number - self.cuts[-1] <= FLASH
        if flash and self._before_cut is not None and not _differ(self._before_cut, self._last):
            self.cuts.pop()
            self._before_cut = None
        else:
            self.cuts.append(number)
            self._before_cut = before
        return True


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    # Noise alone must not turn two black frames into two shots.
    contrast = (float(one.std()) + float(other.std())) / 2 + 4
    return float(np.abs(other - one).mean()) > CUT * contrast


def spans(cuts: Sequence[int], found: NDArray[np.bool_]) -> list[slice]:
    """The stretches of frames that are animated by themselves, each with a face.

    A shot in which no frame shows a face goes with the one before it, or after it at the beginning.

    Args:
        cuts: the frames with which a new shot begins.
        found: T, whether a frame shows the face.
    """
    edges = [0, *(cut for cut in cuts if 0 < cut < len(found)), len(found)]
    begins = [
        first for first, last in zip(edges[:-1], edges[1:], strict=True) if found[first:last].any()
    ]
    begins = [0, *begins[1:]]
    return [slice(*edge) for edge in zip(begins, [*begins[1:], len(found)], strict=True)]


def cuts_sentence(seconds: Sequence[float], *, least: bool = False) -> str:
    """What a person should know of a driving video with cuts at so many seconds.

    Args:
        seconds: of each cut.
        least: whether only some frames were looked at.
    """
    count = "1 cut" if len(seconds) == 1 else f"{len(seconds)} cuts"
    where = f"before {seconds[0]:.1f} s" if least else f"at {seconds[0]:.1f} s"
    at = where if len(seconds) == 1 else f"the first {where}"
    few = "at least " if least else ""
    return (
        f"The driving video has {few}{count}, {at}; each shot is animated by itself, from a pose "
        "of its own."
    )
