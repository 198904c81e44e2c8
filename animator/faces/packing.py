"""Landmarks on a fine grid, and on it in few bytes without loss.

A detector's numbers end in noise, which no coding makes small. So the landmarks of a video are
rounded before anything is made of them, to a grid that is finer than a 4000th of the face: a
fiftieth of a pixel in a face square of 256, and a tenth of what the best detector is unsure of.
What is on a grid is kept as whole numbers: what each point does beside the mean of all, byte by
byte, point after point, in an XZ stream.
"""

from __future__ import annotations

import lzma

import numpy as np
from numpy.typing import NDArray

from animator.faces.landmarks import POINTS, Landmarks
from animator.faces.measures import face_extent

FINENESS = 4096
"""Least number of steps of the grid across a face."""
MAX_POWER = 10
"""Of the finest grid, whose step is a 1024th of a pixel."""
MAX_PLANES = 4
FARTHEST = 2.0**20
"""Pixels from the picture's corner beyond which no landmark lies."""
_BLOCK = 4096  # frames that are coded together, so that memory does not grow with a video
_CHANNELS = 2 + 2 * POINTS  # the mean of all points, then what each does beside it
_MEMORY = 32 << 20
# What is left is noise, and the neighbours of a byte tell nothing about it.
_FILTERS = [
    {
        **{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20},
        **{"lc": 0, "lp": 0, "pb": 0},
    }
]


def settle(landmarks: Landmarks) -> Landmarks:
    """The landmarks with their points on a grid that fits the face; boxes stay as they are."""
    found = landmarks.found
    if not found.any():
        return landmarks
    extent = float(np.median(face_extent(landmarks.points[found])))
    power = int(np.clip(np.ceil(np.log2(FINENESS / max(extent, 1e-3))), 0, MAX_POWER))
    # A power of two, so that what is rounded is exact as float32.
    points = np.round(landmarks.points.astype(np.float64) * 2.0**power) / 2.0**power
    return Landmarks(points.astype(np.float32), landmarks.boxes, landmarks.confidence)


def pack_points(points: NDArray[np.float32]) -> tuple[bytes, int, int]:
    """Points F x 68 x 2 that are on a grid, all finite, in few bytes.

    Returns:
        The bytes, the power of the grid, whose step is 2 to the minus that, and how many bytes
        each number has before they are made few. `unpack_points` wants all three.

    Raises:
        ValueError: if they are on no grid that is known here.
    """
    exact = points.astype(np.float64).reshape(len(points), 2 * POINTS)
    power = next((p for p in range(MAX_POWER + 1) if _is_whole(exact * 2.0**p)), None)
    if power is None or (len(exact) and np.abs(exact).max() > FARTHEST):
        raise ValueError("the points are on no grid")
    # Steps from frame to frame: of all points together, and of each beside that.
    whole = (exact * 2.0**power).astype(np.int64)
    steps = np.diff(whole, axis=0, prepend=np.zeros((1, 2 * POINTS), np.int64))
    steps = steps.reshape(-1, POINTS, 2)
    mean = (2 * steps.sum(1) + POINTS) // (2 * POINTS)
    beside = (steps - mean[:, None]).reshape(-1, 2 * POINTS)
    values = np.concatenate([mean, beside], 1)
    unsigned = ((values << 1) ^ (values >> 63)).astype(np.uint64)
    planes = max((int(unsigned.max(initial=0)).bit_length() + 7) // 8, 1)
    # Byte by byte, channel after channel.
    coder = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=_FILTERS)
    parts = [coder.compress(_to_bytes(unsigned[i : i + _BLOCK], planes))
             for i in range(0, len(unsigned), _BLOCK)]  # fmt: skip
    return b"".join([*parts, coder.flush()]), power, planes


def unpack_points(content: bytes, frames: int, power: int, planes: int) -> NDArray[np.float32]:
    """The points that `pack_points` made bytes of, F x 68 x 2.

    No more memory is taken than ``frames`` asks for, whatever the bytes are.

    Raises:
        ValueError: if the bytes are damaged, or are not those of so many frames.
    """
    if not (0 <= power <= MAX_POWER and 1 <= planes <= MAX_PLANES):
        raise ValueError("the points are on no grid that is known here")
    stream = XzStream(content)
    points = np.empty((frames, POINTS, 2), np.float32)
    last = np.zeros(2 * POINTS, np.int64)
    for first in range(0, frames, _BLOCK):
        count = min(_BLOCK, frames - first)
        unsigned = _from_bytes(stream.read(count * _CHANNELS * planes), planes)
        values = (unsigned >> 1).astype(np.int64) ^ -(unsigned & 1).astype(np.int64)
        mean, beside = values[:, None, :2], values[:, 2:].reshape(-1, POINTS, 2)
        whole = last + np.cumsum((mean + beside).reshape(-1, 2 * POINTS), 0)
        last = whole[-1]
        if np.abs(whole).max() > FARTHEST * 2.0**power:
            raise ValueError("the points lie outside of any picture")
        points[first : first + count] = (whole / 2.0**power).reshape(-1, POINTS, 2)
    stream.end()
    return points


class XzStream:
    """The content of an XZ stream, read piece by piece in bounded memory.

    Args:
        content: the whole stream.
    """

    def __init__(self, content: bytes) -> None:
        self._coder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        self._content: bytes | None = content

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            ValueError: if there are fewer, or the stream is damaged.
        """
        parts: list[bytes] = []
        while size:
            part = self._next(size)
            if not part:
                raise ValueError("the stream ends too early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Refuse a stream that goes on, or whose checksum is wrong.

        Raises:
            ValueError: if so.
        """
        if self._next(1) or not self._coder.eof or self._coder.unused_data:
            raise ValueError("the stream is too long")

    def _next(self, size: int) -> bytes:
        content, self._content = self._content or b"", b""
        try:
            return b"" if self._coder.eof else self._coder.decompress(content, size)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError("the stream is damaged") from error


def pack_bytes(content: bytes) -> bytes:
    """Bytes as an XZ stream, for `XzStream`."""
    return lzma.compress(content, lzma.FORMAT_XZ, filters=_FILTERS)


def _is_whole(values: NDArray[np.float64]) -> bool:
    return bool((values == np.round(values)).all())


def _to_bytes(values: NDArray[np.uint64], planes: int) -> bytes:
    """F x C values as their lowest bytes, then the next ones; each channel after channel."""
    turned = np.ascontiguousarray(values.T, "<u8").view(np.uint8).reshape(-1, 8)
    return turned[:, :planes].T.tobytes()


def _from_bytes(content: bytes, planes: int) -> NDArray[np.uint64]:
    """What `_to_bytes` made bytes of, F x C."""
    lowest = np.frombuffer(content, np.uint8).reshape(planes, -1).T
    wide = np.zeros((len(lowest), 8), np.uint8)
    wide[:, :planes] = lowest
    values = wide.view("<u8").reshape(_CHANNELS, -1)
    return np.ascontiguousarray(values.T).astype(np.uint64)
