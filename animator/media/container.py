"""Media files that somebody else made, opened in the one way in which the animator does it.

Every input is hostile until shown otherwise. A file is opened once, by this module, and must be a
regular file; libav and Pillow see only the open file and never its name, so a name that looks like
a protocol, an option or a pattern means nothing, and no format can make them open a second file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import av
from av.container import InputContainer

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
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
        try:
            container = av.open(
                _Nameless(file),
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
            if container.format.name.startswith(_WITHOUT_MADE_UP_TIMES):
                container.flags &= ~_MAKE_UP_TIMES
            yield container


def refuse_scripts(path: str | Path, file: io.FileIO) -> None:
    """Raise unsupported_format if the file is text that could name other files."""
    head = _head(file).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_SCRIPTS):
        message = f"{quoted(path)} is a playlist or script that names other files; give the video."
        raise AnimatorError("unsupported_format", message)


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
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if position == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return 0
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return 0  # 0 is "up to the end of the file", less is not a box
        position += length
    # What overruns the file may also be something foreign that was appended.
    if kind == b"moof":
        return max(position, size + 1)  # its frames would follow it
    return position if kind in (b"mdat", b"moov") else 0


def seconds_text(seconds: Fraction | float) -> str:
    """A time for a message."""
    return f"{float(seconds):.2f} s"


class _Nameless:
    """An open file without a name, from which libav could guess a format or find neighbours."""

    def __init__(self, file: io.FileIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


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
    elif head.startswith(_STILLS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        reason = "is a picture; a video or an animated GIF is needed"
    else:
        reason = "is not a video that can be read: it is damaged, incomplete or of an unknown kind"
    raise AnimatorError("unreadable_video", f"{quoted(path)} {reason}.") from error
