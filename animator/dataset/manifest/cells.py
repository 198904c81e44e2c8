"""Rows of a manifest become samples: what a cell may hold, and what it means."""

from __future__ import annotations

import hashlib
import math
import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from animator.dataset.samples import COLUMNS, NEEDED, REALS, ROW_OPTIONS, Fault, Sample
from animator.errors import AnimatorError
from animator.files.urls import check_url
from animator.moving_faces import MovingFaces
from animator.options import Priority, RowOptions
from animator.settings import Settings
from animator.spec import OPTIONS, JobSpec
from animator.values import (
    MAX_LOCATION,
    Location,
    is_url,
    is_weights_name,
    plain_location,
    refuse,
)

MAX_ID = 100
_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID}}}", re.ASCII)
_SEED = re.compile(r"\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,18})?", re.ASCII)
_MAX_SEED = 2**63 - 1
_KNOWN_LOCATIONS = 1 << 16
_NUMBERS: dict[str, tuple[type, ...]] = dict.fromkeys(("id", "face"), (int,))
_NUMBERS |= dict.fromkeys(("start", "end", *REALS), (int, float))
_NUMBERS |= dict.fromkeys(("fps", "driving_fps"), (int, float))
MAX_CELL = 2 * MAX_LOCATION
"""Most characters of a cell, the spaces around it included."""
_LONG_MESSAGE = 500


@dataclass(frozen=True)
class RowDefaults(RowOptions):
    """What holds for a row that does not say otherwise.

    Raises:
        AnimatorError: `invalid_option`, as a job's specification.
    """

    priority: Priority = "normal"
    seed: int | None = None
    """From 0 to 2**63 - 1."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_options({name: getattr(self, name) for name in ROW_OPTIONS})
        object.__setattr__(self, "face", str(self.face))  # a column of texts
        OPTIONS["priority"].check(self.priority)
        if self.seed is not None:
            _seed(self.seed)


class RowMaker:
    """Makes the samples of one manifest.

    Args:
        folder: where relative names begin: an absolute path, or a URL without a slash at its end.
        settings: which URLs are allowed.
        defaults: of cells that are empty or not there.
    """

    def __init__(self, folder: str, settings: Settings, defaults: RowDefaults) -> None:
        self._folder = folder
        self._settings = settings
        self._defaults = asdict(defaults)
        # The same files are named again and again: they are looked at once, and share one text.
        self._locate = lru_cache(_KNOWN_LOCATIONS)(self._location)

    def make(self, row: int, cells: Mapping[str, object]) -> Sample | Fault:
        """The sample of a row.

        Args:
            row: its number, from 1.
            cells: values of `COLUMNS` by name; None and blank text count as not there.
        """
        shown = ""
        try:
            values = {
                name: text
                for name, value in cells.items()
                if value is not None and (text := _plain(name, value)) != ""
            }
            given = values.get("id")
            if given is not None:
                shown = check_id(given)
            sample_id = shown or _made_id(row, values)
            return self._sample(sample_id, row, values)
        except AnimatorError as error:
            return Fault(row, error.code, shorten(error.message), shown)

    def _sample(self, sample_id: str, row: int, values: dict[str, Any]) -> Sample:
        options = {**self._defaults, **{name: values[name] for name in values if name != "id"}}
        faces = MovingFaces.parse(options["face"])
        if "face" in values:  # files of the default are located
            faces = faces.located(self._locate)
        options["face"] = str(faces.text)
        files = values if faces.first_file is None else {"driving": faces.first_file, **values}
        if missing := [name for name in NEEDED if name not in files]:
            raise AnimatorError("bad_manifest", f"The row has no {' and no '.join(missing)}.")
        places = {name: self._locate(files[name]) for name in NEEDED}
        options["weights"] = self._weights(options["weights"])
        options |= {name: _number(values[name]) for name in REALS if name in values}
        options |= places
        if options["audio"] not in ("driving", "none"):
            options["audio"] = self._locate(options["audio"])
        if options["source_pose"] != "auto":
            options["source_pose"] = self._locate(options["source_pose"])
        # Else they are the defaults, which have been checked.
        if len(values) > 2 or faces.several:
            check_options({name: options[name] for name in ROW_OPTIONS}, places["driving"])
            OPTIONS["priority"].check(options["priority"])
        if options["seed"] is not None:
            options["seed"] = _seed(options["seed"])
        return Sample(id=sample_id, row=row, **options)

    def _weights(self, weights: str) -> str:
        if is_weights_name(weights) or is_url(weights) or is_url(self._folder):
            return weights
        return os.path.abspath(os.path.join(self._folder, weights))

    def _location(self, text: str) -> Location:
        if not is_url(text) and not os.path.isabs(text):
            text = _join(self._folder, text)
        return checked_location(text, self._settings)


def checked_location(text: str, settings: Settings) -> Location:
    """The absolute path or the URL that a job is given for an input.

    Args:
        text: a path, or a URL; one that begins with `file:` becomes a path.
        settings: which URLs are allowed.

    Raises:
        AnimatorError: `url_refused`, `invalid_option`.
    """
    if len(text) > MAX_LOCATION:
        message = f"A path or URL has {len(text)} characters; {MAX_LOCATION} are allowed."
        raise AnimatorError("invalid_option", message)
    _check_text("a path", text)
    location = Location(plain_location(text), "the input")
    if location.is_url:
        check_url(location, settings)
    return location


def check_options(options: Mapping[str, Any], driving: str | None = None) -> None:
    """Check values as a job's specification does.

    Args:
        options: by name, with all of `ROW_OPTIONS`.
        driving: the driving video, where it is known.

    Raises:
        AnimatorError: `invalid_option`.
    """
    driving = driving or MovingFaces.parse(options["face"]).first_file or "/driving"
    JobSpec(Location("/source"), Location(driving), Location("/output"), **options)


def check_id(text: str) -> str:
    """The id itself, if it may be one.

    An id names files. WebDataset takes what follows a name's first dot as its kind, so there is
    none.

    Raises:
        AnimatorError: `invalid_id`.
    """
    if not _ID.fullmatch(text):
        message = f"{text[:MAX_ID]!r} is no id; allowed are 1 to {MAX_ID} letters, digits, _ and -."
        raise AnimatorError("invalid_id", message)
    return text


def shorten(message: str) -> str:
    """A message with its middle left out if it repeats a long value."""
    if len(message) <= _LONG_MESSAGE:
        return message
    return f"{message[: _LONG_MESSAGE // 2]} ... {message[-_LONG_MESSAGE // 3 :]}"


def known_column(name: str) -> str:
    """A column's name as `COLUMNS` has it: `Output Mode` is `output_mode`."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _plain(name: str, value: object) -> Any:
    """A cell as text; a seed may be a number."""
    if isinstance(value, str):
        if len(value) > MAX_CELL:
            message = f"{name} has {len(value)} characters; {MAX_CELL} are allowed."
            raise AnimatorError("invalid_id" if name == "id" else "invalid_option", message)
        text = value.strip()
        _check_text(name, text)
        return text
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_kind(name, value)
    if name == "seed":
        return _seed(value)
    if not isinstance(value, _NUMBERS.get(name, ())) or not math.isfinite(value):
        raise _wrong_kind(name, value)
    # Never with an exponent, which times do not have.
    return str(value) if isinstance(value, int) else f"{Decimal(repr(value)):f}"


