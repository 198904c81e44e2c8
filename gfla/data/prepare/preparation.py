"""Processes, report and options that every preparation of a data set shares."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from gfla.errors import GflaError
from gfla.files import write_text, writing

Item = TypeVar("Item")
Value = TypeVar("Value")
SHOWN = 10
"""Names of a kind that the text report shows; the JSON report has all."""


@dataclass(frozen=True)
class PreparedItem(Generic[Value]):
    """What came of one item.

    Attributes:
        name: of the item.
        value: what was made of it; None if it was skipped.
        skipped: why it was left out; empty if it was not.
        kept: whether it was there already.
    """

    name: str
    value: Value | None = None
    skipped: str = ""
    kept: bool = False


@dataclass
class PreparationReport:
    """What a preparation did: counts, what was skipped and why, and what is missing."""

    title: str
    counts: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    """Names of what was left out, by reason."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Other facts, such as the options."""

    def skip(self, reason: str, name: str) -> None:
        """Note something that is left out."""
        self.skipped.setdefault(reason, []).append(name)

    def add(self, outcome: PreparedItem[Any], made: str = "made") -> None:
        """Count an item."""
        if outcome.skipped:
            self.skip(outcome.skipped, outcome.name)
        else:
            self.counts["there already" if outcome.kept else made] += 1

    def text(self) -> str:
        """The report for a person, with the first names of every kind."""
        lines = [self.title]
        lines += [f"{count:8d} {what}" for what, count in self.counts.items()]
        for reason, names in self.skipped.items():
            lines.append(f"{len(names):8d} skipped: {reason}")
            lines += [f"           {name}" for name in names[:SHOWN]]
            if len(names) > SHOWN:
                lines.append(f"           and {len(names) - SHOWN} more, see report.json")
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write ``report.json`` and ``report.txt``."""
        values = {
            "title": self.title,
            "counts": dict(self.counts),
            "skipped": {
                reason: {"count": len(names), "names": names}
                for reason, names in self.skipped.items()
            },
            **self.notes,
        }
        write_text(folder / "report.json", json.dumps(values, indent=1) + "\n")
        write_text(folder / "report.txt", self.text() + "\n")


class ProgressDisplay(Protocol):
    """Shows a person how many of how many results there are."""

    def __call__(self, results: Iterable[Value], title: str, count: int, /) -> Iterable[Value]:
        """The results one by one as they come, each shown; ``title`` says of what they are."""
        ...


def no_display(results: Iterable[Value], title: str, count: int, /) -> Iterable[Value]:
    """Show nothing."""
    return results


def in_parallel(
    work: Callable[[Item], Value],
    items: Sequence[Item],
    workers: int,
    title: str,
    display: ProgressDisplay = no_display,
) -> Iterator[Value]:
    """Do the same to every item in several processes.

    Args:
        work: a function of a module; what it raises ends the preparation.
        items: what to work on.
        workers: processes; 1 works in this one, 0 in as many as there are cores.
        title: of what the display shows.
        display: shows progress.

    Yields:
        What came of the items, in their order.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(items) < 2:
        yield from display(map(work, items), title, len(items))
        return
    # Processes that start afresh: threads of a parent that was merely copied would be missing.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(min(workers, len(items)), context) as pool:
        # A few items ahead: results come in order, and must not pile up behind a slow one.
        results = _bounded(pool, work, items, ahead=4 * workers)
        yield from display(results, title, len(items))


def fix_options(folder: Path, options: dict[str, Any]) -> None:
    """Note the options of a folder, or see that it is continued with those it was begun with.

    Raises:
        GflaError: ``invalid_config`` if they differ; ``disk_full`` or ``not_writable``.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / "options.json"
    before = None
    with suppress(FileNotFoundError, ValueError):
        before = json.loads(path.read_text(encoding="utf-8"))
    # As JSON gives them back: tuples are lists there.
    wanted = json.loads(json.dumps(options))
    if before is None:
        write_text(path, json.dumps(wanted, indent=1) + "\n")
    elif before != wanted:
        differ = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
        message = f"{folder} was begun with other options ({', '.join(differ)}); take a new folder"
        raise GflaError("invalid_config", message)


def _bounded(
    pool: ProcessPoolExecutor, work: Callable[[Item], Value], items: Sequence[Item], ahead: int
) -> Iterator[Value]:
    """Results in order, with at most so many items under way."""
    waiting: list[Future[Value]] = []
    for item in items:
        if len(waiting) >= ahead:
            wait(waiting[:1], return_when=FIRST_COMPLETED)
            yield waiting.pop(0).result()
        waiting.append(pool.submit(work, item))
    for future in waiting:
        yield future.result()
