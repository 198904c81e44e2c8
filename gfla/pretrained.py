"""The files of other people's networks that metrics are made of: found, checked, or fetched."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import urlparse

import torch

from gfla.errors import GflaError

EXTRA = "pip install 'animator[evaluate]'"


@dataclass(frozen=True)
class PretrainedFile:
    """A file of weights that gives a metric its name.

    Attributes:
        what: whose weights they are, in words.
        url: where they are published; the name ends with the beginning of the file's SHA-256, as
            is the custom of torch.hub.
    """

    what: str
    url: str

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(urlparse(self.url).path).name

    @property
    def sha256_prefix(self) -> str:
        """How its SHA-256 begins."""
        return Path(self.name).stem.rsplit("-", 1)[-1]


@dataclass(frozen=True)
class FoundFile:
    """A file on this machine.

    Attributes:
        path: where it is.
        sha256: of what is in it.
    """

    path: Path
    sha256: str


def weights_folder() -> Path:
    """Where torch.hub keeps what it has downloaded, and where files may be put by hand."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find(file: PretrainedFile, path: str | Path | None = None) -> FoundFile:
    """The file, checked against its SHA-256; downloaded once where nothing names it.

    Args:
        file: which one.
        path: where it is, if it is not in ``weights_folder``.

    Raises:
        GflaError: ``bad_checkpoint`` if the file at ``path`` is missing or another one: a number
            may only carry the metric's name if it comes from those very weights;
            ``features_unavailable`` naming URL and folder where nothing can be downloaded.
    """
    # Nothing is downloaded in place of a file that somebody named.
    place = weights_folder() / file.name if path is None else Path(path)
    if path is None and not place.is_file():
        _download(file, place)
    try:
        sha256 = file_sha256(place)
    except OSError as error:
        raise GflaError("bad_checkpoint", f"cannot read {place}: {error}") from error
    # The name of the file promises these weights, wherever it came from.
    if not sha256.startswith(file.sha256_prefix):
        raise GflaError(
            "bad_checkpoint",
            f"{place} is not {file.what}: its SHA-256 begins with {sha256[:8]}, that of {file.url} "
            f"with {file.sha256_prefix}; a metric of that name needs those very weights",
        )
    return FoundFile(place, sha256)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require(package: str) -> ModuleType:
    """Import a package of the extra ``evaluate``.

    Raises:
        GflaError: ``missing_package`` saying how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        top = package.split(".")[0]
        message = f"this needs the package {top}, which is not installed ({error}); {EXTRA}"
        raise GflaError("missing_package", message) from error


def _download(file: PretrainedFile, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(file.url, str(place), file.sha256_prefix, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        raise GflaError(
            "features_unavailable",
            f"{file.what} is neither in {place.parent} nor can it be downloaded ({error}); fetch "
            f"{file.url} elsewhere and put it into {place.parent}",
        ) from error


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
