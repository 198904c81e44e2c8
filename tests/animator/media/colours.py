"""Pictures of known colours, coded in many ways by the standards' own formulas."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Planes = list[npt.NDArray[np.floating]]

# From light in BT.709's primaries, by ITU-R BT.2087 and SMPTE RP 177.
FROM_709 = {
    1: np.eye(3),
    6: np.array([[1.0654, -0.0554, -0.01], [-0.0196, 1.0364, -0.0167], [0.0016, 0.0044, 0.994]]),
    9: np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.088, 0.8956]]),
    12: np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]]),
}
_LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def colourful(width: int = 160, height: int = 96) -> npt.NDArray[np.uint8]:
    """uint8 H W 3: soft hues at all brightnesses, none of them beyond what video can code."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    hues = [0.5 + 0.5 * np.cos(2 * np.pi * (x + shift)) for shift in (0, 1 / 3, 2 / 3)]
    grey = 0.08 + 0.84 * y
    picture = np.stack([grey + 0.25 * (hue - 0.5) for hue in hues], -1)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def in_other_colours(
    rgb: npt.NDArray[np.uint8], primaries: int, transfer: int, still: bool = False
) -> npt.NDArray[np.floating]:
    """The same colours as numbers 0..1 with other tags; SDR white is 203 cd/m2 of HDR."""
    code = rgb / 255
    if primaries == 1 and transfer not in (16, 18):
        return code
    light = code**2.4
    if still:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ FROM_709[primaries].T, 0, None)
    if transfer == 16:
        power = (light * 203 / 10000) ** (2610 / 16384)
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    if transfer == 18:
        display = light * 0.203
        luminance = np.maximum(display @ np.array([0.2627, 0.678, 0.0593]), 1e-9)[..., None]
        scene = display * luminance ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    if still:
        return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return light ** (1 / 2.4)


def to_planes(code: npt.NDArray[np.floating], matrix: int, full: bool, depth: int) -> Planes:
    """Y, Cb and Cr at full size, in whole numbers of so many bits."""
    red, blue = _LUMA[matrix]
    luma = code @ np.array([red, 1 - red - blue, blue])
    chroma = [(code[..., 2] - luma) / (2 - 2 * blue), (code[..., 0] - luma) / (2 - 2 * red)]
    unit = 1 << (depth - 8)
    if full:
        top = (1 << depth) - 1
        return [luma * top, *(part * top + 128 * unit for part in chroma)]
    return [(16 + 219 * luma) * unit, *((128 + 224 * part) * unit for part in chroma)]


def fill(frame: Any, planes: Planes) -> None:
    """Write planes into a planar frame; those that it has smaller are taken as means."""
    for plane, values in zip(frame.planes, planes, strict=True):
        across, down = values.shape[1] // plane.width, values.shape[0] // plane.height
        small = values.reshape(plane.height, down, plane.width, across).mean((1, 3))
        kind = np.dtype("<u2") if frame.format.components[0].bits > 8 else np.dtype(np.uint8)
        stored = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        stored[:, : plane.width] = np.rint(small)
        plane.update(stored.tobytes())


def write_tagged(
    path: Path, planes: Planes, pix_fmt: str, codec: str, tags: dict[str, int], **options: str
) -> Path:
    """A video of two equal frames; ``tags`` are attributes of frames and coders in PyAV."""
    height, width = planes[0].shape
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(2):
            frame = av.VideoFrame(width, height, pix_fmt)
            fill(frame, planes)
            for name, value in tags.items():
                setattr(frame, name, value)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def icc(name: str, red: Any, green: Any, blue: Any, gamma: float) -> bytes:
    """An ICC profile of a screen, by its primaries in XYZ under D50 and its gamma."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    text = name.encode() + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)),
        (b"wtpt", xyz(0.9642, 1, 0.8249)),
        *((key, xyz(*at)) for key, at in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))),
        *((key, curve) for key in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    start, data = 132 + 12 * len(tags), b""
    table = struct.pack(">I", len(tags))
    for key, value in tags:
        value += bytes(-len(value) % 4)
        table += key + struct.pack(">II", start + len(data), len(value))
        data += value
    head = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += number(0.9642) + number(1) + number(0.8249)
    return head.ljust(128, b"\0") + table + data


P3 = icc("P3", (0.5151, 0.2412, -0.00105), (0.292, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
PROPHOTO = icc(
    "ProPhoto", (0.79767, 0.28804, 0), (0.13519, 0.71188, 0), (0.03134, 0.00009, 0.82491), 1.8
)
