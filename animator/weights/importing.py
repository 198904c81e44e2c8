"""Imports of weights into the library, and checks of those that are there.

A file from the network is data that a stranger wrote: it is measured before it is opened, nothing
in it is executed, every tensor must fit, and the network must render something finite before its
name appears in the library.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from animator.errors import AnimatorError
from animator.files.local import check_input
from animator.files.private import private_folder
from animator.settings import Settings
from animator.values import DEFAULT_WEIGHTS_NAME, MAX_WEIGHTS_NAME, is_weights_name
from animator.weights.library import (
    FLOW_STAGE,
    MAX_STRUCTURE_SIZE,
    PUBLISHED_SIZE,
    ImportRecord,
    WeightsInfo,
    describe,
    describe_file,
    entry_path,
    for_spec,
    is_face,
    purpose,
    read_record,
    record_path,
    resolve,
    sha256_of,
    structure_size,
    weights_names,
)
from gfla import checkpoint
from gfla.build import Generator
from gfla.config import AnimationConfig, ViewSynthesisConfig
from gfla.errors import GflaError
from gfla.models.generators import AnimationGenerator
from gfla.published.files import read_published

_NO_NAME = re.compile(r"latest|\d+", re.ASCII)
"""How training calls its files: such a name says nothing."""


def import_weights(
    path: str | Path, name: str | None = None, *, settings: Settings, force: bool = False
) -> WeightsInfo:
    """Convert a published file or one of our own checkpoints and put it into the library.

    Args:
        path: a published `*_net_G.pth` of any of the five models, also of stage 1 (a flow
            estimator alone, to train on from), or a checkpoint of this project.
        name: what to call it; by default after the file, without `_net_G`.
        settings: where the library is, and how large a file may be.
        force: replace weights of this name.

    Returns:
        The new entry.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file`, `unreadable_file`, `too_large`,
            `invalid_option` for a name that is not allowed, `weights_exist`, `weights_unreadable`
            naming what is wrong with the file, `output_not_writable` or `disk_full`. Nothing is
            left behind.
    """
    # What can be refused without opening the file.
    path = Path(path).absolute()
    name = suggest_name(path) if name is None else name
    _check_name(name)
    check_input(str(path))
    _check_size(path, settings.max_weights_bytes)
    if not force:
        _refuse_existing(name, settings)
    # Read it, and see that it renders.
    source_sha256 = sha256_of(path)
    generator, info = _read(path)
    structure_size(generator.config, info, str(path))
    _try_out(generator, path)
    # Write both files beside their names, then give them these: the record last, as an entry
    # without a record is none.
    imported = datetime.now(UTC).isoformat(timespec="seconds")
    origin = {"source_file": path.name, "source_sha256": source_sha256, "imported": imported}
    with _library(settings), _parts(name, settings) as (weights, record):
        if not force:
            # Again under the lock: another import may have ended meanwhile.
            _refuse_existing(name, settings)
        checkpoint.save(weights, generator, {**info, "name": name, **origin})
        _sync(weights)
        record.write_text(ImportRecord(sha256_of(weights), **origin).to_json(), encoding="utf-8")
        _sync(record)
        os.replace(weights, entry_path(name, settings))
        os.replace(record, record_path(name, settings))
        _sync(settings.weights_dir)
    return describe(name, settings)


def suggest_name(path: Path) -> str:
    """What to call a file's weights; a file that training named is called after its folder."""
    stem = re.sub(r"_net_G$", "", path.stem)
    if _NO_NAME.fullmatch(stem):
        stem = path.parent.name
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", stem, flags=re.ASCII)
    return cleaned.strip("-._")[:MAX_WEIGHTS_NAME]


def verify(name_or_path: str, settings: Settings) -> WeightsInfo:
    """Check weights as thoroughly as can be: their SHA-256, every tensor, and a small picture.

    Args:
        name_or_path: as `animator.weights.library.resolve` reads it.
        settings: where the library is.

    Returns:
        What was checked.

    Raises:
        AnimatorError: `no_such_weights`, `no_such_file`, `weights_unreadable`, or
            `weights_changed` if an imported file is not what it was.
    """
    path = resolve(name_or_path, settings)
    name = for_spec(name_or_path, settings)
    check_input(str(path))
    # The bytes, where there is a record of what they were.
    actual = sha256_of(path)
    imported = name in weights_names(settings) and name != DEFAULT_WEIGHTS_NAME
    if imported and (recorded := read_record(name, settings).sha256) != actual:
        raise AnimatorError(
            "weights_changed",
            f"The weights {name!r} are not the file that was imported: SHA-256 {actual[:12]}..., "
            f"recorded was {recorded[:12]}...; import them again.",
        )
    # Every tensor, and a picture.
    with _coded(path):
        loaded = checkpoint.load(path)
    structure_size(loaded.generator.config, loaded.info, str(path))
    _try_out(loaded.generator, path)
    if name in weights_names(settings):
        return describe(name, settings)
    header, size = describe_file(path), path.stat().st_size
    kind, task = header.config.kind, purpose(header.config, header.info)
    return WeightsInfo(name, str(path), kind, task, header.parameters, size, actual)


def _check_name(name: str) -> None:
    if not is_weights_name(name) or name.lower() == DEFAULT_WEIGHTS_NAME:
        raise AnimatorError(
            "invalid_option",
            f"Imported weights cannot be called {name!r}; give as --name up to "
            f"{MAX_WEIGHTS_NAME} letters, digits, dots, hyphens and underscores, beginning with a "
            "letter or digit, not ending like a file of weights, and not "
            f"{DEFAULT_WEIGHTS_NAME}.",
        )


def _check_size(path: Path, limit: int) -> None:
    size = path.stat().st_size
    if size > limit:
        raise AnimatorError(
            "too_large",
            f"{str(path)!r} has {size} bytes; allowed are {limit} (ANIMATOR_MAX_WEIGHTS_BYTES).",
        )


def _refuse_existing(name: str, settings: Settings) -> None:
    if any(os.path.lexists(f(name, settings)) for f in (entry_path, record_path)):
        message = f"There are weights {name!r} already; --force replaces them, --name adds others."
        raise AnimatorError("weights_exist", message)


def _read(path: Path) -> tuple[Generator, dict[str, Any]]:
    """The network in a file, and what its checkpoint has to say of it."""
    with path.open("rb") as file:
        beginning = file.read(9)
    with _coded(path):
        if beginning[8:9] == b"{":  # safetensors: the length of a JSON object, then the object
            loaded = checkpoint.load(path)
            return loaded.generator, loaded.info
        state = read_published(path)
        try:
            flow = checkpoint.flow_from_published(state)
            if flow is not None:
                return flow, {"structure_size": PUBLISHED_SIZE, "stage": FLOW_STAGE}
            generator = checkpoint.from_published(state)
        except GflaError as error:
            raise GflaError(error.code, f"{error.message}{_hint(set(state))}") from error
    info: dict[str, Any] = {"structure_size": PUBLISHED_SIZE}
    if is_face(generator.config):
        info |= {"background_edges": True, "drawing": "published"}
    elif isinstance(generator.config, AnimationConfig):
        info["skeleton"] = "published"
    return generator, info


def _hint(names: set[str]) -> str:
    if any(name.endswith((".weight_u", ".weight_orig", ".weight_bar")) for name in names):
        return "; this is a discriminator (*_net_D.pth), and only *_net_G.pth files render pictures"
    return ""


@contextmanager
def _coded(path: Path) -> Iterator[None]:
    """Raise the coded error for a file that does not hold what it should."""
    try:
        yield
    except GflaError as error:
        message = f"The weights {str(path)!r} cannot be used: {error.message}."
        raise AnimatorError("weights_unreadable", message) from error


def _try_out(generator: Generator, path: Path) -> None:
    """Render one small picture of noise; weights that overflow are told before they are needed.

    Raises:
        AnimatorError: `weights_unreadable`.
    """
    config, random = generator.config, torch.Generator().manual_seed(0)
    side = 2 * config.multiple
    if side > MAX_STRUCTURE_SIZE:
        message = f"The weights {str(path)!r} need pictures of at least {side} pixels."
        raise AnimatorError("weights_unreadable", message)
    extent = 1 if isinstance(config, ViewSynthesisConfig) else side
    image = torch.rand(1, 3, side, side, generator=random) * 2 - 1
    first, second = torch.rand(2, 1, config.structure_channels, extent, extent, generator=random)
    with torch.inference_mode():
        if isinstance(generator, AnimationGenerator):
            points = torch.rand(1, 68, 2, generator=random)
            state = generator.start(image, first, points)
            prediction = generator.step(state, second, points)[1]
        else:
            prediction = generator(image, first, second)
    if not prediction.image.isfinite().all():
        message = f"The weights {str(path)!r} render values that are not finite."
        raise AnimatorError("weights_unreadable", message)


@contextmanager
def _library(settings: Settings) -> Iterator[None]:
    """The library's folder, for one writer at a time."""
    folder = settings.weights_dir
    try:
        private_folder(folder)
        # The lock goes with the process that holds it, however that ends.
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT) or "No space" in str(
            error
        )
        reason = getattr(error, "strerror", None) or error
        message = f"The weights library {str(folder)!r} cannot be written: {reason}."
        code = "disk_full" if full else "output_not_writable"
        raise AnimatorError(code, message, retryable=full) from error


@contextmanager
def _parts(name: str, settings: Settings) -> Iterator[tuple[Path, Path]]:
    """Temporary names for the checkpoint and its record; gone in the end, whatever happens."""
    for stale in settings.weights_dir.glob(".*.part"):  # of an import that was killed
        stale.unlink(missing_ok=True)
    token = secrets.token_hex(4)
    parts = tuple(settings.weights_dir / f".{name}.{token}{kind}.part" for kind in ("", ".json"))
    try:
        yield parts[0], parts[1]
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
