"""The report of a check: `results.json` and `results.md`, written anew after every part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from gpu.sheet import Cell, Sheet

Status = Literal[
    "done", "no CUDA", "failed", "over its time", "no time left", "not yet", "runs", "broken off"
]
WELL: tuple[Status, ...] = ("done", "no CUDA")
"""What a check that ended well consists of."""


@dataclass(frozen=True)
class Outcome:
    """What came of a part.

    Attributes:
        name: of the part.
        title: what it finds out.
        status: how it ended.
        seconds: that it took.
        rows: its figures.
        notes: its sentences.
        faults: what is wrong.
    """

    name: str
    title: str
    status: Status = "not yet"
    seconds: float = 0.0
    rows: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def ended(self, status: Status, seconds: float, sheet: Sheet | None = None) -> Outcome:
        """The same part, as it ended."""
        sheet = sheet or Sheet()
        return Outcome(
            self.name, self.title, status, round(seconds, 1), sheet.rows, sheet.notes, sheet.faults
        )


def write_report(folder: Path, outcomes: Sequence[Outcome], about: str) -> None:
    """Write both files; they appear whole."""
    whole = {"about": about, "parts": [asdict(outcome) for outcome in outcomes]}
    _replace(folder / "results.json", json.dumps(whole, indent=1) + "\n")
    _replace(folder / "results.md", as_markdown(outcomes, about))


def as_markdown(outcomes: Sequence[Outcome], about: str) -> str:
    """A table of all parts, and a section with the figures of each."""
    lines = ["# GPU check", "", about, "", "| part | status | s | what |", "|---|---|---|---|"]
    lines += [f"| {o.name} | {o.status} | {o.seconds:.0f} | {o.title} |" for o in outcomes]
    for outcome in outcomes:
        if outcome.rows or outcome.notes or outcome.faults:
            lines += ["", f"## {outcome.title} ({outcome.name}, {outcome.status})"]
            lines += ["", *(f"- **wrong**: {_cell(text)}" for text in outcome.faults)]
            lines += [f"- {_cell(text)}" for text in outcome.notes]
            lines += ["", *_table(outcome.rows)]
    return "\n".join(lines) + "\n"


def _table(rows: list[dict[str, Cell]]) -> list[str]:
    """Rows with the same columns are a table; others begin a new one."""
    lines: list[str] = []
    columns: list[str] = []
    for row in rows:
        if list(row) != columns:
            columns = list(row)
            lines += [""] if lines else []
            lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        lines.append(f"| {' | '.join(_cell(value) for value in row.values())} |")
    return lines


def _cell(value: Cell) -> str:
    text = "-" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
