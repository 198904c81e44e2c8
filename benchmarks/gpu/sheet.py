"""The sheet of a part: rows, notes and faults, on disk as soon as they are known."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

Cell = str | int | float | bool | None


@dataclass
class Sheet:
    """What a part has found so far.

    Attributes:
        path: where it is written after every change; None keeps it in memory.
        rows: figures by column.
        notes: sentences for the reader.
        faults: what is not as it has to be; a part with one has failed.
    """

    path: Path | None = None
    rows: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """What a part has left; an empty sheet if that is nothing."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return cls(path)
        return cls(path, found["rows"], found["notes"], found["faults"])

    def row(self, **cells: Cell) -> None:
        """Add a row; underscores in the names of columns stand for spaces."""
        named = {name.replace("_", " "): _finite(cell) for name, cell in cells.items()}
        self.rows.append(named)
        print(", ".join(f"{name} {cell}" for name, cell in named.items()), flush=True)
        self._save()

    def note(self, text: str) -> None:
        """Add a sentence."""
        self.notes.append(text)
        print(text, flush=True)
        self._save()

    def fault(self, text: str) -> None:
        """Add what is wrong."""
        self.faults.append(text)
        print(f"wrong: {text}", flush=True)
        self._save()

    def _save(self) -> None:
        if self.path is None:
            return
        # Whole or not at all: the part may be ended at any moment.
        partial = self.path.with_suffix(".part")
        found = {"rows": self.rows, "notes": self.notes, "faults": self.faults}
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(self.path)


def _finite(cell: Cell) -> Cell:
    if isinstance(cell, float):  # JSON has no infinity
        return round(cell, 4 - _digits(cell)) if math.isfinite(cell) else str(cell)
    return cell


def _digits(value: float) -> int:
    """Places before the point, so that figures keep five in all."""
    return math.floor(math.log10(abs(value))) + 1 if value else 1
