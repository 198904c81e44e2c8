"""The weights that are there, by name: those that are shipped and those that were imported.

The library is the folder `weights` in the state folder. `NAME.safetensors` is a checkpoint that
describes itself; `NAME.json` beside it is its record: where it came from, and the SHA-256 that it
had when it was imported. Nothing here loads PyTorch, so a job's weights are checked at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.values import DEFAULT_WEIGHTS_NAME, is_weights_name
from gfla.checkpoint_header import Header, read_header
from gfla.config import AnimationConfig, GeneratorConfig
from gfla.errors import GflaError

DEFAULT_WEIGHTS = Path(__file__).parent / "default.safetensors"
FACE_CHANNELS = 16
"""Structure channels by which a face animation model is told from one for persons."""
SUFFIX = ".safetensors"
PUBLISHED_SIZE = 256
"""Structure size of checkpoints that do not name theirs: the published models'."""
MAX_STRUCTURE_SIZE = 1024
FLOW_STAGE = "flow"
"""What a checkpoint of stage 1 says as its stage: it cannot render, only be trained on from."""


@dataclass(frozen=True)
class WeightsInfo:
    """One entry of the library.

    Attributes:
        name: what `--weights` calls it.
        path: of the checkpoint.
        kind: of the model, as its checkpoint names it; empty if that cannot be read.
        purpose: what the model does, in words.
        parameters: how many numbers it has.
        size: bytes of the file.
        sha256: of the file when it was imported; of the file as it is for those that are shipped.
        source_file: name of the file that was imported, or what the shipped ones are called.
        source_sha256: of the file that was imported.
        imported: when, as an ISO 8601 date and time; None for those that are shipped.
        problem: why it cannot be used, as far as that shows without loading it.
    """

    name: str
    path: str
    kind: str
    purpose: str
    parameters: int
    size: int
    sha256: str | None = None
    source_file: str | None = None
    source_sha256: str | None = None
    imported: str | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class ImportRecord:
    """What is kept beside an imported checkpoint.

    Attributes:
        sha256: of the checkpoint.
        source_file: name of the file that it was made of.
        source_sha256: of that file.
        imported: when, as an ISO 8601 date and time.
    """

    sha256: str
    source_file: str
    source_sha256: str
    imported: str

    def to_json(self) -> str:
        """The record as it is stored."""
        return json.dumps(asdict(self), indent=2) + "\n"


def list_weights(settings: Settings) -> list[WeightsInfo]:
    """Every entry, the shipped one first, the others by name; damaged ones say so."""
    return [describe(name, settings) for name in weights_names(settings)]


def weights_names(settings: Settings) -> list[str]:
    """The names in the library, "default" first."""
    files = settings.weights_dir.glob(f"*{SUFFIX}")
    found = sorted(path.stem for path in files if path.is_file())
    return [DEFAULT_WEIGHTS_NAME, *(name for name in found if _may_be_imported_as(name))]


def resolve(name_or_path: str, settings: Settings) -> Path:
    """The file that a user means: weights of this name, or else the file at this path.

    A name wins over a file that is called the same; `./NAME` means the file.

    Raises:
        AnimatorError: `no_such_weights` naming what there is, `no_such_file`, or
            `weights_unreadable` for an entry without a record.
    """
    path = resolve_spec(for_spec(name_or_path, settings), settings)
    if not path.exists():
        raise AnimatorError("no_such_file", f"There is no file {str(path)!r}.")
    return path


def for_spec(name_or_path: str, settings: Settings) -> str:
    """What a job's specification says for it: a name as it is, anything else as absolute path.

    A name is left a name, so that another machine looks it up in its own library.
    """
    if not is_weights_name(name_or_path):
        return os.path.abspath(name_or_path)
    # A file of a name that is not in the library is meant as a file.
    known = name_or_path in weights_names(settings)
    if known or not os.path.exists(name_or_path):
        return name_or_path
    return os.path.abspath(name_or_path)


def resolve_spec(weights: str, settings: Settings) -> Path:
    """The file that a job's specification means: an absolute path, or a name in the library.

    Raises:
        AnimatorError: `no_such_weights` or `weights_unreadable`, as `resolve`.
    """
    if os.path.isabs(weights):
        return Path(weights)
    if weights == DEFAULT_WEIGHTS_NAME:
        return DEFAULT_WEIGHTS
    if weights not in weights_names(settings):
        known = ", ".join(weights_names(settings))
        message = f"There are no weights {weights!r}; known are {known}, or give a file."
        raise AnimatorError("no_such_weights", message)
    read_record(weights, settings)
    return entry_path(weights, settings)


def remove(name: str, settings: Settings) -> Path:
    """Take weights out of the library, also damaged ones; gives the file that was removed.

    Raises:
        AnimatorError: `invalid_option` for those that are shipped, `no_such_weights`,
            `output_not_writable`.
    """
    if name == DEFAULT_WEIGHTS_NAME:
        message = "The default weights are shipped with the program and cannot be removed."
        raise AnimatorError("invalid_option", message)
    known = weights_names(settings)
    if name not in known:
        message = f"There are no weights {name!r} in the library; known are {', '.join(known)}."
        raise AnimatorError("no_such_weights", message)
    path = entry_path(name, settings)
    try:
        # A job that has opened the file goes on with it.
        path.unlink(missing_ok=True)
        record_path(name, settings).unlink(missing_ok=True)
    except OSError as error:
        message = f"{str(path)!r} cannot be removed: {error.strerror}."
        raise AnimatorError("output_not_writable", message) from error
    return path


