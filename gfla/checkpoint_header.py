"""The header of a checkpoint, its own description, read without its tensors or PyTorch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gfla.config import (
    AnimationConfig,
    GeneratorConfig,
    PoseTransferConfig,
    ViewSynthesisConfig,
)
from gfla.errors import GflaError

FORMAT = "gfla-1"
KINDS: dict[str, type[GeneratorConfig]] = {
    config.kind: config for config in (AnimationConfig, PoseTransferConfig, ViewSynthesisConfig)
}


@dataclass(frozen=True)
class Header:
    """A checkpoint's own description.

    Attributes:
        config: of the generator, with its kind.
        info: free JSON values, such as name, steps and the size it was trained at.
        parameters: how many numbers its tensors hold.
    """

    config: GeneratorConfig
    info: dict[str, Any]
    parameters: int


def read_header(path: str | Path) -> Header:
    """Read the description of a file that ``gfla.checkpoint.save`` wrote.

    Raises:
        GflaError: ``bad_checkpoint`` if the file is missing or is no safetensors file of this
            format; whether its tensors fit is left to ``gfla.checkpoint.load``.
    """
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            # Slices know their shape; no tensor is read.
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise GflaError("bad_checkpoint", f"cannot read weights from {path}: {error}") from error
    config, info = parse_metadata(path, metadata)
    return Header(config, info, sum(math.prod(shape) for shape in shapes))


def parse_metadata(
    path: str | Path, metadata: dict[str, str]
) -> tuple[GeneratorConfig, dict[str, Any]]:
    """Configuration and info from a file's metadata.

    Raises:
        GflaError: ``bad_checkpoint`` if they are not those of this format.
    """
    # Metadata is text by the format of safetensors: configuration and info are JSON in it.
    kind = KINDS.get(metadata.get("kind", ""))
    if metadata.get("format") != FORMAT or kind is None:
        raise GflaError("bad_checkpoint", f"{path} does not describe itself as {FORMAT} weights")
    try:
        config = kind.from_dict(json.loads(metadata["config"]))
        info = json.loads(metadata.get("info", "{}"))
    except (KeyError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise GflaError("bad_checkpoint", f"{path} has broken metadata: {error}") from error
    except GflaError as error:
        message = f"{path} describes no known network: {error.message}"
        raise GflaError("bad_checkpoint", message) from error
    if not isinstance(info, dict):
        raise GflaError("bad_checkpoint", f"{path} has broken metadata: its info is no object")
    return config, info
