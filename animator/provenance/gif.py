"""Marks in GIF files: XMP as an application extension (XMP part 3), the comment as a comment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from animator.provenance.traces import MAX_COMMENT, Damaged, Source, Traces, rewrite

_XMP = b"XMP DataXMP"
_C2PA = b"C2PA_GIF"
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_APPLICATION, _COMMENT_LABEL = 0xFF, 0xFE
# Readers take the packet for sub-blocks; wherever they land in this, it leads them to its end.
_MAGIC = b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def matches(head: bytes) -> bool:
    """Whether a file that begins so is a GIF."""
    return head[:6] in (b"GIF87a", b"GIF89a")


def look(source: Source, traces: Traces) -> None:
    """Find the traces of marks.

    Raises:
        Damaged: if the file ends before its trailer.
    """
    traces.kind, traces.mime = "gif", "image/gif"
    traces.add_media(0, 13 + _table_size(source.at(10, 1)[0]))
    for kind, start, end in _blocks(source):
        if kind == _IMAGE:
            traces.add_media(start, end)
        elif kind == _EXTENSION:
            _look_at_extension(source, start, end, traces)


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet, and a comment unless it is empty, before the first picture.

    Behind what says how often it is shown, which some players expect right at the beginning.

    Raises:
        AnimatorError: output_not_writable, disk_full.
        Damaged: if the file is no whole GIF.
    """
    with open(path, "rb") as file:
        source = Source(file)
        place = next(
            start
            for kind, start, _ in _blocks(source)
            if kind != _EXTENSION or source.at(start + 1, 1)[0] != _APPLICATION
        )
        size = source.size
    text = comment.encode("ascii", "replace")
    parts = [text[at : at + 255] for at in range(0, len(text), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    said = bytes([_EXTENSION, _COMMENT_LABEL]) + blocks + b"\0" if text else b""
    xmp = bytes([_EXTENSION, _APPLICATION, len(_XMP)]) + _XMP + packet + _MAGIC
    rewrite(path, [(0, place), xmp, said, (place, size)])


def _blocks(source: Source) -> Iterator[tuple[int, int, int]]:
    """Kind, first byte and byte after the last of each block, the trailer included."""
    position = 13 + _table_size(source.at(10, 1)[0])
    while True:
        kind = source.at(position, 1)[0]
        if kind == _TRAILER:
            yield kind, position, position + 1
            return
        if kind == _EXTENSION:
            end = _skip_blocks(source, position + 2)
        elif kind == _IMAGE:
            flags = source.at(position + 9, 1)[0]
            end = _skip_blocks(source, position + 10 + _table_size(flags) + 1)
        else:
            raise Damaged("a block in it is of no known kind")
        yield kind, position, end
        position = end


def _look_at_extension(source: Source, start: int, end: int, traces: Traces) -> None:
    label, length = source.at(start + 1, 2)
    if label == _COMMENT_LABEL:
        content, position = b"", start + 2
        while position < end - 1 and len(content) < MAX_COMMENT:
            size = source.at(position, 1)[0]
            content += source.at(position + 1, size)
            position += size + 1
        traces.add_comment(content)
    elif label == _APPLICATION and length:
        name, body = source.at(start + 3, length), start + 3 + length
        if name == _XMP:
            traces.add_packet(source, body, max(end - len(_MAGIC), body))
        elif name.startswith(_C2PA):
            traces.signed = True
    elif label not in (_APPLICATION, _COMMENT_LABEL):
        traces.add_media(start, end)


def _skip_blocks(source: Source, position: int) -> int:
    """The place behind sub-blocks that begin here."""
    while True:
        source.count_part()
        size = source.at(position, 1)[0]
        position += size + 1
        if size == 0:
            return position


def _table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
