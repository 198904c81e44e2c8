"""Draw a sheet for each driver: its frames, and below them what every portrait makes of them.

What cannot be animated is a row that says why. Stopped, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sheet_command import add_files, run

from animator.errors import AnimatorError
from animator.processor import keep_memory, share_cores

if TYPE_CHECKING:
    from face_results import FaceResults, Portrait

_TYPING = ("no_such_file", "not_a_file", "unreadable_file")
"""Codes of what is a mistake in the command, and no property of a portrait."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = parser().parse_args(arguments)
    return run(lambda: draw(options))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_files(parser, length=3)
    parser.add_argument("--weights", default="default", help="a file or a name (%(default)s)")
    parser.add_argument("--frames", type=int, default=6, help="on a sheet, 1 to 12 (%(default)s)")
    return parser


def draw(options: argparse.Namespace) -> None:
    """Render all, and draw a sheet for each driver."""
    if not 1 <= options.frames <= 12:
        message = f"--frames is {options.frames}; allowed is 1 to 12."
        raise AnimatorError("invalid_option", message)
    # PyTorch is loaded here, so that help comes at once.
    from face_results import FaceResults, Job, as_png, heads, naming, say, whole

    from animator.files.output import coded_errors, write_whole
    from animator.media.sheet import Legend, Row, draw_sheet

    # What can be wrong with the command, before anything is rendered.
    results = FaceResults(options.out, options.start, options.seconds, options.size)
    weights = results.weights(options.weights)
    portraits = {path: _portrait(results, path) for path in options.portraits}
    drivers = []
    for path in options.drivers:
        with naming(path):
            drivers.append(results.driver(path, options.frames))
    with coded_errors(options.out):
        options.out.mkdir(parents=True, exist_ok=True)

    # A driver's results, then its sheet.
    for number, driver in enumerate(drivers, 1):
        jobs = {
            path: Job(weights, portrait, driver)
            for path, portrait in portraits.items()
            if not isinstance(portrait, AnimatorError)
        }
        errors = dict(results.render(list(jobs.values())))
        rows = [Row("Driver", "; ".join(driver.words), (), wide=heads(driver.shown))]
        for path, portrait in portraits.items():
            error = portrait if isinstance(portrait, AnimatorError) else errors[jobs[path]]
            if error is not None:
                rows.append(Row(path.name, f"Not animated: {error.message}", ()))
                continue
            legend = Legend(jobs[path].portrait.tile, "")
            rows.append(Row(path.name, "", (), [legend], wide=whole(results.shown(jobs[path]))))
        sheet = options.out / f"{number:02}-{driver.path.stem}.png"
        title = f"{driver.path.name} moves {len(jobs)} portraits"
        write_whole(sheet, as_png(draw_sheet(title, [f"Weights: {options.weights}"], rows)))
        say(f"sheet {number} of {len(drivers)}: {sheet}")


def _portrait(results: FaceResults, path: Path) -> Portrait | AnimatorError:
    """A portrait, or why it cannot be animated."""
    try:
        return results.portrait(path)
    except AnimatorError as error:
        if error.code in _TYPING:
            raise
        return error


if __name__ == "__main__":
    share_cores()
    keep_memory()
    sys.exit(main())
