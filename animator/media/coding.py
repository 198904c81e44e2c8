"""The coders of videos: which this build of libav has, and with what they are called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import av
from av.codec import Codec as LibavCodec
from av.codec.codec import UnknownCodecError

from animator.errors import AnimatorError
from animator.formats import Codec, OutputFormat, PixelFormat, Preset

ENCODERS: Mapping[Codec, str] = {
    "h264": "libx264",
    "h265": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
}
"""What libav calls the coder of each coding."""
_CRF: Mapping[Codec, int] = {"h264": 18, "h265": 20, "av1": 24, "vp9": 24}
# How hard a coder tries, in its own numbers, by the names that x264 gave to it.
_SVT = {
    **{"ultrafast": 12, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 8},
    **{"medium": 7, "slow": 5, "slower": 4, "veryslow": 2},
}
_VPX = {
    **{"ultrafast": 8, "superfast": 7, "veryfast": 6, "faster": 5, "fast": 4},
    **{"medium": 3, "slow": 2, "slower": 1, "veryslow": 0},
}


@dataclass(frozen=True)
class VideoCoding:
    """How frames are coded.

    Attributes:
        encoder: libav's name of the coder.
        options: of the coder.
        pixel_format: libav's name of what it is given.
        tag: what MP4 calls the coding, where libav would choose another one.
    """

    encoder: str = "libx264"
    options: Mapping[str, str] = field(default_factory=lambda: {"crf": "18", "preset": "veryfast"})
    pixel_format: str = "yuv420p"
    tag: str | None = None

    @property
    def shared(self) -> tuple[int, int]:
        """How many pixels in width and in height share a colour."""
        kind = av.VideoFormat(self.pixel_format, 64, 64)
        return 64 // kind.chroma_width(64), 64 // kind.chroma_height(64)

    @property
    def rgb(self) -> bool:
        """Whether pixels are coded as they are."""
        return av.VideoFormat(self.pixel_format, 64, 64).is_rgb


DEFAULT_CODING = VideoCoding()
LOSSLESS_CODING = VideoCoding("libx264rgb", {"crf": "0", "preset": "ultrafast"}, "rgb24")
"""Frames exactly as they are; of what is made into another format afterwards."""


def choose_coding(
    output: OutputFormat,
    codec: Codec = "auto",
    crf: int | str = "auto",
    preset: Preset = "auto",
    pixel_format: PixelFormat = "auto",
) -> VideoCoding:
    """How the frames of a segment are coded for an output of this kind.

    Raises:
        AnimatorError: `encoder_unavailable` if this build of libav cannot.
    """
    if output.kind != "video":
        return LOSSLESS_CODING
    chosen = output.codecs[0] if codec == "auto" else codec
    encoder, formats = ENCODERS[chosen], formats_of(chosen)
    if not formats:
        there = ", ".join(codec for codec in ENCODERS if formats_of(codec)) or "none"
        message = f"There is no coder for {chosen} in this build of libav; there are: {there}."
        raise AnimatorError("encoder_unavailable", message)
    wanted = "yuv420p" if pixel_format == "auto" else pixel_format
    if wanted not in formats:
        message = f"{encoder} does not take {wanted}; it takes: {', '.join(formats)}."
        raise AnimatorError("encoder_unavailable", message)
    options = {"crf": str(_CRF[chosen] if crf == "auto" else crf)}
    tag = None
    if chosen == "h264":
        options["preset"] = "veryfast" if preset == "auto" else preset
    elif chosen == "h265":
        options["preset"] = "fast" if preset == "auto" else preset
        # Each segment is to stand for itself, and the coder writes neither notes nor its options.
        options["x265-params"] = "log-level=none:info=0:open-gop=0"
        tag = "hvc1"  # the name under which all players take it
    elif chosen == "av1":
        options["preset"] = str(_SVT.get(preset, 8))
    else:
        options |= {"b": "0", "cpu-used": str(_VPX.get(preset, 4)), "row-mt": "1"}
    return VideoCoding(encoder, options, wanted, tag)


@cache
def formats_of(codec: Codec) -> tuple[str, ...]:
    """The pixel formats that this build's coder takes, of those that can be chosen; none without.

    A coder that is there is silenced: it would else print to the terminal of whoever runs it.
    """
    os.environ.setdefault("SVT_LOG", "1")
    try:
        found = LibavCodec(ENCODERS[codec], "w").video_formats or []
    except UnknownCodecError:
        return ()
    names = {kind.name for kind in found}
    return tuple(name for name in _CHOICES if name in names)


_CHOICES = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
