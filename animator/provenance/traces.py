"""Traces of marks in a container, and what the readers of all containers share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from animator.files.output import replacing
from animator.provenance.xmp import MAX_PACKET

MAX_COMMENT = 1 << 16
"""Bytes of a comment that are read."""
MAX_PARTS = 20_000_000
"""Parts of a container that are looked at; more have only files that are made to take time."""
_BLOCK = 1 << 20


class Damaged(Exception):
    """A container that ends too early or is not built as its kind is."""


@dataclass
class Traces:
    """What of marks a container holds.

    Attributes:
        kind: such as "mp4"; empty for a container that is not known.
        mime: its media type, for C2PA; empty if C2PA has no place in such files.
        media: where its coded pictures and sound are: first byte and the byte after the last of
            each run, ascending.
        packet: the first XMP packet; None if there is none, or it is too large.
        comment: the first comment of this program's, or else the first of all; empty without any.
        signed: whether it has a C2PA manifest store.
        faults: sentences about what is wrong with the container.
    """

    kind: str = ""
    mime: str = ""
    media: list[tuple[int, int]] = field(default_factory=list)
    packet: bytes | None = None
    comment: str = ""
    signed: bool = False
    faults: list[str] = field(default_factory=list)

    def add_media(self, start: int, end: int) -> None:
        """Note coded media; runs that touch become one."""
        if self.media and self.media[-1][1] == start:
            self.media[-1] = (self.media[-1][0], end)
        else:
            self.media.append((start, end))

    def add_comment(self, content: bytes) -> None:
        """Note a comment."""
        text = content[:MAX_COMMENT].decode("utf-8", "replace").strip("\0 ")
        ours = "AI-generated: "
        if text and (not self.comment or (ours in text and ours not in self.comment)):
            self.comment = text

    def add_packet(self, source: Source, start: int, end: int) -> None:
        """Note an XMP packet that lies at these bytes."""
        if end - start > MAX_PACKET:
            self.faults.append(f"Its XMP has {end - start} bytes and was not read.")
        elif self.packet is None:
            self.packet = source.at(start, end - start)


class Source:
    """A file that is read here and there.

    Args:
        file: open for reading, buffered.

    Attributes:
        size: in bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self._parts = 0

    def at(self, offset: int, count: int) -> bytes:
        """So many bytes from there.

        Raises:
            Damaged: if the file ends before.
        """
        self._file.seek(offset)
        content = self._file.read(count)
        if len(content) != count:
            raise Damaged("it ends too early")
        return content

    def count_part(self) -> None:
        """Count a part of the container.

        Raises:
            Damaged: if there are more than `MAX_PARTS`.
        """
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Damaged(f"it has more than {MAX_PARTS} parts")


def digest(file: IO[bytes], spans: Iterable[tuple[int, int]]) -> str:
    """SHA-256 of these bytes of a file, one after another, as 64 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for start, end in spans:
        file.seek(start)
        while start < end:
            content = file.read(min(_BLOCK, end - start))
            if not content:
                break
            sha256.update(content)
            start += len(content)
    return sha256.hexdigest()


def rewrite(path: Path, parts: Iterable[bytes | tuple[int, int]]) -> None:
    """Replace a file by new bytes and runs of its own (first byte, byte after the last).

    Raises:
        AnimatorError: output_not_writable, disk_full.
    """
    with replacing(path, private=True) as part, open(path, "rb") as old, open(part, "wb") as new:
        for piece in parts:
            if isinstance(piece, bytes):
                new.write(piece)
                continue
            start, end = piece
            old.seek(start)
            while start < end:
                content = old.read(min(_BLOCK, end - start))
                if not content:
                    raise OSError("the file became shorter")
                new.write(content)
                start += len(content)
        mode = os.fstat(old.fileno()).st_mode
        os.fchmod(new.fileno(), mode & 0o777)
