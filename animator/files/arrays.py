"""Arrays in a file: npz without pickle, each array checked against its checksum when it is read."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file, or making sense of its arrays, may raise."""


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of a file of these arrays; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(content: Path | bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file; a damaged one raises one of `DAMAGED`."""
    source = content if isinstance(content, Path) else io.BytesIO(content)
    with np.load(source, allow_pickle=False) as archive:
        return dict(archive)


def from_text(text: str) -> NDArray[np.uint8]:
    """A text as an array."""
    return np.frombuffer(text.encode(), np.uint8)


def to_text(array: NDArray[Any]) -> str:
    """The text that `from_text` made an array of."""
    return array.tobytes().decode()
