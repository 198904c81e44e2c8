"""The plan of a run: which samples are made, in which order, and which rows are not.

    manifest or pairs -> rows -> duplicates, inputs, weights checked -> ordered -> plan.parquet

Samples of one driving video follow each other. Finding the landmarks of a driving video is dear and
is done once for all samples that it moves; in this order they are wanted while they, and the video
itself, are still in the cache of the machine that has them. This holds however few the sources are:
a picture is small and its landmarks are those of one frame. Within a driving video, samples of
one source follow each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from animator.dataset.plan_checks import InputChecks, WeightsCheck, find_modified
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.settings import Settings

MAX_ROWS = 5_000_000
"""Most rows of a plan, sound or not: all of them are held in memory."""
_TELL_EVERY = 1000


@dataclass(frozen=True)
class DatasetPlan:
    """What a run makes."""

    samples: tuple[Sample, ...]
    """In the order in which they are made; a sample's place in it is its number."""
    faults: tuple[Fault, ...]
    """Rows of which no sample can be made, in the manifest's order."""
    older: int = 0
    """How many sound rows were left out because their inputs have not been modified."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the samples: another one whenever another thing is to be made."""
        digest, names = hashlib.sha256(), sorted(Sample.__dataclass_fields__)
        for sample in self.samples:
            values = [getattr(sample, name) for name in names]
            digest.update(json.dumps(values).encode())
        return digest.hexdigest()


def make_plan(
    rows: Iterable[Sample | Fault],
    settings: Settings,
    *,
    since: datetime | None = None,
    checked: Callable[[int], None] | None = None,
) -> DatasetPlan:
    """The plan for the rows of a manifest.

    A row is a fault if its id is that of a sample before it (also where they differ in case alone,
    which some file systems do not tell apart), if an input on this machine cannot be read, or if
    its weights cannot be used. What is behind a URL is left to the jobs.

    Args:
        rows: in the manifest's order.
        settings: where the weights library is, and which URLs are allowed.
        since: keeps only rows of which an input was modified at this moment or later; also those
            of which a store does not say.
        checked: is told how many rows have been looked at, every 1,000 rows and at the end.

    Raises:
        AnimatorError: `bad_manifest` for more than `MAX_ROWS` rows, `invalid_option` for a moment
            without a time zone, `storage_unavailable` if a store that is asked when inputs were
            modified keeps failing; and what `rows` raises.
    """
    if since is not None and since.tzinfo is None:
        raise AnimatorError("invalid_option", f"{since.isoformat()} has no time zone.")
    samples, faults = _sort_out(rows, settings, checked or (lambda _: None))
    sound = len(samples)
    if since is not None:
        inputs = {place for sample in samples for place in sample.pictures}
        modified = find_modified(inputs, settings)
        moment = since.timestamp()
        samples = [
            sample
            for sample in samples
            if max(modified[place] for place in sample.pictures) >= moment
        ]
    _order(samples)
    return DatasetPlan(tuple(samples), tuple(faults), sound - len(samples))


def _sort_out(
    rows: Iterable[Sample | Fault], settings: Settings, checked: Callable[[int], None]
) -> tuple[list[Sample], list[Fault]]:
    """The samples that can be made, and the rows that cannot, both in the manifest's order."""
    samples: list[Sample] = []
    faults: list[Fault] = []
    inputs, weights, ids = InputChecks(), WeightsCheck(settings), dict[str, int]()
    count = 0
    for count, row in enumerate(rows, start=1):
        if count > MAX_ROWS:
            message = f"The manifest has more than {MAX_ROWS} rows; split it."
            raise AnimatorError("bad_manifest", message)
        if isinstance(row, Sample):
            row = _duplicate(row, ids) or inputs.check(row) or weights.check(row) or row
        if isinstance(row, Sample):
            samples.append(row)
        else:
            faults.append(row)
        if count % _TELL_EVERY == 0:
            checked(count)
    checked(count)
    return samples, faults


def _duplicate(sample: Sample, ids: dict[str, int]) -> Fault | None:
    name = sample.id.casefold()
    first = ids.get(name)
    if first is None:
        ids[name] = sample.row
        return None
    message = f"Row {first} has the id {sample.id!r}, too."
    return Fault(sample.row, "duplicate_id", message, sample.id)


def _order(samples: list[Sample]) -> None:
    """Group by driving video and then by source, all in order of first appearance."""
    drivings: dict[str, int] = {}
    sources: dict[str, int] = {}
    for sample in samples:
        drivings.setdefault(sample.driving, len(drivings))
        sources.setdefault(sample.source, len(sources))
    samples.sort(key=lambda it: drivings[it.driving] * len(sources) + sources[it.source])
