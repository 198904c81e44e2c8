"""Animated pictures that libav cannot play as browsers do, read by Pillow.

These are WebP and AVIF, GIF with frames that have no control block or last 10 ms, and APNG with
frames that last no time. As in all players, a frame of at most 10 ms is one of 100 ms.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.media.frame_source import FileFacts
from animator.settings import MediaLimits

_HEAD = 64  # bytes in which a file says what it is
_SHORTEST_MS = 10
_INSTEAD_MS = 100
_UNIT = 1000  # parts of a millisecond, so that the fractions of APNG are kept
_MOST_READ = 64 * 1024**2  # bytes of a GIF or APNG whose frames' delays are looked at


class AnimatedPicture:
    """The frames of an open animated picture.

    Attributes:
        size: width and height in pixels.
        count: how many frames there are.
        format: "gif", "apng", "webp" or "avif".
        time_base: seconds per unit of a timestamp.
        rate: frames a second, going by the first frame.
        faults: sentences about what could not be read so far.
    """

    def __init__(self, path: Path, image: Image.Image, first: int, resources: ExitStack) -> None:
        self._path, self._image, self._first, self._resources = path, image, first, resources
        self.size = image.size
        self.count = getattr(image, "n_frames", 1) - first
        self.format = {"PNG": "apng"}.get(image.format or "", (image.format or "").lower())
        self.time_base = Fraction(1, 1000 * _UNIT)
        self.faults: list[str] = []
        self.rate = 1 / (_delay(image) * self.time_base)

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    def frames(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames from the first on, with their timestamps.

        Raises:
            AnimatorError: unreadable_video if the first is damaged, out_of_memory.
        """
        pts = 0
        self.faults.clear()
        for index in range(self.count):
            try:
                self._image.seek(self._first + index)
                pixels = np.asarray(self._image.convert("RGBA"))
            except MemoryError as error:
                message = f"{quoted(self._path)} needs more memory than there is."
                raise AnimatorError("out_of_memory", message, retryable=True) from error
            except Exception as error:  # noqa: BLE001 - hostile bytes may raise anything
                if index == 0:
                    message = f"{quoted(self._path)} is damaged: {error}."
                    raise AnimatorError("unreadable_video", message) from error
                lost = self.count - index
                self.faults.append(
                    f"The animation is damaged: {lost} of its {self.count} frames are missing."
                )
                return
            opaque = pixels[..., 3].min() == 255
            shown = np.ascontiguousarray(pixels[..., :3] if opaque else pixels)
            yield pts, VideoFrame.from_ndarray(shown, "rgb24" if opaque else "rgba")
            pts += _delay(self._image)


class AnimatedFile:
    """An animated picture as a source of frames."""

    def __init__(self, picture: AnimatedPicture) -> None:
        self._picture = picture
        self.time_base = picture.time_base
        self._frames = picture.frames()

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        return self._picture.faults

    def next(self) -> tuple[int, VideoFrame] | None:
        """The next frame and its timestamp."""
        return next(self._frames, None)

    def go_before(self, seconds: Fraction) -> tuple[int, VideoFrame] | None:
        """The first frame again: there are no jumps."""
        self._frames = self._picture.frames()
        return self.next()

    def facts(self) -> FileFacts:
        """What the header says."""
        rate = self._picture.rate
        return FileFacts(
            rate=rate,
            duration=self._picture.count / rate,
            frames=self._picture.count,
            pixel_aspect=None,
            has_audio=False,
            format=self._picture.format,
            codec=self._picture.format,
        )

    def moments(self) -> Iterator[int | None]:
        """The times of all frames."""
        for pts, _ in self._picture.frames():
            yield pts

    def key_times(self, most: int) -> list[int]:
        """No times, as there is no index."""
        return []

    def close(self) -> None:
        """Close the file."""
        self._picture.close()


def open_animated(path: Path, limits: MediaLimits) -> AnimatedPicture | None:
    """Open an animated picture of a kind that is read here; None for all other files.

    Raises:
        AnimatorError: those of `animator.files.local.open_file`; unreadable_video.
    """
    with ExitStack() as resources:
        file = resources.enter_context(open_file(path, limits))
        head = file.read(_HEAD)
        file.seek(0)
        kind = _kind(head)
        if kind is None or (kind in ("GIF", "PNG") and not _lacks_delays(file, kind)):
            return None
        file.seek(0)
        try:
            image = Image.open(io.BufferedReader(file), formats=[kind])
            first = int(bool(getattr(image, "default_image", False)))
            if getattr(image, "n_frames", 1) - first < 2:
                return None
            if image.size[0] * image.size[1] <= limits.max_frame_pixels:
                image.seek(first)
                image.load()
        except Exception:  # noqa: BLE001 - hostile bytes may raise anything; libav tells what it is
            return None
        return AnimatedPicture(path, image, first, resources.pop_all())


def _kind(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20] & 2:
        return "WEBP"
    if head[4:12] in (b"ftypavis", b"ftypavif"):
        return "AVIF"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    return "PNG" if head.startswith(b"\x89PNG\r\n\x1a\n") else None


def _delay(image: Image.Image) -> int:
    """How long the current frame lasts."""
    milliseconds = image.info.get("duration") or 0
    return round((milliseconds if milliseconds > _SHORTEST_MS else _INSTEAD_MS) * _UNIT)


def _lacks_delays(file: io.FileIO, kind: str) -> bool:
    """Whether libav would take frames for longer or shorter than browsers do."""
    content = file.read(_MOST_READ)
    try:
        return _gif_lacks(content) if kind == "GIF" else _apng_lacks(content)
    except IndexError:
        return False  # it breaks off


def _gif_lacks(content: bytes) -> bool:
    place, controlled, pictures, lacking = 13 + _table(content[10]), False, 0, False
    while content[place] != 0x3B:
        if content[place] == 0x21:
            if content[place + 1] == 0xF9:
                controlled = int.from_bytes(content[place + 4 : place + 6], "little") != 1
            place += 2
        elif content[place] == 0x2C:
            pictures += 1
            lacking |= not controlled
            controlled = False
            place += 11 + _table(content[place + 9])
        else:
            return False
        while content[place]:
            place += 1 + content[place]
        place += 1
    return pictures > 1 and lacking


def _table(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _apng_lacks(content: bytes) -> bool:
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] == b"fcTL":
            above = int.from_bytes(content[place + 28 : place + 30], "big")
            below = int.from_bytes(content[place + 30 : place + 32], "big") or 100
            if above * 1000 <= _SHORTEST_MS * below:
                return True
        place += 12 + length
    return False
