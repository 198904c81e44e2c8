"""The orientation of a video frame: the turns and mirrorings with which it is shown."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

_MOST_UNKNOWN = 8  # kinds of data that are taken away from one frame


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to transpose, then to mirror left-right, then to flip top-bottom.

    The display matrix takes a stored position (p, q) to (a p + c q, b p + d q), y down. Only
    quarter turns and mirrorings occur in practice; others are rounded to the nearest.
    """
    if (matrix := _display_matrix(frame)) is None:
        return _turned(frame.rotation)
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def _display_matrix(frame: VideoFrame) -> bytes | None:
    """The display matrix of a frame, None if it has none or it cannot be had.

    PyAV reads all that is stored with a frame or nothing, and fails at kinds that are newer than
    itself; those are taken away.
    """
    for _ in range(_MOST_UNKNOWN):
        try:
            matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        except ValueError as error:
            unknown = re.match(r"(\d+) is not", str(error))
            if unknown is None:
                return None
            try:
                frame = _without(frame, int(unknown[1]))
            except (FFmpegError, ValueError):
                return None
        else:
            return None if matrix is None else bytes(matrix)
    return None


def _without(frame: VideoFrame, kind: int) -> VideoFrame:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    delete = graph.add("sidedata", f"mode=delete:type={kind}")
    sink = graph.add("buffersink")
    source.link_to(delete)
    delete.link_to(sink)
    graph.configure()
    graph.push(frame)
    taken = graph.pull()
    assert isinstance(taken, VideoFrame)
    return taken


def _turned(degrees: int) -> tuple[bool, bool, bool]:
    """The orientation for an angle counter-clockwise."""
    quarter = round(degrees / 90) % 4
    return {
        0: (False, False, False),
        1: (True, False, True),
        2: (False, True, True),
        3: (True, True, False),
    }[quarter]
