"""Marks in GIF files: XMP as an application extension (XMP part 3), the comment as a comment."""

from __future__ import annotations

from pathlib import Path

from animator.provenance.traces import MAX_COMMENT, Damaged, Source, Traces

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
    _walk(source, traces)


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet and the comment to a finished file, before its trailer.

    Raises:
        OSError: if it cannot be written.
        Damaged: if the file is no whole GIF.
    """
    with open(path, "r+b") as file:
        end = _walk(Source(file), Traces())
        file.seek(end)
        file.truncate()
        text = comment.encode("ascii", "replace")
        blocks = b"".join(
            bytes([len(part)]) + part
            for part in (text[at : at + 255] for at in range(0, len(text), 255))
        )
        file.write(bytes([_EXTENSION, _COMMENT_LABEL]) + blocks + b"\0")
        file.write(bytes([_EXTENSION, _APPLICATION, len(_XMP)]) + _XMP + packet + _MAGIC)
        file.write(bytes([_TRAILER]))


def _walk(source: Source, traces: Traces) -> int:
    """Go through the blocks; returns where the trailer is."""
    head = source.at(0, 13)
    position = 13 + _table_size(head[10])
    traces.add_media(0, position)
    while True:
        kind = source.at(position, 1)[0]
        if kind == _TRAILER:
            return position
        if kind == _EXTENSION:
            end = _skip_blocks(source, position + 2)
            _look_at_extension(source, position, end, traces)
        elif kind == _IMAGE:
            flags = source.at(position + 1, 9)[8]
            end = _skip_blocks(source, position + 10 + _table_size(flags) + 1)
            traces.add_media(position, end)
        else:
            raise Damaged("a block in it is of no known kind")
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
