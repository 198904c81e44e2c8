"""A data set from its inputs to its index: what `animator batch` and scripts call.

    summary = generate(Inputs(manifest="pairs.csv"), "s3://bucket/run", RunOptions(), settings)

Called again with the same arguments it does what is missing, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from animator.dataset.claims import Claims
from animator.dataset.index import write_index
from animator.dataset.manifest.pairs import make_pairs
from animator.dataset.manifest.reader import Manifest, RowDefaults, read_manifest
from animator.dataset.options import RunOptions
from animator.dataset.plan import DatasetPlan, make_plan
from animator.dataset.plan_checks import OptionsCheck
from animator.dataset.plan_files import read_plan, write_plan
from animator.dataset.progress import BatchProgress
from animator.dataset.run_folder import INDEX, RunFolder, check_same, new_info
from animator.dataset.samples import Fault, Sample
from animator.dataset.scheduler import Control, Scheduler
from animator.errors import AnimatorError, JobCancelled
from animator.files.storage import Storage
from animator.files.urls import check_url
from animator.jobs.client import Client
from animator.jobs.supervision import OwnWorker
from animator.settings import Settings, has_nvidia_driver
from animator.values import is_url, iso, plain_location, split_location

OnBatchProgress = Callable[[BatchProgress], None]
FEWEST_IN_FLIGHT, MOST_IN_FLIGHT = 16, 1024
_ON_A_GPU = 16
"""Jobs at the same time of a worker that is started on a machine with a GPU."""
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Inputs:
    """What a data set is made of: a manifest, or two lists of files and how they are combined.

    Raises:
        AnimatorError: `invalid_option` unless it is just one of both.
    """

    manifest: str | None = None
    """Path or URL; see `animator.dataset.manifest.reader`."""
    sources: tuple[str, ...] = ()
    """Patterns of pictures; see `animator.dataset.manifest.pairs`."""
    drivings: tuple[str, ...] = ()
    """Patterns of driving videos."""
    pairs: str = "product"
    """How they are combined: `product`, `zip` or `sample:N`."""
    seed: int = 0
    """Of the draw of pairs."""
    defaults: RowDefaults = RowDefaults()
    """Of cells that are empty or not there."""
    since: datetime | None = None
    """Only samples of which an input was modified at this moment or later; an aware time."""
    since_text: str = ""
    """How that moment was given, if it is told from now, such as "2d": the same text is the same
    run."""

    def __post_init__(self) -> None:
        """Check that it is clear what is meant."""
        lists = bool(self.sources), bool(self.drivings)
        if (self.manifest is not None) == any(lists) or (any(lists) and not all(lists)):
            message = "Give a manifest, or both --sources and --drivings."
            raise AnimatorError("invalid_option", message)

    def rows(self, settings: Settings) -> Iterator[Sample | Fault]:
        """The rows; errors as in `read_manifest` and `make_pairs`."""
        if self.manifest is not None:
            return read_manifest(self.manifest, settings, self.defaults)
        lists = self.sources, self.drivings
        return make_pairs(*lists, self.pairs, self.seed, settings, self.defaults)

    def about(self, settings: Settings) -> dict[str, Any]:
        """What tells these inputs from others: the manifest's content, or the patterns."""
        told: dict[str, Any] = {
            "defaults": asdict(self.defaults),
            "since": self.since_text or (iso(self.since) if self.since else None),
        }
        if self.manifest is None:
            patterns = {"sources": self.sources, "drivings": self.drivings}
            told |= {name: [plain_location(one) for one in ones] for name, ones in patterns.items()}
            return {**told, "pairs": self.pairs, "seed": self.seed}
        location = plain_location(self.manifest)
        return {**told, "manifest": location, "content": _content(location, settings)}


@dataclass(frozen=True)
class Summary:
    """What has come of a run so far."""

    out: str
    run: str
    samples: int
    succeeded: int
    failed: int
    rejected: int
    faults: int
    whole: bool
    """Whether every sample has ended and the index is written."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed samples of complete shards, by code."""

    @property
    def left(self) -> int:
        """Samples that have not ended."""
        return self.samples - self.succeeded - self.failed - self.rejected

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {**asdict(self), "left": self.left}


@dataclass(frozen=True)
class Prepared:
    """A run before work on it begins or goes on."""

    storage: Storage
    run: RunFolder | None
    """The run of the folder, if it was begun."""
    plan: DatasetPlan
    notes: tuple[str, ...] = ()
    """Sentences about the manifest that a person should read."""


