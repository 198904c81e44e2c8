"""Media files that somebody else made, opened in the one way in which the animator does it.

Every input is hostile until shown otherwise. A file is opened once, by this module, and must be a
regular file; libav and Pillow see only the open file and never its name, so a name that looks like
a protocol, an option or a pattern means nothing, and no format can make them open a second file.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal, NoReturn

import av
from av.codec import CodecContext
from av.codec.codec import UnknownCodecError
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.media.brands import brands, is_avif, is_heif, is_sequence
from animator.settings import DEFAULT_LIMITS, MediaLimits

# Demuxers that read one file and nothing else. What is not named here (hls, dash, concat, image2,
# sdp, lavfi, ...) is refused by libav before it reads the file's content. The ones for sound alone
# are here to tell a person that the file has no picture, rather than that it is unknown.
_DEMUXERS = (
    "mov,mp4,matroska,webm,avi,gif,apng,mpeg,mpegts,flv,asf,ogg,nut,mxf,ivf,yuv4mpegpipe,dv,"
    "h264,hevc,mpegvideo,m4v,mjpeg,mp3,wav,flac,aac"
)

RAW = ("h264", "hevc", "mpegvideo", "m4v", "mjpeg")
"""Demuxers of bare streams, in which nothing has a time."""

_TS_PACKET = 188
_MAKE_UP_TIMES = 1  # libav's AVFMT_FLAG_GENPTS, which PyAV sets

# Where these lack a presentation time, libav would make one up in the order of coding.
_WITHOUT_MADE_UP_TIMES = ("avi", "matroska", *RAW)

_SCRIPTS = (
    b"#extm3u",
    b"ffconcat version",
    b"file ",
    b"<mpd",
    b"<?xml",
    b"<smil",
    b"<asx",
    b"<smoothstreamingmedia",
    b"[playlist]",
    b"[reference]",
    b"rtsptext",
    b"v=0\r\n",
    b"v=0\n",
)

MOST_BOXES = 200_000
"""Boxes that an MP4 file may have side by side; hours of small fragments have fewer."""
OPENING_SECONDS = 5.0
"""Processor time that libav may take to open a file, which of a sound one is far below a second."""
_MOST_CHUNKS = 1000  # of a RIFF file that are looked at; what is slow comes early
_OVERRUN = 1 << 24  # bytes by which a damaged length may be wrong without harm

_STILLS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")


@contextmanager
def open_media(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Iterator[InputContainer]:
    """Open a local video or sound file with libav, and no other file on its behalf.

    Yields:
        The container, which is closed with its file when the block ends.

    Raises:
        AnimatorError: those of `open_file`, and unsupported_format for playlists and scripts,
            unreadable_video for all that libav does not recognise, out_of_memory.
    """
    with open_file(path, limits) as file:
        refuse_scripts(path, file)
        _refuse_photo(path, file)
        try:
            if sum(1 for _ in _boxes(file)) > MOST_BOXES:
                raise _TooSlow(f"more than {MOST_BOXES} boxes")
            _refuse_endless_notes(file)
            file.seek(0)
            reader = _Nameless(file)
            container = av.open(
                reader,
                mode="r",
                container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"},
                # Reaches every decoder that libav opens, also while it probes.
                options={"max_pixels": str(limits.max_frame_pixels)},
                buffer_size=1 << 16,
                metadata_errors="replace",
                io_open=_refuse_second_file,
            )
        except MemoryError as error:
            message = f"{quoted(path)} needs more memory than there is."
            raise AnimatorError("out_of_memory", message, retryable=True) from error
        except (av.FFmpegError, OSError, ValueError) as error:
            _raise_unreadable(path, file, error)
        with container:
            if reader.late:
                _raise_unreadable(path, file, _TooSlow("it takes too long to open"))
            reader.deadline = math.inf
            if container.format.name.startswith(_WITHOUT_MADE_UP_TIMES):
                container.flags &= ~_MAKE_UP_TIMES
            yield container


def refuse_scripts(path: str | Path, file: io.FileIO) -> None:
    """Raise unsupported_format if the file is text that could name other files."""
    head = _head(file).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_SCRIPTS):
        message = f"{quoted(path)} is a playlist or script that names other files; give the video."
        raise AnimatorError("unsupported_format", message)


def _refuse_photo(path: str | Path, file: io.FileIO) -> None:
    """Raise unreadable_video for HEIC and AVIF, of which libav would show one tile as a video."""
    kinds = brands(_head(file))
    if (is_heif(kinds) or is_avif(kinds)) and not is_sequence(kinds):
        message = f"{quoted(path)} is a picture; a video or an animated GIF is needed."
        raise AnimatorError("unreadable_video", message)


def transparent_decoder(stream: VideoStream, limits: MediaLimits) -> VideoCodecContext | None:
    """The decoder of a WebM stream with transparency, which libav's own decoders leave out.

    None if the stream has none, or this build of libav lacks the decoder.
    """
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    try:
        decoder = CodecContext.create(name, "r")
    except UnknownCodecError:
        return None
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = stream.codec_context.extradata
    decoder.options = {"max_pixels": str(limits.max_frame_pixels)}
    return decoder


def missing_bytes(path: str | Path, container: InputContainer) -> int:
    """How many bytes the file lacks by its own header and index, 0 where they do not say.

    libav plays what is there of a truncated file and then ends without an error.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(4096)
        file.seek(max(size - 4096, 0))
        tail = file.read(4096)
        ends = [_riff_end(head), _matroska_end(head), _movie_end(file, size)]
    if head.startswith(b"GIF8"):
        # The trailer after the end of the last block; some programs append data of their own.
        return int(b"\0;" not in tail[-1024:])
    for stream in container.streams:
        # Entries are in time order and all but sorted by position, so the last ones are enough.
        entries = stream.index_entries
        ends += [entry.pos + entry.size for entry in entries[max(len(entries) - 64, 0) :]]
    return max(0, max(ends) - size)


