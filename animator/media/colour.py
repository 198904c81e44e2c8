"""Colours of frames and pictures as players show them, in 8-bit sRGB.

The numbers are those of ITU-T H.273, which MP4, Matroska, AVIF, HEIF, PNG and libav share. What a
stream leaves open is guessed as players do, by the size of its frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from animator.media.curves import GAMUTS, HLG, PQ, TransferCurve, coded, linear, to_bt709

_SD = (1024, 576)  # width and height up to which frames without a tag are in BT.601
_BT601, _BT709, _BT2020 = 5, 1, 9
_OPEN = (0, 2)  # reserved and unspecified
# Matrices in the numbers of swscale. BT.601 has two; constant luminance is near the other kind.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_MATRIX_OF_PRIMARIES = {1: _BT709, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020}
_DERIVED = (12, 13)  # matrices that follow from the primaries
# Curves whose numbers a player hands to an SDR screen as they are.
_SHOWN = (1, 2, 4, 6, 7, 13, 14, 15)
_BAND = 1 << 15  # pixels that are worked on at once, so that they stay in the processor's cache
_TOP = 65535
_YUV_WHITE = 65280  # what swscale makes of the white of a YUV frame in 16 bits


class Tags(NamedTuple):
    """What the numbers of a picture mean.

    Attributes:
        primaries: number of H.273.
        transfer: number of H.273.
        matrix: from RGB to the coded planes, in swscale's numbers.
        full: whether they use the whole range of the code.
    """

    primaries: int
    transfer: int
    matrix: int
    full: bool

    @property
    def hdr(self) -> str | None:
        """The kind of HDR, None for SDR."""
        return {PQ: "PQ", HLG: "HLG"}.get(self.transfer)

    @property
    def plain(self) -> bool:
        """Whether the red, green and blue of a picture with these tags are shown as they are."""
        return self.transfer in _SHOWN and self.primaries == _BT709


def tags_of(frame: VideoFrame) -> Tags:
    """The meaning of a frame's numbers; what its stream leaves open is guessed."""
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    matrix, name = int(frame.colorspace), frame.format.name
    wide = primaries == 9 or transfer in (PQ, HLG)
    if primaries not in GAMUTS:
        primaries = _BT2020 if matrix in (9, 10) or transfer in (PQ, HLG) else _BT709
    if matrix in _DERIVED:
        matrix = _MATRIX_OF_PRIMARIES.get(primaries, _BT709)
    if matrix not in _MATRICES:
        small = frame.width <= _SD[0] and frame.height <= _SD[1]
        matrix = _BT2020 if wide else _BT601 if small else _BT709
    if frame.color_range in (ColorRange.MPEG, ColorRange.JPEG):
        full = frame.color_range == ColorRange.JPEG
    else:
        full = frame.format.is_rgb or name.startswith(("yuvj", "pal8", "ya"))
    full = full or frame.format.is_rgb
    return Tags(primaries, _BT709 if transfer in _OPEN else transfer, _MATRICES[matrix], full)


def notes_of(frame: VideoFrame) -> tuple[str, ...]:
    """Codes of `animator.media.notes.NOTES` about a video, by a frame of it."""
    return ("hdr",) if tags_of(frame).hdr else ()


