"""Rows of an evaluation held against one of them, with intervals, for all clips or groups of them.

    python scripts/compare_rows.py results/table.json --over "landmark spline" \
        --metrics lips_l1 lids_l1 --groups groups.csv

Reads the `table.json` files that `animator evaluate` writes; those of one protocol and the same
clips are put together, so that weights that were measured one after the other stand in one table.
Draws are of clips (or, with `--draw people`, of persons with all of their clips), the same for both
sides of a ratio.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfla.evaluation.report import cell
from gfla.evaluation.stats import Figure, bootstrap

ALL = "all"


@dataclass(frozen=True)
class Clip:
    """What was measured on a clip, by row and metric."""

    name: str
    identity: str
    rows: Mapping[str, Mapping[str, float]]


def main() -> None:
    """Read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path, help="table.json of evaluations")
    parser.add_argument("--over", help="the row that others are divided by; without it none is")
    parser.add_argument("--metrics", nargs="+", help="which; all unless given")
    parser.add_argument("--setting", type=int, default=0, help="which table of each file")
    parser.add_argument("--draw", choices=("clips", "people"), default="clips")
    parser.add_argument("--groups", type=Path, help="CSV with columns sample and group")
    options = parser.parse_args()
    try:
        clips = list(read(options.tables, options.setting))
        groups = read_groups(options.groups, clips) if options.groups else {ALL: clips}
        for title, members in groups.items():
            print(f"\n{title}: {len(members)} clips, {len({c.identity for c in members})} people\n")
            print(markdown(members, options.over, options.metrics, options.draw))
    except (OSError, ValueError) as error:
        sys.exit(f"compare_rows: {error}")


def read(paths: Sequence[Path], setting: int) -> Iterator[Clip]:
    """The clips of tables of one protocol, each with the rows of all of them.

    Raises:
        ValueError: the tables are of different protocols or clips.
    """
    files = [table_of(path) for path in paths]
    if len({(one["protocol_sha256"], one["data"]["SHA-256"]) for one in files}) > 1:
        raise ValueError("these tables are of different protocols or data")
    rows: dict[str, dict[str, Mapping[str, float]]] = {}
    people: dict[str, str] = {}
    for one in files:
        if not 0 <= setting < len(one["tables"]):
            raise ValueError(f"there is no table {setting} among {len(one['tables'])}")
        for sample in one["tables"][setting]["samples"]:
            figures = {
                name: value for name, value in sample["figures"].items() if value is not None
            }
            rows.setdefault(sample["sample"], {})[sample["row"]] = figures
            people[sample["sample"]] = sample["identity"]
    for name, found in rows.items():
        yield Clip(name, people[name], found)


def table_of(path: Path) -> dict[str, Any]:
    """What an evaluation has written.

    Raises:
        ValueError: the file is something else.
    """
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict) or "protocol_sha256" not in found or "tables" not in found:
        raise ValueError(f"{path} is no table.json of `animator evaluate`")
    return found


def read_groups(path: Path, clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Clips by group; a clip may be in several, and in none.

    Raises:
        ValueError: a sample that was not measured, or other columns.
    """
    by_name = {clip.name: clip for clip in clips}
    groups: dict[str, list[Clip]] = {ALL: list(clips)}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if set(line) != {"sample", "group"} or line["sample"] not in by_name:
                raise ValueError(f"{path}: {line} names no clip of the tables and its group")
            groups.setdefault(line["group"], []).append(by_name[line["sample"]])
    return groups


def markdown(
    clips: Sequence[Clip], over: str | None, metrics: Sequence[str] | None, draw: str
) -> str:
    """A table of means, or of ratios of means, rows by metrics."""
    names = list(dict.fromkeys(row for clip in clips for row in clip.rows))
    if over is not None and over not in names:
        raise ValueError(f"there is no row {over!r}, but {', '.join(names)}")
    there = dict.fromkeys(m for clip in clips for row in clip.rows.values() for m in row)
    if unknown := [name for name in metrics or () if name not in there]:
        raise ValueError(f"nothing has {', '.join(unknown)}; there are {', '.join(there)}")
    chosen = metrics or [name for name in there if not name.startswith("drift ")]
    lines = ["| method | " + " | ".join(chosen) + " |", "|---" * (1 + len(chosen)) + "|"]
    for row in names:
        cells = [cell(figure(clips, row, metric, over, draw)) for metric in chosen]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(
    clips: Sequence[Clip], row: str, metric: str, over: str | None, draw: str
) -> Figure | None:
    """A row's mean over the clips that have it, or its ratio to another row's."""
    # Drift is a ratio of a row's own figures.
    above = (row, "drift late" if metric == "drift" else metric)
    below = (row, "drift early") if metric == "drift" else over and (over, metric)
    wanted = [above, below] if below else [above]
    own = [clip for clip in clips if all(m in clip.rows.get(name, {}) for name, m in wanted)]
    if not own:
        return None
    return bootstrap(
        [clip.rows[above[0]][above[1]] for clip in own],
        [clip.name if draw == "clips" else clip.identity for clip in own],
        divisors=[clip.rows[below[0]][below[1]] for clip in own] if below else None,
    )


if __name__ == "__main__":
    main()
