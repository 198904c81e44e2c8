"""Options of a run: what is made of every sample, and which samples are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from animator.dataset.rows import MEASURES
from animator.dataset.samples import ROW_OPTIONS, Sample
from animator.errors import AnimatorError
from animator.options import Extra, SharedOptions
from animator.spec import FORMER, JobSpec
from animator.values import Location

Format = Literal["shards", "files"]
MAX_SHARD_SIZE = 100_000
_FILTER = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*", re.ASCII)


@dataclass(frozen=True)
class RunOptions(SharedOptions):
    """What is the same for all samples of a run, and cannot change while it goes on.

    Raises:
        AnimatorError: `invalid_option`.
    """

    format: Format = "shards"
    """`shards`: tar files as WebDataset reads them; `files`: a folder of files for each shard."""
    shard_size: int = 1000
    """Samples of a shard, those that fail included."""
    extras: tuple[Extra, ...] = ()
    """What comes with every video beside its JSON."""
    measure: bool = True
    """Whether the quality of every sample is measured."""
    filters: tuple[str, ...] = ()
    """Conditions on the measures, such as `identity>=0.5`, that a sample has to meet."""

    def __post_init__(self) -> None:
        """Check what is not a job's own; jobs check theirs."""
        if self.format not in get_args(Format):
            raise _refuse("format", self.format, ", ".join(get_args(Format)))
        if not 1 <= self.shard_size <= MAX_SHARD_SIZE:
            raise _refuse("shard-size", self.shard_size, f"1 to {MAX_SHARD_SIZE}")
        if self.filters and not self.measure:
            raise _refuse("quality-filter", "given", "only where quality is measured")
        for text in self.filters:
            Filter.parse(text)
        self.spec(Sample("check", 1, Location("/source"), Location("/driving")), "/output.mp4")

    def spec(self, sample: Sample, output: str, device: str = "auto") -> JobSpec:
        """The job that makes a sample.

        Args:
            sample: what is animated.
            output: absolute path or URL of the video.
            device: where it is made.
        """
        shared = {item.name: getattr(self, item.name) for item in fields(SharedOptions)}
        row = {name: getattr(sample, name) for name in ROW_OPTIONS}
        return JobSpec(
            sample.source,
            sample.driving,
            Location(output, "output"),
            device=device,
            measure=self.measure,
            extras=self.extras,
            keep_result=True,
            **shared,
            **row,
        )

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON has them."""
        values = {**asdict(self), "extras": list(self.extras), "filters": list(self.filters)}
        shared = {item.name: values.pop(item.name) for item in fields(SharedOptions)}
        return {**values, **shared}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOptions:
        """The options from JSON; names of a newer version are refused.

        Those that an older one had not are as they were then.

        Raises:
            AnimatorError: `other_run`.
        """
        # Older runs had one choice of a face for all rows.
        if values.get("face") == "largest":
            values = {name: value for name, value in values.items() if name != "face"}
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            names = ", ".join(unknown)
            message = f"The run was begun by another version, with options unknown here: {names}."
            raise AnimatorError("other_run", message)
        tuples = {name: tuple(values[name]) for name in ("extras", "filters") if name in values}
        former = {name: value for name, value in FORMER.items() if name in known}
        return cls(**{**former, **values, **tuples})


@dataclass(frozen=True)
class Filter:
    """A condition that a sample's measure has to meet."""

    measure: str
    sign: str
    threshold: float

    @classmethod
    def parse(cls, text: str) -> Filter:
        """The condition from text such as `identity>=0.5`.

        Raises:
            AnimatorError: `invalid_option`.
        """
        found = _FILTER.fullmatch(text)
        if found is None or found[1] not in MEASURES:
            allowed = f"MEASURE>=NUMBER or MEASURE<=NUMBER; measures are {', '.join(MEASURES)}"
            raise _refuse("quality-filter", text, allowed)
        return cls(found[1], found[2], float(found[3]))

    def refuses(self, quality: Mapping[str, float]) -> str | None:
        """Why a sample is left out, in a sentence; None if it meets the condition.

        A measure that could not be taken meets none.
        """
        value = quality.get(self.measure)
        if value is None or not math.isfinite(value):
            return f"{self.measure} could not be measured."
        met = {
            ">=": value >= self.threshold,
            "<=": value <= self.threshold,
            ">": value > self.threshold,
            "<": value < self.threshold,
        }[self.sign]
        return None if met else f"{self.measure} is {value:g}, not {self.sign} {self.threshold:g}."


def _refuse(name: str, got: object, allowed: str) -> AnimatorError:
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")
