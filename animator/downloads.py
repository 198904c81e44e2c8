"""Weights of other people's networks: where they are kept, and how they are fetched."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from pathlib import Path

import torch


def weights_folder() -> Path:
    """Where torch.hub keeps weight files."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(url: str, path: Path, timeout: float) -> None:
    """Download a file to a temporary name, compare the checksum in its name, then rename.

    Args:
        url: where it is.
        path: where it is to be; its name ends in the first digits of its SHA-256, as in
            ``net-1234abcd.pth``.
        timeout: seconds without any data after which a server counts as out of reach.

    Raises:
        OSError: if it cannot be fetched or written.
        ValueError: if the checksum is another one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256()
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=timeout) as answer,
        ):
            while block := answer.read(1 << 20):
                checksum.update(block)
                file.write(block)
        expected = path.name.split(".")[0].rsplit("-", 1)[1]
        if not checksum.hexdigest().startswith(expected):
            raise ValueError(f"the checksum of {url} is wrong")
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
