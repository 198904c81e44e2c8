"""Tar files that WebDataset reads, with the same bytes for the same content."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from animator.files.output import coded_errors, replacing
from animator.files.storage import Storage

_BLOCK = tarfile.BLOCKSIZE


class TarWriter:
    """Writes members one after another; nothing of the machine or the moment gets into them.

    Args:
        path: the file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)

    def add(self, name: str, content: bytes) -> int:
        """Add a member; returns where its content begins in the file."""
        return self._add(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, path: Path) -> int:
        """Add a file's content as a member; returns where it begins in the file."""
        with open(path, "rb") as file:
            return self._add(name, file, os.fstat(file.fileno()).st_size)

    def add_members(self, prefix: str, path: Path) -> None:
        """Add all members of another tar file, with a prefix to their names."""
        for name, content in members(path):
            self.add(prefix + name, content)

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(self, *raised: object) -> None:
        """Write the end."""
        self._tar.close()

    def _add(self, name: str, content: BinaryIO, size: int) -> int:
        member = tarfile.TarInfo(name)
        member.size = size
        self._tar.addfile(member, content)
        return self._tar.offset - -(-size // _BLOCK) * _BLOCK


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a tar file."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content.read()


@contextmanager
def whole_file(storage: Storage, name: str) -> Iterator[Path]:
    """A path to write a large file to, which appears in a storage as a whole if all goes well.

    Raises:
        AnimatorError: `disk_full`, `output_not_writable`, or as `Storage`.
    """
    target = storage.location(name)
    if storage.local is None:
        with tempfile.TemporaryDirectory(prefix="animator-") as folder:
            path = Path(folder) / "file"
            with coded_errors(path):
                yield path
            storage.put(name, path)
        return
    place = Path(target)
    with coded_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as part:
        yield part