def _number(text: str) -> float | str:
    """The number that a cell holds; a text that is none is left, and refused as it is."""
    return float(text) if _DECIMAL.fullmatch(text) else text


def _wrong_kind(name: str, value: object) -> AnimatorError:
    code = "invalid_id" if name == "id" else "invalid_option"
    shown = shorten(repr(value)) if isinstance(value, (int, float)) else type(value).__name__
    return AnimatorError(code, f"{name} is {shown}; allowed is text.")


def _check_text(name: str, text: str) -> None:
    """Refuse text that cannot be written as UTF-8: half a character, or bytes that are none."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            message = f"{name} is {shorten(ascii(text))}, which is not UTF-8."
            raise AnimatorError("invalid_option", message) from None


def _seed(value: object) -> int:
    if isinstance(value, str) and _SEED.fullmatch(value):
        value = int(value)
    # Tables with empty cells keep whole numbers as floating-point ones.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_SEED:
        raise refuse("seed", value, f"a whole number from 0 to {_MAX_SEED}")
    return value


def _made_id(row: int, values: Mapping[str, object]) -> str:
    """An id from where the row is and what it says; a person's ids hardly look like it."""
    said = "\0".join(f"{name}={values[name]}" for name in COLUMNS if name in values)
    return f"{row:08d}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _join(folder: str, name: str) -> str:
    if not is_url(folder):
        return os.path.join(folder, name)
    # Steps up are taken here, so that the check of the URL sees where they lead.
    parts = urlsplit(folder)
    path = posixpath.normpath(posixpath.join("/", parts.path.lstrip("/"), name))
    return f"{parts.scheme}://{parts.netloc}{path}"


assert {item.name for item in fields(Sample)} == {*COLUMNS, "row"}