def cut_packet(path: str | Path, container: InputContainer) -> int:
    """How many bytes the last packet lacks, in formats that tell no length of the file."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_TS_PACKET + 1)
        if container.format.name == "mpegts" and head[:1] == head[_TS_PACKET:] == b"G":
            return -size % _TS_PACKET
        if container.format.name == "flv":
            # At the end stands how long the last tag is, which begins with its own length.
            file.seek(max(size - 4, 0))
            length = int.from_bytes(file.read(4), "big")
            file.seek(max(size - 4 - length, 0))
            return int(int.from_bytes(file.read(4)[1:], "big") != length - 11)
    return 0


def _riff_end(head: bytes) -> int:
    length = int.from_bytes(head[4:8], "little")
    # 0 and all ones are what a recorder writes that cannot go back to fill in the length.
    known = head.startswith(b"RIFF") and length not in (0, 0xFFFFFFFF)
    return length + 8 if known else 0


def _matroska_end(head: bytes) -> int:
    segment = head.find(b"\x18\x53\x80\x67")
    if not head.startswith(b"\x1a\x45\xdf\xa3") or not 0 <= segment <= len(head) - 12:
        return 0
    # A length in Matroska: as many leading zero bits as bytes follow, then a one, then the number;
    # all ones means that the writer did not know it.
    start = segment + 4
    width = 9 - head[start].bit_length()
    all_ones = (1 << 7 * width) - 1
    length = int.from_bytes(head[start : start + width], "big") & all_ones
    return 0 if length == all_ones else start + width + length


def _movie_end(file: io.FileIO, size: int) -> int:
    """Where the last box of an MP4 or QuickTime file says that it ends."""
    position, kind = 0, b""
    for number, (kind, length) in enumerate(_boxes(file)):
        first = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
        if (number == 0 and kind not in first) or length < 8:
            return 0  # 0 is "up to the end of the file", less is not a box
        position += length
    # What overruns the file may also be something foreign that was appended.
    if kind == b"moof":
        return max(position, size + 1)  # its frames would follow it
    return position if kind in (b"mdat", b"moov") else 0


def _boxes(file: io.FileIO) -> Iterator[tuple[bytes, int]]:
    """Kinds and lengths of an MP4 file's boxes; it ends after one that is none, or too many."""
    size = os.fstat(file.fileno()).st_size
    position = 0
    for _ in range(MOST_BOXES + 1):
        if position + 8 > size:
            return
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        yield header[4:8], length
        if length < 8:
            return
        position += length


def _refuse_endless_notes(file: io.FileIO) -> None:
    """Refuse a RIFF file whose list of notes goes on far behind its end, as libav looks for each.

    Raises:
        _TooSlow: if so.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    kind = file.read(4)
    if kind not in (b"RIFF", b"RIFX", b"RF64"):
        return
    order: Literal["little", "big"] = "big" if kind == b"RIFX" else "little"
    position = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        header = file.read(12)
        if len(header) < 12:
            return
        kind, length, form = header[:4], int.from_bytes(header[4:8], order), header[8:]
        if kind == b"LIST" and form in (b"INFO", b"adtl"):
            if position + length > size + _OVERRUN:
                raise _TooSlow("a list that is longer than the file")
        elif kind == b"LIST" and form != b"movi":
            position += 12
            continue
        position += 8 + length + length % 2


def seconds_text(seconds: Fraction | float) -> str:
    """A time for a message."""
    return f"{float(seconds):.2f} s"


class _TooSlow(OSError):
    """The file is made so that opening it takes for ever."""


class _Nameless:
    """An open file without a name, from which libav could guess a format or find neighbours.

    Attributes:
        deadline: of this thread's processor time, after which nothing more is read.
        late: whether it was met.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.deadline, self.late = time.thread_time() + OPENING_SECONDS, False
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        # An exception would not keep libav from asking again; at the end of a file it gives up.
        self.late = self.late or time.thread_time() > self.deadline
        return b"" if self.late else self._file.read(size)


def _refuse_second_file(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a media file tried to open {url!r}")


def _head(file: io.FileIO) -> bytes:
    head = file.read(1024)
    file.seek(0)
    return head


def _raise_unreadable(path: str | Path, file: io.FileIO, error: Exception) -> NoReturn:
    file.seek(0)
    head = _head(file)
    if not head:
        reason = "is empty"
    elif isinstance(error, _TooSlow):
        reason = "is made so that it takes too long to open"
    elif head.startswith(_STILLS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        reason = "is a picture; a video or an animated GIF is needed"
    else:
        reason = "is not a video that can be read: it is damaged, incomplete or of an unknown kind"
    raise AnimatorError("unreadable_video", f"{quoted(path)} {reason}.") from error