def entry_path(name: str, settings: Settings) -> Path:
    """Where the checkpoint of a name is, or would be."""
    return settings.weights_dir / f"{name}{SUFFIX}"


def record_path(name: str, settings: Settings) -> Path:
    """Where the record of a name is, or would be."""
    return settings.weights_dir / f"{name}.json"


def read_record(name: str, settings: Settings) -> ImportRecord:
    """What was noted when these weights were imported.

    Raises:
        AnimatorError: `weights_unreadable` if there is no record, or it is damaged.
    """
    path = record_path(name, settings)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = ImportRecord(**values)
    except (OSError, ValueError, TypeError) as error:
        message = f"The weights {name!r} have no sound record ({path.name}); import them again."
        raise AnimatorError("weights_unreadable", message) from error
    if not all(isinstance(value, str) for value in asdict(record).values()):
        message = f"The weights {name!r} have a damaged record ({path.name}); import them again."
        raise AnimatorError("weights_unreadable", message)
    return record


def describe(name: str, settings: Settings) -> WeightsInfo:
    """One entry, as far as its record and the head of its file tell."""
    if name == DEFAULT_WEIGHTS_NAME:
        return _describe_default()
    # What is damaged is listed, with the reason.
    path, problem, record, header = entry_path(name, settings), None, None, None
    try:
        header = describe_file(path)
        record = read_record(name, settings)
    except AnimatorError as error:
        problem = error.message
    return WeightsInfo(
        name=name,
        path=str(path),
        kind="" if header is None else header.config.kind,
        purpose="" if header is None else purpose(header.config, header.info),
        parameters=0 if header is None else header.parameters,
        size=_size(path),
        problem=problem,
        **({} if record is None else asdict(record)),
    )


def describe_file(path: Path) -> Header:
    """What a checkpoint says of itself.

    Raises:
        AnimatorError: `weights_unreadable`.
    """
    try:
        return read_header(path)
    except GflaError as error:
        message = f"The weights {str(path)!r} cannot be used: {error.message}."
        if path.suffix in (".pth", ".pt"):
            message = (
                f"{str(path)!r} is no checkpoint of this project; a published file is first "
                "brought into the library by `animator weights import`."
            )
        raise AnimatorError("weights_unreadable", message) from error


def is_face(config: GeneratorConfig) -> bool:
    """Whether the model animates portraits."""
    return isinstance(config, AnimationConfig) and config.structure_channels == FACE_CHANNELS


def purpose(config: GeneratorConfig, info: Mapping[str, Any] | None = None) -> str:
    """What the model does, in words; with what its checkpoint says, also of which stage it is."""
    if is_face(config):
        return "face animation"
    task = {
        "animation": "person animation",
        "pose-transfer": "person pose transfer",
        "view-synthesis": "view synthesis",
    }[config.kind]
    return f"stage 1 of {task}" if (info or {}).get("stage") == FLOW_STAGE else task


def require_face(config: GeneratorConfig, name: str) -> None:
    """Refuse a model that does not animate portraits.

    Raises:
        AnimatorError: `weights_wrong_kind`.
    """
    if not is_face(config):
        raise AnimatorError(
            "weights_wrong_kind",
            f"The weights {name!r} are for {purpose(config)} ({config.kind}, "
            f"{config.structure_channels} structure channels), and a portrait needs weights for "
            "face animation; `animator weights list` shows which are there.",
        )


def structure_size(config: GeneratorConfig, info: Mapping[str, Any], name: str) -> int:
    """Side of the structure guidance that a checkpoint asks for, in pixels.

    Raises:
        AnimatorError: `weights_unreadable` if its networks do not work at that size.
    """
    size = info.get("structure_size", PUBLISHED_SIZE)
    if type(size) is int and 0 < size <= MAX_STRUCTURE_SIZE and size % config.multiple == 0:
        return size
    raise AnimatorError(
        "weights_unreadable",
        f"The weights {name!r} name {size!r} as structure size; allowed are multiples of "
        f"{config.multiple} up to {MAX_STRUCTURE_SIZE}.",
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe_default() -> WeightsInfo:
    path = DEFAULT_WEIGHTS
    try:
        header, sha256 = describe_file(path), sha256_of(path)
    except (AnimatorError, OSError) as error:
        return WeightsInfo(DEFAULT_WEIGHTS_NAME, str(path), "", "", 0, 0, problem=str(error))
    return WeightsInfo(
        name=DEFAULT_WEIGHTS_NAME,
        path=str(path),
        kind=header.config.kind,
        purpose=purpose(header.config),
        parameters=header.parameters,
        size=_size(path),
        sha256=sha256,
        source_file=str(header.info.get("name", "")) or None,
    )


def _may_be_imported_as(name: str) -> bool:
    return is_weights_name(name) and name.lower() != DEFAULT_WEIGHTS_NAME


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
