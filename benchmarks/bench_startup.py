"""From the command `animator run` to its first frame, and a clip of one second as a whole.

    PYTHONPATH=. python benchmarks/bench_startup.py --against ../before

Each command is a process of its own, on the sample media at 256 px with the default weights. Cold
is a folder of state in which no landmarks are kept yet; warm is a second command with the same one.
With ``--against``, the commands of another working tree are run in turn with those of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from environment import describe

from animator.samples.media import write_samples

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
# The command as it is, but for its view of the progress, which says when a stage begins and when
# the first frame is there.
DRIVER = """
import sys
from animator.cli import main
import animator.cli.progress as progress

class Told(progress.ProgressView):
    stage = None
    def update(self, stage, how_far=None):
        first = stage == "generate" and how_far is not None and how_far.frame > 0
        stage = "first frame" if first else stage
        if stage != self.stage and self.stage != "first frame":
            self.stage = stage
            print(stage, flush=True)

progress.make_view = lambda quiet=False: Told()
main()
"""


class Run(NamedTuple):
    """One command: seconds from its start, and what it took.

    Attributes:
        stages: when each stage began for the first time, and the first frame was there.
        ended: when the process was gone; None if it was ended after its first frame.
        cpu: processor time of it and of its children; None likewise.
    """

    stages: dict[str, float]
    ended: float | None
    cpu: float | None


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", metavar="TREE", type=Path, help="another working tree")
    parser.add_argument("--out", type=Path, default=RESULTS / "startup.json")
    options = parser.parse_args()
    trees = {"before": options.against} if options.against else {}
    trees["now"] = ROOT
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = write_samples(Path(folder))
        for _ in range(options.repeats):
            for name, tree in trees.items():
                for key, value in measure(tree, files):
                    found.setdefault(f"{key}, {name}", []).append(round(value, 3))
    medians = {key: statistics.median(values) for key, values in sorted(found.items())}
    for key, value in medians.items():
        print(f"{key}: {value:.2f} s, all: {', '.join(f'{one:.2f}' for one in found[key])}")
    report = {"environment": describe(), "medians": medians, "all": found}
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measure(tree: Path, files: tuple[Path, Path]) -> list[tuple[str, float]]:
    """What there is to be known of one tree, by what it is."""
    values: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as state:
        for how in ("cold", "warm"):
            run = command(tree, files, Path(state), "--end", "1")
            assert run.ended is not None and run.cpu is not None
            values += [
                (f"1 s, {how}: first frame", run.stages["first frame"]),
                (f"1 s, {how}: whole command", run.ended),
                (f"1 s, {how}: processor time", run.cpu),
            ]
    with tempfile.TemporaryDirectory() as state:
        run = command(tree, files, Path(state), whole=False)
        values.append(("6 s, cold: first frame", run.stages["first frame"]))
    return values


def command(
    tree: Path, files: tuple[Path, Path], state: Path, *options: str, whole: bool = True
) -> Run:
    """Run `animator run` to its end, or to its first frame."""
    source, driving = files
    arguments = ["run", str(source), str(driving), "-o", str(driving.with_suffix(".out.mp4"))]
    arguments += ["--size", "256", "--force", *options]
    environment = os.environ | {"PYTHONPATH": str(tree), "ANIMATOR_STATE_DIR": str(state)}
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments],
        env=environment, cwd=state, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None and child.stderr is not None
    stages: dict[str, float] = {}
    for line in child.stdout:
        stages.setdefault(line.strip(), time.perf_counter() - began)
        if line == "first frame\n" and not whole:
            child.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    ended = time.perf_counter() - began
    if status and whole:
        raise SystemExit(f"the command failed: {child.stderr.read()}")
    return Run(stages, *((ended, usage.ru_utime + usage.ru_stime) if whole else (None, None)))


if __name__ == "__main__":
    main()
