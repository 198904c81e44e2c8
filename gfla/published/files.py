"""Reading published ``*.pth`` files as what they are: files from the network that a stranger wrote.

A ``.pth`` file is a pickle, and an ordinary reader of pickles runs whatever code it names. This one
asks PyTorch for tensors only, and looks at the archive's directory before anything is unpacked.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gfla.errors import GflaError

_PREFIX = "module."
_ARCHIVE = b"PK\x03\x04"
_OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that ``torch.save`` wrote: since version 1.6, and before."""


def read_published(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a published ``.pth`` file; nothing in the file is ever executed.

    Args:
        path: the file, in either of the formats of ``torch.save``.

    Returns:
        Tensors by name, on the CPU, no larger altogether than the file allows.

    Raises:
        GflaError: ``bad_checkpoint`` if the file is missing, broken, or holds anything but named
            tensors.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        # What it claims to be, by its first bytes.
        with path.open("rb") as file:
            beginning = file.read(len(_OLD_FORMAT))
        if beginning.startswith(_ARCHIVE):
            _check_archive(path, size)
        elif beginning != _OLD_FORMAT:
            raise _bad(path, "is no file that torch.save wrote")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that are refused below
            # Tensors and plain containers only: anything else is refused before it is called.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GflaError("bad_checkpoint", f"cannot read {path}: {error}") from error
    except GflaError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes the reader raise
        raise _bad(path, _reason(error)) from error
    return _named_tensors(path, state, size)


def without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the ``module.`` that ``nn.DataParallel`` puts before every name.

    Raises:
        GflaError: ``bad_checkpoint`` if only some of the names have it: such a file was put
            together of two, and which of its weights belong to each other cannot be told.
    """
    prefixed = [name for name in state if name.startswith(_PREFIX)]
    if not prefixed:
        return dict(state)
    if len(prefixed) < len(state):
        other = next(name for name in state if not name.startswith(_PREFIX))
        raise GflaError(
            "bad_checkpoint",
            f"{len(prefixed)} of its {len(state)} names begin with {_PREFIX!r}, such as "
            f"{prefixed[0]}, and others do not, such as {other}; a network's names all do or none",
        )
    return {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}


def _check_archive(path: Path, size: int) -> None:
    """Refuse archives that would unpack to more than they are; ``torch.save`` never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _bad(path, f"is damaged or incomplete: {error}") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _bad(path, "is a compressed archive, which torch.save does not write")
    if sum(entry.file_size for entry in entries) > size:
        raise _bad(path, "would unpack to more than its own size")


def _named_tensors(path: Path, state: object, size: int) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not state:
        raise _bad(path, "holds no tensors by name")
    claimed = 0
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            what = f"{name!r}, a {type(value).__name__}"
            raise _bad(path, f"holds {what}, where a network's weights are tensors by name")
        # Ordinary arrays: what is sparse, quantised or elsewhere would fail later, with a riddle.
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or not value.is_floating_point():
            raise _bad(path, f"holds {name!r}, which is no ordinary array of real numbers")
        claimed += value.numel() * value.element_size()
    # Published files name some layers twice, so their numbers may count double, never more.
    if claimed > 2 * size:
        raise _bad(path, f"holds {size} bytes, but its tensors claim {claimed}")
    return state


def _reason(error: Exception) -> str:
    """What was wrong, without PyTorch's advice to load the file unsafely."""
    text = str(error)
    if found := re.search(
        r"(?:unsupported|Unsupported) (?:global|GLOBAL):?(?: GLOBAL)? (\S+)", text
    ):
        return (
            f"asks for {found[1]}, which is code and no weights; it was not run, and such a file "
            "is not to be trusted"
        )
    if "TorchScript" in text:
        return "is a TorchScript program, where weights are needed"
    if isinstance(error, (EOFError, RuntimeError)) and re.search(
        r"EOF|corrupt|PytorchStreamReader|byte size|can't allocate", text + type(error).__name__
    ):
        return f"is damaged or incomplete ({_first_line(error)})"
    return f"cannot be read safely ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    first = re.split(r"\. |\n", str(error), maxsplit=1)[0][:120].strip()
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _bad(path: Path, what: str) -> GflaError:
    return GflaError("bad_checkpoint", f"{path.name} {what}")
