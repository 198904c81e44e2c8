"""The preview: the newest frame of a job as a small JPEG, drawn only while somebody looks."""

from __future__ import annotations

import time

import cv2
import numpy as np

from animator.watch import PreviewSink
from gfla.arrays import Picture

PREVIEW_SECONDS = 1.0
"""Least time between two pictures."""
LARGEST_SIDE = 512
"""Of a picture, in pixels."""
_QUALITY = 80


class Preview:
    """Shows frames while they are wanted, one a second at most.

    Args:
        sink: says whether they are, and takes them; None if nobody ever looks.
    """

    def __init__(self, sink: PreviewSink | None) -> None:
        self._sink = sink
        self._drawn = -PREVIEW_SECONDS

    def offer(self, frame: Picture) -> None:
        """Show a frame, uint8 H x W x 3, if it is time to; takes a few milliseconds then."""
        if self._sink is None or not self._sink.preview_wanted:
            return
        now = time.monotonic()
        if now - self._drawn >= PREVIEW_SECONDS:
            self._drawn = now
            self._sink.show_preview(draw(frame))


def draw(frame: Picture) -> bytes:
    """A frame, uint8 H x W x 3, as a JPEG with sides of at most `LARGEST_SIDE` pixels."""
    height, width = frame.shape[:2]
    scale = LARGEST_SIDE / max(height, width)
    if scale < 1:
        # Of a very large frame some of the pixels do, in about half the time.
        step = max(int(0.5 / scale), 1)
        frame = frame[::step, ::step]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes()
