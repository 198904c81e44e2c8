"""Marks in Matroska and WebM files: tags of the whole file.

Matroska has no place of its own for XMP, so the packet is the value of a tag `XMP`, beside
`DIGITAL_SOURCE_TYPE` and `COMMENT`; programs that copy tags keep all three. New tags lie behind
everything else, and the index at the front is told where, if there is room in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from animator.provenance.traces import MAX_COMMENT, Damaged, Source, Traces
from animator.provenance.xmp import MAX_PACKET, BadPacket, digital_source_type, read_properties

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_VOID, _CLUSTER, _TAGS = 0xEC, 0x1F43B675, 0x1254C367
_TAG, _TARGETS, _SIMPLE_TAG, _NAME, _STRING = 0x7373, 0x63C0, 0x67C8, 0x45A3, 0x4487
_DOC_TYPE = 0x4282
_UNKNOWN = -1


class _Element(NamedTuple):
    kind: int
    start: int
    body: int
    """First byte after the header."""
    end: int
    sized: bool
    """Whether its size is known; else it reaches to the end of what it is in."""


def matches(head: bytes) -> bool:
    """Whether a file that begins so is one of these."""
    return head.startswith(_EBML.to_bytes(4, "big"))


def look(source: Source, traces: Traces) -> None:
    """Find the traces of marks.

    Raises:
        Damaged: if the file ends too early.
    """
    traces.kind = "mkv"
    for top in _elements(source, 0, source.size):
        if top.kind == _EBML:
            for inner in _elements(source, top.body, min(top.end, source.size)):
                if inner.kind == _DOC_TYPE and source.at(inner.body, 4) == b"webm":
                    traces.kind = "webm"
        elif top.kind == _SEGMENT:
            for part in _elements(source, top.body, min(top.end, source.size)):
                if part.kind == _CLUSTER:
                    traces.add_media(part.start, min(part.end, source.size))
                elif part.kind == _TAGS and part.end <= source.size:
                    _look_at_tags(source, part, traces)
        if top.end > source.size:
            raise Damaged("it ends too early")


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet, and a comment unless it is empty, to a finished file.

    Raises:
        OSError: if it cannot be written.
        Damaged: if the file is not one segment.
    """
    with open(path, "r+b") as file:
        source = Source(file)
        segment = next((e for e in _elements(source, 0, source.size) if e.kind == _SEGMENT), None)
        if segment is None or segment.end != source.size:
            raise Damaged("it does not end with its segment")
        values = {"XMP": packet}
        try:
            values["DIGITAL_SOURCE_TYPE"] = digital_source_type(read_properties(packet)).encode()
        except BadPacket:  # not one of ours
            pass
        if comment:
            values["COMMENT"] = comment.encode()
        tags = _tags(values)
        # The index first: it is where it was, whatever follows.
        _index(file, source, segment, source.size - segment.body)
        if segment.sized:
            width = segment.body - segment.start - 4
            size = source.size - segment.body + len(tags)
            if size >= (1 << 7 * width) - 1:
                raise Damaged("its segment has no room for more")
            file.seek(segment.start + 4)
            file.write(_size(size, width))
        file.seek(source.size)
        file.write(tags)


def _index(file: IO[bytes], source: Source, segment: _Element, position: int) -> None:
    """Note in the segment's index that tags are at this place of it, if there is room."""
    parts = _elements(source, segment.body, segment.end)
    head, void = next(parts, None), next(parts, None)
    if head is None or void is None or head.kind != _SEEK_HEAD or void.kind != _VOID:
        return
    entry = _element(
        _SEEK,
        _element(_SEEK_ID, _TAGS.to_bytes(4, "big"))
        + _element(_SEEK_POSITION, position.to_bytes(8, "big")),
    )
    body = source.at(head.body, head.end - head.body) + entry
    # What is left of the room must be nothing, or enough for the header of an empty element.
    left = void.end - head.start - (4 + 8 + len(body))
    if left < 0 or 0 < left < 9:
        return
    rest = b"" if not left else bytes([_VOID]) + _size(left - 9, 8) + bytes(left - 9)
    file.seek(head.start)
    file.write(_SEEK_HEAD.to_bytes(4, "big") + _size(len(body), 8) + body + rest)


def _look_at_tags(source: Source, tags: _Element, traces: Traces) -> None:
    for tag in _within(source, tags, _TAG):
        for simple in _within(source, tag, _SIMPLE_TAG):
            name, value = b"", None
            for part in _elements(source, simple.body, simple.end):
                if part.kind == _NAME:
                    name = source.at(part.body, min(part.end - part.body, 64)).upper()
                elif part.kind == _STRING:
                    value = part
            if value is None:
                continue
            if name == b"XMP":
                traces.add_packet(source, value.body, value.end)
            elif name in (b"COMMENT", b"DESCRIPTION"):
                length = min(value.end - value.body, MAX_COMMENT)
                traces.add_comment(source.at(value.body, length))


def _within(source: Source, outer: _Element, kind: int) -> Iterator[_Element]:
    for inner in _elements(source, outer.body, outer.end):
        if inner.kind == kind:
            yield inner


def _elements(source: Source, start: int, end: int) -> Iterator[_Element]:
    """The elements of a run of bytes; the last may reach beyond the file."""
    while start < end:
        source.count_part()
        header = source.at(start, min(12, end - start))
        kind, id_width = _number(header, keep_marker=True)
        size, width = _number(header[id_width:])
        body = start + id_width + width
        last = end if size == _UNKNOWN else body + size
        # Only what is at the top of the file may reach beyond what it is in: the file was cut.
        if last > end and end != source.size:
            raise Damaged("an element in it is larger than what it is in")
        yield _Element(kind, start, body, last, size != _UNKNOWN)
        if last > source.size:
            raise Damaged("it ends too early")
        start = last


def _number(content: bytes, *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of a variable width, and that width; `_UNKNOWN` for a size that says so."""
    width = 9 - content[0].bit_length() if content and content[0] else 9
    if width > (4 if keep_marker else 8) or len(content) < width:
        raise Damaged("an element in it has no header")
    number = int.from_bytes(content[:width], "big")
    if keep_marker:
        return number, width
    number &= (1 << 7 * width) - 1
    return (_UNKNOWN if number == (1 << 7 * width) - 1 else number), width


def _size(number: int, width: int) -> bytes:
    return (number | 1 << 7 * width).to_bytes(width, "big")


def _element(kind: int, body: bytes) -> bytes:
    width = (kind.bit_length() + 7) // 8
    return kind.to_bytes(width, "big") + _size(len(body), 4 if len(body) < MAX_PACKET else 8) + body


def _tags(values: dict[str, bytes]) -> bytes:
    simple = b"".join(
        _element(_SIMPLE_TAG, _element(_NAME, name.encode()) + _element(_STRING, value))
        for name, value in values.items()
    )
    return _element(_TAGS, _element(_TAG, _element(_TARGETS, b"") + simple))
