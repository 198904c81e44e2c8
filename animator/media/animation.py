"""Animated pictures made of a finished video: GIF, WebP and APNG, which go round for ever.

Their frames come from a video without loss, so that they are coded only once. None of the three
has sound. GIF counts in hundredths of a second and WebP in milliseconds: a frame's time is rounded
by itself, so that errors do not add up; APNG keeps times exactly.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from animator.files.output import OutputFile, coded_errors
from animator.formats import OutputFormat
from animator.media.decode import open_finished
from animator.media.mp4 import last_duration

GIF_UNIT, WEBP_UNIT = Fraction(1, 100), Fraction(1, 1000)
GIF_RATE = Fraction(50)
"""The most frames a second of a GIF: what is shown for a shorter time, players hold far longer."""
_WEBP_QUALITY = 85
_WEBP_METHOD = 4  # of 0 (fast) to 6
_LONGEST_WEBP = 2**24 - 1  # milliseconds of a frame
_XMP_FLAG = 4  # in the header of a WebP


def write_animation(
    video: Path,
    output: Path,
    kind: OutputFormat,
    pts: Sequence[int],
    time_base: Fraction,
    *,
    rate: Fraction | None = None,
    crf: int | str = "auto",
    comment: str = "",
    check: Callable[[], object] = lambda: None,
) -> None:
    """Write the frames of a video as an animated picture; it appears whole or not at all.

    Args:
        video: a file of our own, without loss.
        output: the file to write.
        kind: "gif", "webp" or "apng".
        pts: of all frames, from 0.
        time_base: of `pts`, in seconds.
        rate: frames a second on average; only gives the last frame its duration.
        crf: of a WebP, 100 less its quality; 0 is without loss. "auto" is good quality.
        comment: what the file says about itself.
        check: called for every frame; what it raises ends the work.

    Raises:
        AnimatorError: encoding_failed, disk_full, output_not_writable, out_of_memory.
    """
    end = pts[-1] + last_duration(list(pts[-2:]), rate, time_base)
    file = OutputFile(output)
    try:
        with coded_errors(output):
            write = {"gif": _write_gif, "webp": _write_webp, "apng": _write_apng}[kind.name]
            write(_Frames(video, pts, end, time_base, check), file, crf)
            _ADD_COMMENT[kind.name](file, comment)
            file.publish()
    finally:
        file.remove()


class _Frames:
    """The frames of a video with their times, as often as they are asked for."""

    def __init__(
        self,
        video: Path,
        pts: Sequence[int],
        end: int,
        time_base: Fraction,
        check: Callable[[], object],
    ) -> None:
        self._video, self._pts, self._check = video, pts, check
        self._end, self._base = end, time_base
        with open_finished(video) as reader:
            self.size = reader.info.width, reader.info.height

    def __iter__(self) -> Iterator[VideoFrame]:
        with open_finished(self._video) as reader:
            for batch in reader:
                for picture in batch.pixels:
                    self._check()
                    yield VideoFrame.from_ndarray(picture, "rgb24")

    def timed(self, unit: Fraction) -> Iterator[tuple[VideoFrame, int]]:
        """Each frame and its time in a unit."""
        yield from zip(self, self.times(unit)[:-1], strict=True)

    def times(self, unit: Fraction) -> list[int]:
        """The times of all frames and of the end, each rounded to a unit and later than before."""
        rounded: list[int] = []
        for pts in (*self._pts, self._end):
            time = round(pts * self._base / unit)
            rounded.append(max(time, rounded[-1] + 1) if rounded else time)
        return rounded

    @property
    def time_base(self) -> Fraction:
        """Of the video's own times."""
        return self._base


# -- the formats -------------------------------------------------------------------------------


def _write_gif(frames: _Frames, file: OutputFile, crf: int | str) -> None:
    """One palette for all frames, made of all, so that nothing flickers; dithered."""
    palette = _palette(frames)
    times = frames.times(GIF_UNIT)
    with av.open(file, "w", format="gif", options=_looped(times, GIF_UNIT, loop="0")) as output:
        stream: Any = output.add_stream("gif", rate=100)
        stream.width, stream.height = frames.size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = stream.time_base = GIF_UNIT
        for frame, time in zip(_dithered(frames, palette), times[:-1], strict=True):
            frame.pts, frame.time_base = time, GIF_UNIT
            output.mux(stream.encode(frame))
            file.check()
        output.mux(stream.encode(None))


def _palette(frames: _Frames) -> VideoFrame:
    graph = Graph()
    entry = _entry(graph, frames)
    maker = graph.add("palettegen", "stats_mode=full")
    leave = graph.add("buffersink")
    entry.link_to(maker)
    maker.link_to(leave)
    graph.configure()
    for number, frame in enumerate(frames):
        _feed(entry, frame, number)
    entry.push(None)
    found: Any = leave.pull()
    return cast(VideoFrame, found)


