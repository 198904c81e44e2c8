"""Packs: the frames of one clip or still of a face, as JPEG bytes, with their landmarks.

A pack is one ``.npz`` of plain, uncompressed arrays (never pickled objects): ``jpeg`` (all frames'
JPEG bytes in a row), ``offsets`` (frame i is ``jpeg[offsets[i]:offsets[i + 1]]``), ``landmarks``
(T x 68 x 2 in units of the picture) and ``meta`` (JSON as UTF-8 bytes: identity, licence, source,
kind). JPEG frames rather than H.264 because training asks for frames at random: one frame is one
decode, the same bytes wherever it is read (docs/data.md has the times).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.errors import GflaError
from gfla.files import replacing

JPEG_QUALITY = 93
IN_MEMORY = 2 * 1024**3
"""Folders of more bytes than this are left on disk and read frame by frame."""


@dataclass(frozen=True)
class StoredBytes:
    """Bytes within a file, read when they are asked for; costs no memory and no open file."""

    path: Path
    start: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> NDArray[np.uint8]:
        first, last, _ = part.indices(self.length)
        with self.path.open("rb") as file:
            file.seek(self.start + first)
            return np.frombuffer(file.read(max(last - first, 0)), np.uint8)


@dataclass(frozen=True)
class FacePack:
    """One clip or still of one person.

    Attributes:
        jpeg: all frames' JPEG bytes.
        offsets: T + 1 places in ``jpeg``.
        landmarks: float32 T 68 2, in units of the picture.
        meta: identity, licence, source, kind.
    """

    jpeg: NDArray[np.uint8] | StoredBytes
    offsets: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.landmarks)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index``: H x W x 3 RGB.

        Raises:
            GflaError: ``invalid_sample`` naming pack and frame, if its JPEG is damaged.
        """
        data = self.jpeg[int(self.offsets[index]) : int(self.offsets[index + 1])]
        # OpenCV makes a half grey picture of half a file, and says nothing.
        whole = len(data) > 3 and data[:2].tobytes() == b"\xff\xd8" and data[-2:].tobytes() == _END
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if whole else None
        if picture is None:
            name = self.meta.get("path", "a pack")
            raise GflaError("invalid_sample", f"frame {index} of {name} is damaged")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


_END = b"\xff\xd9"


def write_pack(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    landmarks: NDArray[np.float32],
    meta: Mapping[str, Any],
) -> None:
    """Write square RGB frames and their landmarks (T x 68 x 2, units of the picture).

    The file appears when it is whole; a run that is killed leaves none.
    """
    if len(frames) != len(landmarks):
        raise GflaError("invalid_pack", f"{len(frames)} frames, {len(landmarks)} landmark sets")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    # OpenCV's order of channels is blue, green, red.
    coded = [cv2.imencode(".jpg", f[..., ::-1], options)[1].ravel() for f in frames]
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            jpeg=np.concatenate(coded),
            offsets=np.cumsum([0, *map(len, coded)]).astype(np.int64),
            landmarks=np.asarray(landmarks, np.float32),
            meta=np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8),
        )


def read_pack(path: Path, *, on_disk: bool = False) -> FacePack:
    """Read what ``write_pack`` wrote.

    Args:
        path: the ``.npz``.
        on_disk: leave the pictures in the file; its checksum is then not verified.

    Raises:
        GflaError: ``invalid_pack`` if the file is none or its parts do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            offsets, landmarks = file["offsets"], file["landmarks"]
            meta = json.loads(file["meta"].tobytes())
            jpeg = _stored(path, "jpeg.npy") if on_disk else file["jpeg"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise GflaError("invalid_pack", f"{path} is no face pack: {error}") from error
    # Its parts must fit together, and its numbers be numbers.
    whole = len(offsets) == len(landmarks) + 1 and len(landmarks) and offsets[-1] == len(jpeg)
    if not whole or landmarks.shape[1:] != (68, 2) or (np.diff(offsets) < 0).any():
        raise GflaError("invalid_pack", f"{path}: its frames and landmarks do not fit together")
    if not np.isfinite(landmarks).all():
        raise GflaError("invalid_pack", f"{path}: landmarks are missing (not a number)")
    return FacePack(jpeg, offsets, landmarks, meta)


@dataclass(frozen=True)
class PackFolder:
    """The packs of a folder, and the files that are none.

    Attributes:
        packs: in the order of their names.
        broken: file names and why each was left out.
    """

    packs: tuple[FacePack, ...]
    broken: tuple[tuple[str, str], ...]


def read_packs(folder: Path, *, on_disk: bool | None = None) -> PackFolder:
    """Read every pack of a folder; broken ones are left out and listed.

    Args:
        folder: of ``.npz`` files.
        on_disk: leave the pictures on disk; None does where they are more than ``IN_MEMORY``.

    Raises:
        GflaError: ``no_data`` if there is no pack, ``invalid_data`` if more than one in a hundred
            (and more than one at all) are broken: the folder is not what it was meant to be.
    """
    paths = sorted(folder.glob("*.npz"))
    # Many clips are larger than memory; few are faster there.
    if on_disk is None:
        on_disk = sum(path.stat().st_size for path in paths if path.exists()) > IN_MEMORY
    packs, broken = [], []
    for path in paths:
        try:
            packs.append(read_pack(path, on_disk=on_disk))
        except GflaError as error:
            broken.append((path.name, error.message))
    if not packs:
        raise GflaError("no_data", f"{folder} has no readable face pack ({len(broken)} broken)")
    # One broken pack may happen at any size.
    if len(broken) > max(1, len(paths) // 100):
        listed = "; ".join(reason for _, reason in broken[:5])
        message = f"{len(broken)} of {len(paths)} packs of {folder} are broken: {listed}"
        raise GflaError("invalid_data", message)
    return PackFolder(tuple(packs), tuple(broken))


class OfPacks(Protocol):
    """Training data that are drawn from packs.

    Attributes:
        skipped: a sentence for every broken pack that was left out.
    """

    skipped: tuple[str, ...]


Data = TypeVar("Data", bound=OfPacks)


def data_of(make: Callable[..., Data], folder: Path, options: Mapping[str, Any]) -> Data:
    """The data that are made of the packs of a folder; raises what they and ``read_packs`` do."""
    read = read_packs(folder)
    data = make(read.packs, **options)
    data.skipped = tuple(f"{name}: {reason}" for name, reason in read.broken)
    return data


def _stored(path: Path, member: str) -> StoredBytes:
    """Where the values of a flat uint8 array lie in an uncompressed ``.npz``."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member} is compressed")
        place = info.header_offset
    with path.open("rb") as file:
        # The local header repeats the name and has extra fields of its own length.
        file.seek(place + 26)
        name, extra = np.frombuffer(file.read(4), "<u2")
        file.seek(place + 30 + int(name) + int(extra))
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
        if dtype != np.uint8 or len(shape) != 1:
            raise ValueError(f"{member} is {dtype} {shape}")
        return StoredBytes(path, file.tell(), int(shape[0]))
