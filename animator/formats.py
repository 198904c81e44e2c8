"""Kinds of output: what a result's name ends in, and the codings that go into it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Literal

from animator.errors import AnimatorError
from animator.values import is_url, refuse

Codec = Literal["auto", "h264", "h265", "av1", "vp9"]
Preset = Literal[
    "auto", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
    "veryslow",
]  # fmt: skip
PixelFormat = Literal[
    "auto", "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"
]
Kind = Literal["video", "animation", "pictures"]
FormatName = Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "apng"]

PATTERN = re.compile(r"%(0[1-9])?d", re.ASCII)
"""The place of a number in the names of pictures, such as `%05d`."""
_PERCENT = re.compile(r"%", re.ASCII)
SLOWEST, FASTEST = 1, 240
"""Frames a second that may be asked for."""
_DECIMAL = re.compile(r"\d{1,3}(\.\d{1,6})?", re.ASCII)
_RATIO = re.compile(r"(\d{1,9})/([1-9]\d{0,8})", re.ASCII)
_TELEVISION = {"23.976": 24, "23.98": 24, "29.97": 30, "47.952": 48, "59.94": 60, "119.88": 120}
"""Rates that are written shortened: the real one is so many thousand by 1001."""


@dataclass(frozen=True)
class OutputFormat:
    """A kind of output.

    Attributes:
        name: what it is called.
        muxer: what libav calls its writer; empty for pictures.
        kind: whether it is a video with sound, an animated picture, or pictures one by one.
        codecs: what may be in a video, the default first; else none.
        media_type: as HTTP says it.
    """

    name: str
    muxer: str
    kind: Kind
    codecs: tuple[Codec, ...]
    media_type: str


_MP4 = OutputFormat("mp4", "mp4", "video", ("h264", "h265", "av1"), "video/mp4")
FORMATS: dict[str, OutputFormat] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": OutputFormat("mov", "mov", "video", ("h264", "h265"), "video/quicktime"),
    ".mkv": OutputFormat(
        "mkv", "matroska", "video", ("h264", "h265", "av1", "vp9"), "video/x-matroska"
    ),
    ".webm": OutputFormat("webm", "webm", "video", ("vp9", "av1"), "video/webm"),
    ".gif": OutputFormat("gif", "gif", "animation", (), "image/gif"),
    ".webp": OutputFormat("webp", "webp", "animation", (), "image/webp"),
    ".apng": OutputFormat("apng", "apng", "animation", (), "image/apng"),
}
"""What a name may end in, and what is then written."""
PICTURES = OutputFormat("png", "", "pictures", (), "image/png")
"""A folder of PNG, or PNG files by a pattern."""
MOST_CRF: dict[Codec, int] = {"h264": 51, "h265": 51, "av1": 63, "vp9": 63}
"""The worst quality that a coding knows."""
MOST_WEBP = 100


def format_of(output: str) -> OutputFormat | None:
    """What an output is written as, by its name; None if the name says nothing that is known."""
    if output.endswith("/") or is_pattern(output):
        return PICTURES
    return FORMATS.get(PurePath(output).suffix.lower())


def is_pattern(output: str) -> bool:
    """Whether an output, or its name alone, is a pattern of the names of pictures."""
    name = output.rpartition("/")[2]
    return name[-4:].lower() == ".png" and PATTERN.search(name) is not None


def default_suffix(name: str) -> str:
    """The suffix of a format, by its name."""
    return next(suffix for suffix, known in FORMATS.items() if known.name == name)


def check_format(output: str) -> OutputFormat:
    """What an output is written as.

    Raises:
        AnimatorError: `invalid_option` for a name that says nothing that is known, for a pattern
            with more than one number, and for pictures that are to go to a URL.
    """
    found, shown = format_of(output), PurePath(output).name
    if found is None:
        message = (
            f"The output is {shown!r}; its name must end in {', '.join(FORMATS)}, or, for pictures "
            "one by one, in / or be a pattern such as name-%05d.png."
        )
        raise AnimatorError("invalid_option", message)
    if found.kind == "pictures":
        if is_url(output):
            message = (
                f"The output is {shown!r}; pictures one by one are only written to this machine's "
                "folders. Take a format that is one file, or --extras frames."
            )
            raise AnimatorError("invalid_option", message)
        if output.endswith("/") and is_pattern(shown):
            message = f"The output is {shown!r}/; a folder is not called as a pattern is."
            raise AnimatorError("invalid_option", message)
        if not output.endswith("/") and len(_PERCENT.findall(shown)) != 1:
            message = f"The output is {shown!r}; a pattern has one number, such as %05d, and no %."
            raise AnimatorError("invalid_option", message)
    return found


def check_coding(output: str, codec: str, crf: object, preset: str, pixel_format: str) -> None:
    """Refuse what does not fit together; of an output that says nothing, the numbers alone.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if crf != "auto" and (isinstance(crf, bool) or not isinstance(crf, int) or crf < 0):
        raise refuse("crf", crf, "auto, or a whole number from 0 (best)")
    known = format_of(output)
    most = MOST_WEBP if known is None else _most_crf(known, codec)
    if isinstance(crf, int) and crf > most:
        raise refuse("crf", crf, f"auto, or a whole number from 0 (best) to {most}")
    if known is None:
        return
    if known.kind != "video":
        chosen = {"codec": codec, "preset": preset, "pixel_format": pixel_format}
        if known.name != "webp":
            chosen["crf"] = str(crf)
        for name, value in chosen.items():
            if value != "auto":
                raise refuse(name, value, f"auto, where the output is {known.name.upper()}")
    elif codec != "auto" and codec not in known.codecs:
        allowed = ", ".join(("auto", *known.codecs))
        raise refuse("codec", codec, f"{allowed}, where the output is {known.name}")


def _most_crf(known: OutputFormat, codec: str) -> int:
    if known.kind != "video":
        return MOST_WEBP
    chosen = known.codecs[0] if codec == "auto" else codec
    return MOST_CRF.get(chosen, MOST_WEBP)  # type: ignore[call-overload]


def parse_rate(name: str, text: object, other: str = "keep") -> Fraction | None:
    """Frames a second from `25`, `29.97` (30000/1001) or `30000/1001`; None for the other word.

    Args:
        name: of the option, for the error.
        text: what was given.
        other: the word that is allowed beside a number.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if text == other:
        return None
    rate = None
    if isinstance(text, str):
        if ratio := _RATIO.fullmatch(text):
            rate = Fraction(int(ratio[1]), int(ratio[2]))
        elif whole := _TELEVISION.get(text):
            rate = Fraction(whole * 1000, 1001)
        elif _DECIMAL.fullmatch(text):
            rate = Fraction(text)
    if rate is None or not SLOWEST <= rate <= FASTEST:
        allowed = f"{other}, or frames a second from {SLOWEST} to {FASTEST}: 25, 29.97, 30000/1001"
        raise refuse(name, text, allowed)
    return rate
