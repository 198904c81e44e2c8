"""Marks in ISO base media files: MP4 and QuickTime.

XMP lies in a box of the type `uuid` at the top level (XMP part 3), behind everything else, so that
no chunk of sound or picture moves and the index at the front stays right. A C2PA manifest store is
another `uuid` box. The comment is an item of the movie's metadata, which the muxer writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from animator.provenance.traces import MAX_COMMENT, Damaged, Source, Traces

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_COMMENT = b"\xa9cmt"


class _Box(NamedTuple):
    kind: bytes
    start: int
    body: int
    """First byte after the header."""
    end: int


def matches(head: bytes) -> bool:
    """Whether a file that begins so is one of these."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def look(source: Source, traces: Traces) -> None:
    """Find the traces of marks.

    Raises:
        Damaged: if the file ends within a box; what was found until then is in the traces.
    """
    traces.kind, traces.mime = "mp4", "video/mp4"
    for box in _boxes(source, 0, source.size):
        if box.kind == b"ftyp" and source.at(box.body, 4) == b"qt  ":
            traces.kind, traces.mime = "mov", "video/quicktime"
        elif box.kind == b"mdat":
            traces.add_media(box.start, min(box.end, source.size))
        elif box.kind == b"uuid" and box.end - box.body >= 16:
            name = source.at(box.body, 16)
            if name == _XMP:
                traces.add_packet(source, box.body + 16, box.end)
            elif name == _C2PA:
                traces.signed = True
        elif box.kind == b"moov":
            _look_at_comments(source, box, traces)
        if box.end > source.size:
            raise Damaged("it ends too early")


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet to a finished file; the comment is its muxer's to write.

    Raises:
        OSError: if it cannot be written.
        Damaged: if the last box is not of a known size.
    """
    with open(path, "r+b") as file:
        source = Source(file)
        for box in _boxes(source, 0, source.size):
            if box.end != source.size:
                continue
            if source.at(box.start, 4) == b"\0\0\0\0":
                raise Damaged("its last box has no size")
        file.seek(source.size)
        file.write((24 + len(packet)).to_bytes(4, "big") + b"uuid" + _XMP + packet)


def _boxes(source: Source, start: int, end: int) -> Iterator[_Box]:
    """The boxes of a run of bytes; the last may reach beyond it."""
    while start < end:
        source.count_part()
        if end - start < 8:
            raise Damaged("it ends within the header of a box")
        header = source.at(start, 8)
        size, body = int.from_bytes(header[:4], "big"), start + 8
        if size == 1:
            size, body = int.from_bytes(source.at(start + 8, 8), "big"), start + 16
        elif size == 0:
            size = end - start
        if size < body - start:
            raise Damaged("a box in it has an impossible size")
        yield _Box(header[4:], start, body, start + size)
        start += size


def _look_at_comments(source: Source, moov: _Box, traces: Traces) -> None:
    """Comments in the movie's user data: as MP4 has them, and as QuickTime does."""
    for udta in _within(source, moov, b"udta"):
        for item in _within(source, udta, _COMMENT):
            # QuickTime: length and language, then the text; MP4: a box with the text.
            head = source.at(item.body, min(8, item.end - item.body))
            if len(head) == 8 and head[4:] == b"data":
                _add_data(source, item, traces)
            elif len(head) >= 4:
                length = min(int.from_bytes(head[:2], "big"), item.end - item.body - 4)
                traces.add_comment(source.at(item.body + 4, length))
        for meta in _within(source, udta, b"meta"):
            for ilst in _within(source, meta._replace(body=meta.body + 4), b"ilst"):
                for item in _within(source, ilst, _COMMENT):
                    _add_data(source, item, traces)


def _add_data(source: Source, item: _Box, traces: Traces) -> None:
    for data in _within(source, item, b"data"):
        length = min(data.end - data.body - 8, MAX_COMMENT)
        if length > 0:
            traces.add_comment(source.at(data.body + 8, length))


def _within(source: Source, box: _Box, kind: bytes) -> Iterator[_Box]:
    """The boxes of one kind in a box, as far as they are whole."""
    end = min(box.end, source.size)
    try:
        for inner in _boxes(source, box.body, end):
            if inner.kind == kind and inner.end <= end:
                yield inner
    except Damaged:
        return  # what is wrong within a box is its reader's business