def _dithered(frames: _Frames, palette: VideoFrame) -> Iterator[VideoFrame]:
    graph = Graph()
    entry = _entry(graph, frames)
    colours = graph.add_buffer(template=None, **_about(palette.width, palette.height, "bgra"))
    painter = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
    leave = graph.add("buffersink")
    entry.link_to(painter, 0, 0)
    colours.link_to(painter, 0, 1)
    painter.link_to(leave)
    graph.configure()
    _feed(colours, palette, 0)
    colours.push(None)
    waiting = 0
    for number, frame in enumerate(frames):
        _feed(entry, frame, number)
        waiting += 1
        # A frame comes out once the next one is known.
        while waiting > 1 and (made := _pulled(leave)) is not None:
            waiting -= 1
            yield made
    entry.push(None)
    while waiting and (made := _pulled(leave)) is not None:
        waiting -= 1
        yield made


def _pulled(leave: Any) -> VideoFrame | None:
    try:
        return cast(VideoFrame, leave.pull())
    except (av.BlockingIOError, EOFError):
        return None


def _entry(graph: Graph, frames: _Frames) -> Any:
    return graph.add_buffer(template=None, **_about(*frames.size, "bgra"))


def _about(width: int, height: int, format: str) -> dict[str, Any]:
    return {"width": width, "height": height, "format": format, "time_base": Fraction(1, 1000)}


def _feed(entry: Any, frame: VideoFrame, number: int) -> None:
    shown = frame.reformat(format="bgra")
    shown.pts, shown.time_base = number, Fraction(1, 1000)
    entry.push(shown)


def _write_apng(frames: _Frames, file: OutputFile, crf: int | str) -> None:
    unit = frames.time_base
    times = frames.times(unit)
    last = unit * (times[-1] - times[-2])
    options = {"plays": "0", "final_delay": f"{last.numerator}/{last.denominator}"}
    with av.open(file, "w", format="apng", options=options) as output:
        stream: Any = output.add_stream("apng", rate=Fraction(25), options={"pred": "mixed"})
        stream.width, stream.height = frames.size
        stream.pix_fmt = "rgb24"
        stream.codec_context.time_base = stream.time_base = unit
        for frame, time in frames.timed(unit):
            frame.pts, frame.time_base = time, unit
            output.mux(stream.encode(frame))
            file.check()
        output.mux(stream.encode(None))


def _write_webp(frames: _Frames, file: OutputFile, crf: int | str) -> None:
    quality = _WEBP_QUALITY if isinstance(crf, str) else 100 - crf
    options = {"quality": str(quality), "compression_level": str(_WEBP_METHOD)}
    if crf == 0:
        options |= {"lossless": "1", "quality": "75"}  # of which the number is now the effort
    coder: Any = av.CodecContext.create("libwebp_anim", "w")
    coder.options = options
    coder.width, coder.height = frames.size
    coder.pix_fmt, coder.time_base = "bgra", WEBP_UNIT
    times = frames.times(WEBP_UNIT)
    packets = []
    for frame, time in frames.timed(WEBP_UNIT):
        shown = frame.reformat(format="bgra")
        shown.pts, shown.time_base = time, WEBP_UNIT
        packets += coder.encode(shown)
    # A whole file: the coder puts it together at the end.
    made = bytearray(b"".join(map(bytes, (*packets, *coder.encode(None)))))
    if made[12:16] != b"VP8X":
        made[12:12] = _extended(*frames.size)  # a single frame comes without this header
    _set_last_duration(made, times[-1] - times[-2])
    file.write(bytes(made))


def _extended(width: int, height: int) -> bytes:
    """The header of a WebP that has more than a picture in it."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<II", 10, 0) + size


def _set_last_duration(webp: bytearray, milliseconds: int) -> None:
    """Set how long the last frame is shown, which the coder guesses."""
    place, last = 12, None
    while place + 8 <= len(webp):
        (size,) = struct.unpack_from("<I", webp, place + 4)
        if webp[place : place + 4] == b"ANMF":
            last = place
        place += 8 + size + size % 2
    if last is not None:
        webp[last + 20 : last + 23] = min(milliseconds, _LONGEST_WEBP).to_bytes(3, "little")


def _looped(times: list[int], unit: Fraction, **options: str) -> dict[str, str]:
    return {**options, "final_delay": str(times[-1] - times[-2])}


# -- what the files say about themselves -------------------------------------------------------


def _comment_gif(file: OutputFile, comment: str) -> None:
    text = comment.encode()
    blocks = [text[first : first + 255] for first in range(0, len(text), 255)]
    file.seek(-1, io.SEEK_END)  # over the end mark
    file.write(b"\x21\xfe" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0\x3b")


def _comment_apng(file: OutputFile, comment: str) -> None:
    file.seek(-12, io.SEEK_END)  # over the last chunk, which is empty
    file.write(png_chunk(b"tEXt", b"Comment\0" + comment.encode("latin-1", "replace")))
    file.write(png_chunk(b"IEND", b""))


def _comment_webp(file: OutputFile, comment: str) -> None:
    text = _XMP.format(escape(comment)).encode()
    file.seek(0, io.SEEK_END)
    file.write(b"XMP " + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2))
    size = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", size - 8))
    file.seek(20)
    # Of the flags, the writer sets those for animation and transparency.
    with file.reopened("", 0, {}) as written:
        written.seek(20)
        flags = written.read(1)[0]
    file.write(bytes([flags | _XMP_FLAG]))
    file.seek(0, io.SEEK_END)


_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description>'
    '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_ADD_COMMENT = {"gif": _comment_gif, "webp": _comment_webp, "apng": _comment_apng}


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