def plan_run(
    inputs: Inputs,
    out: str,
    options: RunOptions,
    settings: Settings,
    *,
    strict: bool = False,
    report: OnBatchProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Prepared:
    """The plan of a run: that of the folder if it was begun, else a new one.

    Args:
        inputs: what it is made of.
        out: folder or URL of the run.
        options: what is the same for all samples.
        settings: which URLs are allowed, and so on.
        strict: whether any row that cannot be used is an error.
        report: told how far it is.
        should_stop: polled.

    Raises:
        AnimatorError: what the inputs raise; `other_run` if the folder holds another run;
            `bad_manifest` for inputs without a sound row, or strictly with a faulty one.
        JobCancelled: if it was told to stop.
    """

    def checked(rows: int) -> None:
        report(BatchProgress("planning", done=rows))
        if should_stop():
            raise JobCancelled

    # The plan: that of the folder, or a new one
    storage = Storage.open(out, settings)
    report(BatchProgress("looking"))
    run = RunFolder.find(storage)
    notes: tuple[str, ...] = ()
    if run is None:
        rows, checks = inputs.rows(settings), OptionsCheck(options, settings)
        plan = make_plan(_fitting(rows, checks), settings, since=inputs.since, checked=checked)
        notes = tuple(rows.notes) if isinstance(rows, Manifest) else ()
    else:
        check_same(run.info, inputs.about(settings), options)
        plan = read_plan(storage)
    # Whether it is worth beginning
    if strict and plan.faults:
        first = plan.faults[0]
        message = (
            f"{len(plan.faults)} rows cannot be used, the first is row {first.row}: "
            f"[{first.code}] {first.message}"
        )
        raise AnimatorError("bad_manifest", message)
    if not plan.samples and not plan.older:
        message = f"None of {len(plan.faults)} rows can be used."
        if plan.faults:
            message += f" Row {plan.faults[0].row}: {plan.faults[0].message}"
        raise AnimatorError("bad_manifest", message)
    return Prepared(storage, run, plan, notes)


def _fitting(rows: Iterable[Sample | Fault], checks: OptionsCheck) -> Iterator[Sample | Fault]:
    """The rows; one whose options do not go with the run or its weights becomes a fault."""
    for row in rows:
        yield (checks.check(row) or row) if isinstance(row, Sample) else row


def generate(
    inputs: Inputs,
    out: str,
    options: RunOptions,
    settings: Settings,
    control: Control | None = None,
    *,
    strict: bool = False,
    report: OnBatchProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_plan: Callable[[Prepared], None] = lambda prepared: None,
) -> Summary:
    """Make a data set, or go on with one.

    Args:
        inputs: what it is made of.
        out: folder or URL of the run.
        options: what is the same for all samples.
        settings: which queue, which URLs are allowed, and so on.
        control: how this call works; by default all there is to do, with jobs for four times as
            many slots as the workers have.
        strict: whether any row that cannot be used is an error, before work begins.
        report: told how far it is, some times a second.
        should_stop: polled; once true, the call ends soon, and another one can go on.
        on_plan: told what is going to be made, before work begins.

    Raises:
        AnimatorError: as `plan_run` and `Scheduler.work`, and `queue_unavailable`.
        JobCancelled: if it was told to stop before work began.
    """
    # Plan, and begin the folder
    prepared = plan_run(
        inputs, out, options, settings, strict=strict, report=report, should_stop=should_stop
    )
    on_plan(prepared)
    storage, plan = prepared.storage, prepared.plan
    client = Client.connect(settings)
    run = prepared.run or _begin(storage, inputs.about(settings), options, plan, client)
    # Work, with a worker of our own where no other takes jobs
    slots, control = own_slots(settings), control or Control()
    if not control.in_flight:
        control = replace(control, in_flight=_fitting_in_flight(client, slots))
    worker = OwnWorker(client.store, client.queue, {"ANIMATOR_CONCURRENCY": str(slots)})
    with Claims(client.store, run.info.run) as claims:
        scheduler = Scheduler(run, plan.samples, client, claims, worker, control)
        try:
            whole = scheduler.work(should_stop, report)
        finally:
            worker.stop()
        if whole:
            report(replace(scheduler.progress(), stage="writing the index"))
            _finish(run, plan, claims, scheduler.book.completed)
    # Sum up
    tally = scheduler.book.tally
    failures: Counter[str] = Counter()
    for stats in run.stats():
        failures.update(stats["failures"])
    return Summary(
        storage.url,
        run.info.run,
        len(plan.samples),
        tally["succeeded"],
        tally["failed"],
        tally["rejected"],
        len(plan.faults),
        whole,
        dict(failures.most_common()),
    )


def _begin(
    storage: Storage,
    about: Mapping[str, Any],
    options: RunOptions,
    plan: DatasetPlan,
    client: Client,
) -> RunFolder:
    """Make the run's folder, or find that another submitter has."""
    place = hashlib.sha256(storage.url.encode()).hexdigest()[:16]
    with Claims(client.store, place) as claims:
        while not claims.take("begin"):
            time.sleep(_WAIT_SECONDS)
        if run := RunFolder.find(storage):
            check_same(run.info, about, options)
            if run.info.plan != plan.fingerprint:
                message = "Another submitter has begun the run with other files; start again."
                raise AnimatorError("other_run", message, retryable=True)
            return run
        write_plan(plan, storage)
        counts = len(plan.samples), len(plan.faults)
        return RunFolder.begin(storage, new_info(about, options, *counts, plan.fingerprint))


def _finish(run: RunFolder, plan: DatasetPlan, claims: Claims, completed: int) -> None:
    """Write the index, unless it is there and nothing has changed, or another submitter does."""
    while not claims.take("index"):
        time.sleep(_WAIT_SECONDS)
    if completed or not run.storage.exists(INDEX):
        write_index(run, run.shards(plan.samples))
    claims.release("index")


def on_a_gpu(settings: Settings) -> bool:
    """Whether jobs of this machine run on a GPU, as far as can be told without PyTorch."""
    return settings.device != "cpu" and has_nvidia_driver()


def own_slots(settings: Settings) -> int:
    """How many jobs a worker of the call's own runs at the same time."""
    if settings.concurrency is not None:
        return settings.concurrency
    return _ON_A_GPU if on_a_gpu(settings) else os.cpu_count() or 1


def _fitting_in_flight(client: Client, own: int) -> int:
    slots = sum(worker.concurrency for worker in client.queue.alive_workers()) or own
    return max(FEWEST_IN_FLIGHT, min(4 * slots, MOST_IN_FLIGHT))


def _content(location: str, settings: Settings) -> str:
    """What changes with the content of a manifest."""
    if not is_url(location):
        with suppress(OSError), Path(location).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return ""
    check_url(location, settings)
    folder, name = split_location(location)
    info = Storage.open(folder, settings).info(name)
    return "" if info is None else info.version
