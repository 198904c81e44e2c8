"""Values of a configuration: plain ones, as YAML has them, as the types that are wanted."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gfla.errors import GflaError

Readers = Mapping[Any, Callable[[Any, str], Any]]
"""What reads a value of a type that is none of those known here, and where it is."""


NO_READERS: Readers = types.MappingProxyType({})


def typed(wanted: Any, value: Any, where: str = "", read: Readers = NO_READERS) -> Any:
    """The value as the wanted type; only what means the same is converted.

    Args:
        wanted: bool, int, float, str, Any, a Literal, a dataclass, a tuple or a dict of these, or
            one of these or None.
        value: to convert.
        where: its key, for the sentence.
        read: of types beside these.

    Raises:
        GflaError: ``invalid_config`` naming the key, the value and what is allowed.
    """
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return value
    if wanted in read:
        return read[wanted](value, where)
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _dataclass(wanted, value, where, read)
    # Here only "a type or None".
    if origin in (Union, types.UnionType):
        rest = [part for part in inner if part is not type(None)]
        return None if value is None else typed(rest[0], value, where, read)
    if origin is Literal:
        if value not in inner:
            raise wrong(where, value, ", ".join(map(str, inner)))
        return value
    # tuple[int, ...] of any length, tuple[int, int] of this one; YAML knows lists alone.
    if origin is tuple:
        many = isinstance(value, list | tuple)
        if not many or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            count = "a list" if inner[-1] is Ellipsis else f"a list of {len(inner)}"
            raise wrong(where, value, count)
        return tuple(typed(inner[0], item, where, read) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise wrong(where, value, "keys and values")
        return dict(value)
    return _scalar(wanted, value, where)


def _scalar(wanted: type, value: Any, where: str) -> Any:
    if wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 1e-4 for text
        except (ValueError, OverflowError):
            pass
    elif type(value) is wanted:
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise wrong(where, value, names[wanted])


def _dataclass(wanted: type, value: Any, where: str, read: Readers) -> Any:
    if not isinstance(value, Mapping):
        raise wrong(where, value, "keys and values")
    hints = get_type_hints(wanted)
    known_only(value, [item.name for item in dataclasses.fields(wanted)], where)
    before = f"{where}." if where else ""
    values = {key: typed(hints[key], item, before + key, read) for key, item in value.items()}
    return wanted(**values)


def known_only(given: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Refuse keys that are not known, with the nearest one that is.

    Raises:
        GflaError: ``invalid_config``.
    """
    known = sorted(known)
    unknown = [key for key in given if key not in known]
    if unknown:
        inside = f" in {where}" if where else ""
        near = difflib.get_close_matches(str(unknown[0]), known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        names = ", ".join(known) or "none"
        raise invalid(f"unknown key {unknown[0]!r}{inside}{hint}; known are {names}")


def wrong(where: str, got: object, allowed: str) -> GflaError:
    """The error of a value that is not allowed."""
    return invalid(f"{where or 'the configuration'} is {got!r}; allowed: {allowed}")


def invalid(message: str) -> GflaError:
    """The error of a configuration, in one sentence."""
    return GflaError("invalid_config", message)
