"""Marks in WebP files: XMP as a chunk behind the pictures; there is no place for a comment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from animator.provenance.traces import Damaged, Source, Traces, rewrite

_MEDIA = frozenset((b"ANIM", b"ANMF", b"VP8 ", b"VP8L", b"ALPH"))
_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def matches(head: bytes) -> bool:
    """Whether a file that begins so is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def look(source: Source, traces: Traces) -> None:
    """Find the traces of marks.

    Raises:
        Damaged: if the file ends before its last chunk.
    """
    traces.kind, traces.mime = "webp", "image/webp"
    for kind, start, end in _chunks(source):
        if kind in _MEDIA:
            traces.add_media(start, min(end, source.size))
        elif kind == b"XMP ":
            length = int.from_bytes(source.at(start + 4, 4), "little")
            traces.add_packet(source, start + 8, start + 8 + length)
        elif kind == b"C2PA":
            traces.signed = True
        if end > source.size:
            raise Damaged("it ends too early")


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet to a finished file; one in the simple format gets the extended one.

    Raises:
        AnimatorError: output_not_writable, disk_full.
        Damaged: if the file is no WebP, or would become too large for one.
    """
    with open(path, "rb") as file:
        source = Source(file)
        chunks = list(_chunks(source))
        end = chunks[-1][2] if chunks else 0
        if not chunks or end > source.size:
            raise Damaged("it has no whole picture")
        first = chunks[0][0]
        if first == b"VP8X":
            body = source.at(20, 10)
            extended, rest = bytes([body[0] | _HAS_XMP]) + body[1:], chunks[0][2]
        else:
            extended, rest = _extended(first, source.at(20, 10)), 12
    xmp = b"XMP " + len(packet).to_bytes(4, "little") + packet + b"\0" * (len(packet) % 2)
    size = 4 + 8 + len(extended) + (end - rest) + len(xmp)
    if size >= 1 << 32:
        raise Damaged("it is too large for more")
    head = b"RIFF" + size.to_bytes(4, "little") + b"WEBPVP8X\x0a\0\0\0" + extended
    rewrite(path, [head, (rest, end), xmp])


def _chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte and byte after the last of each chunk, which may be beyond the file's end.

    As many as the file says that it has.
    """
    riff = source.at(0, 12)
    end, position = 8 + int.from_bytes(riff[4:8], "little"), 12
    while position + 8 <= end:
        source.count_part()
        head = source.at(position, 8)
        length = int.from_bytes(head[4:], "little")
        yield head[:4], position, position + 8 + length + length % 2
        position += 8 + length + length % 2
    if end > source.size:
        raise Damaged("it ends too early")


def _extended(kind: bytes, body: bytes) -> bytes:
    """The body of the extended format's chunk for a picture in the simple one."""
    flags = _HAS_XMP
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width = int.from_bytes(body[6:8], "little") & 0x3FFF
        height = int.from_bytes(body[8:10], "little") & 0x3FFF
    elif kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags |= _HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        raise Damaged("its picture is of no known kind")
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([flags, 0, 0, 0]) + sides
