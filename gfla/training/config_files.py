"""Training configurations in YAML: strict reading, inheritance, overrides, differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gfla.checkpoint_header import KINDS
from gfla.config import GeneratorConfig
from gfla.training.config import TrainingConfig
from gfla.typed import invalid, known_only, typed, wrong

CONFIGS = Path(__file__).parent / "configs"
"""The shipped configurations."""
FREE_TO_CHANGE = ("name", "start_from", "record", "data.workers", "data.prefetch")
"""What a run may be resumed with another value of, as it changes no result."""


def shipped() -> list[str]:
    """Names of the shipped configurations."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def load_config(name: str | Path, overrides: Iterable[str] = ()) -> TrainingConfig:
    """Read a configuration.

    Args:
        name: a shipped configuration's name, or the path of a YAML file. A file may name another
            one as its ``base``, whose values it changes.
        overrides: ``key=value`` with dots between the parts of a key; values are YAML.

    Raises:
        GflaError: ``invalid_config`` naming the file and the unknown key or the value that is not
            allowed.
    """
    values = _read(str(name), seen=())
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise invalid(f"{override!r} is no key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise invalid(f"{override!r}: the value is no YAML: {error}") from error
        # a.b=1 as {a: {b: 1}}.
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        values = _merge(values, value)
    values.setdefault("name", Path(name).stem)
    return config_from(values)


def config_from(values: Mapping[str, Any]) -> TrainingConfig:
    """The configuration of plain values, such as ``TrainingConfig.to_dict`` makes.

    Raises:
        GflaError: ``invalid_config``.
    """
    config = typed(TrainingConfig, values, read={GeneratorConfig: _model})
    assert isinstance(config, TrainingConfig)
    return config


def dump(config: TrainingConfig) -> str:
    """The configuration as YAML that ``load_config`` reads."""
    return yaml.safe_dump(config.to_dict(), sort_keys=False, default_flow_style=None, width=100)


def differences(one: TrainingConfig, other: TrainingConfig) -> list[str]:
    """What would change a run's result, as lines "key: value, not value".

    Batches are compared by ``launch``, which knows how many devices share a step.
    """
    # Batch and accumulation may change as long as their product with the devices does not.
    ours, theirs = _flat(one.to_dict()), _flat(other.to_dict())
    free = (*FREE_TO_CHANGE, "batch", "accumulate")
    return [
        f"{key}: {ours.get(key)!r}, not {theirs.get(key)!r}"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
        and not any(key == name or key.startswith(f"{name}.") for name in free)
    ]


def _read(name: str, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = CONFIGS / f"{name}.yaml" if name in shipped() else Path(name)
    if not path.is_file():
        known = ", ".join(shipped())
        raise invalid(f"{name!r} is neither a YAML file nor one of: {known}")
    if path in seen:
        raise invalid(f"{path} is its own base")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise invalid(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise invalid(f"{path} holds no keys and values")
    base = values.pop("base", None)
    if base is None:
        return values
    # A base is a file beside this one, or a shipped configuration.
    beside = path.parent / str(base)
    inherited = _read(str(beside) if beside.is_file() else str(base), (*seen, path))
    inherited.pop("name", None)
    return _merge(inherited, values)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        # Mappings are merged, everything else is replaced: a list is not added to another.
        merged[key] = _merge(old, value) if both and old else value
    return merged


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = value
    return flat


def _model(value: Any, where: str) -> GeneratorConfig:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if kind not in KINDS:
        raise wrong(f"{where}.kind", kind, ", ".join(KINDS))
    fields = {key: item for key, item in value.items() if key != "kind"}
    known_only(fields, [item.name for item in dataclasses.fields(KINDS[kind])], where)
    return KINDS[kind].from_dict(fields)
