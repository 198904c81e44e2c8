"""Compare models by eye without knowing which is which.

`make` renders results of several weights and draws a sheet for each pair of them: the portrait and
the driver, and below them the two results, called A and B at random. Look at OUT/pair-NN.png and
write A, B or = into the column better of OUT/judgements.csv; `open` then says who has won, and
refuses before. Stopped, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import blind_pairs
from blind_pairs import Pair
from sheet_command import add_files, run

from animator.errors import AnimatorError
from animator.processor import keep_memory, share_cores

if TYPE_CHECKING:
    from face_results import Driver, FaceResults, Portrait, Weights

    from gfla.arrays import Picture

FRAMES = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status."""
    options = parser().parse_args(arguments)
    return run(lambda: (make if options.command == "make" else show)(options))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="render, and draw the sheets")
    add_files(make, length=2)
    make.add_argument(
        "--candidate", action="append", default=[], metavar="NAME=WEIGHTS", help="two or more"
    )
    make.add_argument("--versus", metavar="NAME", help="only this candidate against the others")
    make.add_argument("--pairs", type=int, default=24, help="(%(default)s)")
    make.add_argument("--seed", type=int, default=1, help="of the drawing of pairs (%(default)s)")
    opened = commands.add_parser("open", help="say who has won, once all pairs are judged")
    opened.add_argument("out", type=Path, metavar="OUT")
    return parser


def make(options: argparse.Namespace) -> None:
    """Draw the pairs, render their results, draw their sheets."""
    named = _candidates(options.candidate)
    portraits, drivers = options.portraits, options.drivers
    pairs = blind_pairs.draw_pairs(
        len(portraits), len(drivers), list(named), options.pairs, options.seed, options.versus
    )
    # PyTorch is loaded here, as `open` does without.
    from face_results import FaceResults, Job, as_png, naming, say

    from animator.files.output import coded_errors, write_whole

    # What can be wrong with files, before anything is rendered.
    results = FaceResults(options.out, options.start, options.seconds, options.size)
    weights = {name: results.weights(file) for name, file in named.items()}
    faces, moved = [], []
    for path in portraits:
        with naming(path):
            faces.append(results.portrait(path))
    for path in drivers:
        with naming(path):
            moved.append(results.driver(path, FRAMES))
    _refuse_twice(faces)
    _refuse_twice(moved)
    with coded_errors(options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    blind_pairs.write_key(options.out, _key(options, weights, faces, moved, pairs))
    blind_pairs.write_form(options.out, len(pairs))

    # One candidate after another, so that each is loaded once.
    wanted = {(name, pair.portrait, pair.driver) for pair in pairs for name in (pair.a, pair.b)}
    order = sorted(wanted, key=lambda job: (list(weights).index(job[0]), *job[1:]))
    jobs = [Job(weights[name], faces[face], moved[driver]) for name, face, driver in order]
    for _, error in results.render(jobs):
        if error is not None:
            raise error
    for number, pair in enumerate(pairs, 1):
        path = options.out / blind_pairs.SHEET.format(number)
        if not path.exists():  # the key says that it is of this sheet
            portrait, driver = faces[pair.portrait], moved[pair.driver]
            write_whole(path, as_png(_sheet(results, number, pair, weights, portrait, driver)))
    say(f"{len(pairs)} sheets; judge them in {options.out / blind_pairs.FORM}, then open")


def _candidates(given: list[str]) -> dict[str, str]:
    """Weights by the names of candidates."""
    parted = [text.partition("=") for text in given]
    for text, (name, _, weights) in zip(given, parted, strict=True):
        if not (_NAME.fullmatch(name) and weights):
            message = f"--candidate is {text!r}; allowed is NAME=WEIGHTS, NAME without spaces."
            raise AnimatorError("invalid_option", message)
    blind_pairs.check_candidates([name for name, _, _ in parted])
    return {name: weights for name, _, weights in parted}


def _refuse_twice(files: list[Portrait] | list[Driver]) -> None:
    """Equal files would give one pair twice, which would count twice."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.sha256 in seen:
            message = f"{str(seen[file.sha256])!r} and {str(file.path)!r} are the same."
            raise AnimatorError("invalid_option", message)
        seen[file.sha256] = file.path


def _key(
    options: argparse.Namespace,
    weights: dict[str, Weights],
    portraits: list[Portrait],
    drivers: list[Driver],
    pairs: list[Pair],
) -> dict[str, object]:
    return {
        "candidates": {name: one.sha256 for name, one in weights.items()},
        "portraits": [(one.path.name, one.sha256) for one in portraits],
        "drivers": [(one.path.name, one.sha256) for one in drivers],
        "part": [options.start, options.seconds, options.size],
        "pairs": pairs,
    }


def _sheet(
    results: FaceResults,
    number: int,
    pair: Pair,
    weights: dict[str, Weights],
    portrait: Portrait,
    driver: Driver,
) -> Picture:
    """Portrait and driver, A, B, and what is small in them enlarged."""
    import numpy as np
    from face_results import Job, enlarged, enlarged_own, heads, whole

    from animator.media.sheet import Legend, Row, draw_sheet

    a, b = (results.shown(Job(weights[name], portrait, driver)) for name in (pair.a, pair.b))
    face, moves = Legend(portrait.tile, ""), "; ".join(driver.words)
    rows = [
        Row("Driver", moves, (), [face], wide=heads(driver.shown)),
        Row("A", "", (), wide=whole(a)),
        Row("B", "", (), wide=whole(b)),
    ]
    for region, words in (("eyes", "Eyes"), ("mouth", "Mouth")):
        strips = [
            enlarged(shown, region, letter)
            for shown, letter in ((driver.shown, "driver"), (a, "A"), (b, "B"))
        ]
        gap = np.full((4, *strips[0].shape[1:]), 255, np.uint8)
        stack = np.concatenate([strips[0], gap, strips[1], gap, strips[2]])
        own = Legend(enlarged_own(portrait, region), "of the portrait")
        rows.append(Row(words, "enlarged: driver, A, B", (), [own], wide=stack))
    title = f"{portrait.path.name} moved by {driver.path.name}"
    return draw_sheet(f"Pair {number}", [f"{title}. Which is better: A, B, or = (neither)?"], rows)


def show(options: argparse.Namespace) -> None:
    """Say who has won."""
    key = blind_pairs.read_key(options.out)
    pairs = [Pair(*values) for values in key["pairs"]]
    judgements = blind_pairs.read_form(options.out, len(pairs))
    print(blind_pairs.table(list(key["candidates"]), pairs, judgements))


if __name__ == "__main__":
    share_cores()
    keep_memory()
    sys.exit(main())
