"""Samples of a data set, the faults of its manifest, and what came of the samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from animator.moving_faces import MovingFaces
from animator.options import Priority, RowOptions
from animator.record import JobError
from animator.spec import OPTIONS
from animator.values import Location, load_object

SampleState = Literal["succeeded", "failed", "rejected"]
"""How a sample ended; rejected is one that was made and then left out by its quality."""


NEEDED = ("source", "driving")
ROW_OPTIONS = tuple(item.name for item in fields(RowOptions))
# Ids are made of a row in this order, so that another one would give other ids.
OPTIONAL = (
    *("id", "start", "end", "seed"),
    *(name for name in ROW_OPTIONS if name not in ("start", "end")),
    "priority",
)
COLUMNS = ("id", *NEEDED, *OPTIONAL[1:])
"""The columns of a manifest that mean something."""
REALS = frozenset(name for name in ROW_OPTIONS if OPTIONS[name].kind == "number")
"""Those of them that are numbers with decimals."""


@dataclass(frozen=True, slots=True)
class Sample(RowOptions):
    """One row of a manifest that is sound: what is animated with what, and how."""

    id: str
    """Name of its files: unique in the data set, letters, digits, `_` and `-`."""
    row: int
    """Of the manifest, from 1; of pairs, their number in the order in which they are made."""
    source: Location
    driving: Location
    seed: int | None = None
    """Carried into the outputs. Rendering itself has nothing random."""
    priority: Priority = "normal"

    @property
    def pictures(self) -> tuple[Location, ...]:
        """The portrait and all driving files."""
        own = [Location(file) for _, file in MovingFaces.parse(self.face).files]
        return (self.source, self.driving, *own)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of a manifest of which no sample can be made."""

    row: int
    """From 1."""
    code: str
    """One of `animator.errors.CODES`."""
    message: str
    """A sentence for a person."""
    id: str = ""
    """Of the row, as far as it has one that can be shown."""


@dataclass(frozen=True)
class SampleOutcome:
    """What came of a sample."""

    id: str
    state: SampleState
    error: JobError | None = None
    """Why it failed, or why it was rejected."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the job's `animator.record.Result`, if it was made."""
    attempts: int | None = None
    """How often the job of a sample that failed was begun."""

    def to_json(self) -> bytes:
        """The outcome as one JSON document."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> SampleOutcome:
        """The outcome from JSON.

        Raises:
            AnimatorError: `invalid_option` for what is no outcome.
        """
        values = load_object(text, "outcome of a sample")
        error = values.get("error")
        values["error"] = None if error is None else JobError(**error)
        return cls(**values)