class FrameColours:
    """Turns frames of one size into opaque 8-bit sRGB; a clip may change its tags on the way."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame, width: int, height: int) -> npt.NDArray[np.uint8]:
        """uint8 height width 3 of a frame, scaled to that size, transparency over white."""
        tags = tags_of(frame)
        transparent = any(component.is_alpha for component in frame.format.components)
        names = ("rgba", "rgb24") if tags.plain else ("gbrap16le", "gbrp16le")
        stored: Any = self._reformatter.reformat(
            frame,
            width,
            height,
            names[0] if transparent else names[1],
            src_colorspace=tags.matrix,
            src_color_range=ColorRange.JPEG if tags.full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        if tags.plain:
            pixels = stored.to_ndarray()
            alpha = pixels[..., 3] if transparent else None
            pixels = pixels[..., :3]
        else:
            green, blue, red, *rest = (_plane(plane, width) for plane in stored.planes)
            alpha = (rest[0] >> 8).astype(np.uint8) if rest else None
            white = _TOP if frame.format.is_rgb else _YUV_WHITE
            pixels = shown_planes((red, green, blue), tags, white)
        if frame.format.name.startswith("gray") and not tags.full:
            # swscale takes every grey for full range.
            pixels = cv2.LUT(np.ascontiguousarray(pixels), _stretch())
        return pixels if alpha is None else over_white(pixels, alpha)


def shown_planes(
    planes: tuple[npt.NDArray[np.uint16], ...],
    tags: Tags,
    white: int = _TOP,
    still: bool = False,
) -> npt.NDArray[np.uint8]:
    """The colours of three planes in other primaries or another transfer curve than BT.709's.

    Values above diffuse white (203 cd/m2, ITU-R BT.2408), which HDR has, run softly into white.

    Args:
        planes: red, green and blue, uint16 H W each.
        tags: what they mean.
        white: the number that stands for 1.
        still: whether they are of a photo, whose curve is sRGB's; a video's is BT.1886's.

    Returns:
        uint8 H W 3 RGB.
    """
    height, width = planes[0].shape
    curve = TransferCurve.SRGB if still else TransferCurve.BT1886
    into, out = _tables(tags.transfer, white, curve)
    matrix = to_bt709(tags.primaries)
    shown = np.empty((height, width, 3), np.uint8)
    for rows in _bands(height, width):
        light: Any = cv2.merge([_looked_up(plane[rows], into) for plane in planes])
        light = cv2.transform(light, matrix)
        if tags.transfer == HLG:
            # The system gamma of a screen of 1000 cd/m2 (ITU-R BT.2100): luminance to the 1.2.
            luminance = cv2.transform(light, _LUMINANCE)
            gain = _looked_up(_sixteen(luminance, _TOP), _hlg_gain())
            light = cv2.multiply(light, cv2.merge([gain, gain, gain]))
        # The root spreads the dark values, of which sixteen bits of light would have too few.
        light = cv2.sqrt(np.maximum(light, 0, out=light))
        shown[rows] = _looked_up(_sixteen(light, _TOP / _ROOT), out)
    return shown


def over_white(rgb: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8 H W 3 laid over white by its transparency H W."""
    if alpha.min() == 255:
        return rgb
    weight = cv2.merge([alpha, alpha, alpha]).astype(np.uint16)
    blend = rgb * weight + 255 * (255 - weight)
    return ((blend + 127) // 255).astype(np.uint8)


_LUMINANCE = np.array([[0.2126, 0.7152, 0.0722]], np.float32)
_ROOT = 1.25  # square root of the light that the table of output values ends at


@lru_cache(maxsize=16)
def _tables(
    transfer: int, white: int, curve: TransferCurve
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """From 16-bit code to light, and from the root of light to 8-bit code."""
    steps = np.linspace(0, 1, _TOP + 1)
    light = linear(np.minimum(steps * (_TOP / white), 1), transfer, curve)
    shown = coded((steps * _ROOT) ** 2, curve, soft=transfer in (PQ, HLG))
    return light.astype(np.float32), np.rint(255 * shown).astype(np.uint8)


@lru_cache(maxsize=1)
def _hlg_gain() -> npt.NDArray[np.float32]:
    """Of scene luminance 0..1 in 16 bits, as display light in units of diffuse white."""
    steps = np.linspace(0, 1, _TOP + 1)
    steps[0] = steps[1] / 2
    return (1000 / 203 * steps**0.2).astype(np.float32)


@lru_cache(maxsize=1)
def _stretch() -> npt.NDArray[np.uint8]:
    return np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


# OpenCV looks 16-bit values up since its version 5, many times faster than NumPy.
_FAST = int(cv2.__version__.split(".")[0]) >= 5


def _looked_up(index: npt.NDArray[np.uint16], table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return cv2.LUT(index, table) if _FAST else table[index]


def _sixteen(values: Any, scale: float) -> Any:
    """Values times ``scale``, rounded and clipped to 16 bits."""
    return cv2.multiply(values, np.full(4, scale), dtype=cv2.CV_16U)


def _bands(height: int, width: int) -> Iterator[slice]:
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        yield slice(top, top + rows)


def _plane(plane: Any, width: int) -> npt.NDArray[np.uint16]:
    stored = np.frombuffer(plane, "<u2").reshape(plane.height, plane.line_size // 2)
    return stored[:, :width]
