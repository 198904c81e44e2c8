"""Marks in PNG and APNG files: XMP and the comment as text chunks, before the pictures."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from animator.provenance.traces import MAX_COMMENT, Damaged, Source, Traces, rewrite
from animator.provenance.xmp import MAX_PACKET

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp"
_MEDIA = frozenset((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"IDAT", b"fdAT"))
_PICTURES = (b"fcTL", b"IDAT")


def matches(head: bytes) -> bool:
    """Whether a file that begins so is a PNG."""
    return head.startswith(_SIGNATURE)


def look(source: Source, traces: Traces) -> None:
    """Find the traces of marks.

    Raises:
        Damaged: if the file ends before its last chunk.
    """
    traces.kind, traces.mime = "png", "image/png"
    for kind, start, end in _chunks(source):
        if kind in _MEDIA:
            traces.add_media(start, end)
            if kind == b"acTL":
                traces.kind = "apng"
        elif kind == b"iTXt":
            _look_at_text(source, start + 8, end - 4, traces)
        elif kind == b"tEXt":
            content = source.at(start + 8, min(end - start - 12, MAX_COMMENT))
            keyword, _, text = content.partition(b"\0")
            if keyword == b"Comment":
                traces.add_comment(text.decode("latin-1").encode())
        elif kind == b"caBX":
            traces.signed = True


def embed(path: Path, packet: bytes, comment: str) -> None:
    """Add an XMP packet, and a comment unless it is empty, before the first picture.

    Behind what says that it is animated: some readers look only so far for that.

    Raises:
        AnimatorError: output_not_writable, disk_full.
        Damaged: if the file is no PNG.
    """
    with open(path, "rb") as file:
        source = Source(file)
        size = source.size
        place = next((start for kind, start, _ in _chunks(source) if kind in _PICTURES), size)
    content = comment.encode("latin-1", "replace")
    text = _chunk(b"tEXt", b"Comment\0" + content) if content else b""
    xmp = _chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + packet)
    rewrite(path, [(0, place), xmp, text, (place, size)])


def _chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte and byte after the last of each chunk, checksums included."""
    position = len(_SIGNATURE)
    while True:
        source.count_part()
        head = source.at(position, 8)
        end = position + 12 + int.from_bytes(head[:4], "big")
        if end > source.size:
            if head[4:] in _MEDIA:
                yield head[4:], position, source.size
            raise Damaged("it ends too early")
        yield head[4:], position, end
        if head[4:] == b"IEND":
            return
        position = end


def _look_at_text(source: Source, start: int, end: int, traces: Traces) -> None:
    head = source.at(start, min(end - start, 512))
    keyword, zero, rest = head.partition(b"\0")
    if not zero or len(rest) < 2 or keyword not in (_XMP, b"Comment"):
        return
    compressed = rest[0] == 1
    # Behind the two flags are the language and the translated keyword, which are empty for XMP.
    language = head.find(b"\0", len(keyword) + 3)
    translated = head.find(b"\0", language + 1)
    if language < 0 or translated < 0:
        return
    body = start + translated + 1
    if keyword == b"Comment":
        if not compressed:
            traces.add_comment(source.at(body, min(end - body, MAX_COMMENT)))
    elif not compressed:
        traces.add_packet(source, body, end)
    elif traces.packet is None and end - body <= MAX_PACKET:
        inflater = zlib.decompressobj()
        try:
            packet = inflater.decompress(source.at(body, end - body), MAX_PACKET)
        except zlib.error:
            traces.faults.append("Its XMP is damaged.")
            return
        if inflater.unconsumed_tail:
            traces.faults.append("Its XMP is too large and was not read.")
        else:
            traces.packet = packet


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")
