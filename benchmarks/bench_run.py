"""`animator run` on the sample media with the default weights, everything included.

    python benchmarks/bench_run.py --before TREE

runs the commands of another checkout and of this one in turns, each with empty caches, and writes
frames a second of whole commands, their stages, peak memory and how the results differ; then both
again beside a process that keeps one core busy. ``--weights NAME`` compares other weights with the
default ones instead. ``--long`` adds the peak memory of 300 and 3,000 frames of 512 px.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from environment import describe

from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.samples.media import write_samples

RESULTS = Path(__file__).parent / "results"
HERE = Path(__file__).parents[1]
SHORT, LONG = 300, 3000
BUSY = "while True: pass"


@dataclass
class Side:
    """One of what is compared.

    Attributes:
        name: for people.
        tree: the checkout whose command runs.
        weights: a name or a file.
        runs: what each run gave.
    """

    name: str
    tree: Path
    weights: str = "default"
    runs: list[Run] = field(default_factory=list)

    def median(self, value: str) -> float:
        """The median of a field of the runs."""
        return statistics.median(getattr(run, value) for run in self.runs)


@dataclass(frozen=True)
class Run:
    """One command.

    Attributes:
        seconds: from its start to its end.
        processor: seconds of all cores.
        peak: bytes of memory.
        frames: of the result.
        stages: seconds of each stage, and "start and end", which no stage counts.
    """

    seconds: float
    processor: float
    peak: int
    frames: int
    stages: dict[str, float]

    @property
    def rate(self) -> float:
        """Frames a second, start-up included."""
        return self.frames / self.seconds


def main() -> None:
    """Measure all that is asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--weights", help="other weights to compare with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--long", action="store_true", help="measure memory of long videos, too")
    parser.add_argument("--out", type=Path, default=RESULTS / "run.json")
    options = parser.parse_args()
    report: dict[str, object] = {"environment": describe()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in options.sizes:
            quiet = _sides(options)
            _in_turns(quiet, folder, size, options.repeats)
            report[f"{size} px"] = found = _compared(quiet, f"{size} px")
            if len(quiet) > 1:
                found["PSNR, dB"] = _psnr(quiet, folder, size)
                with _busy_core():
                    beside = _sides(options)
                    _in_turns(beside, folder, size, max(1, options.repeats - 1))
                report[f"{size} px, beside a busy process"] = _compared(beside, f"{size} px, busy")
        if options.long:
            report["peak bytes of long videos"] = _long(folder)
    write(report, options.out)


def write(report: dict[str, Any], out: Path) -> None:
    """The report as JSON, and beside it a table of the sides' medians as Markdown."""
    out.write_text(json.dumps(report, indent=1) + "\n")
    parts = {title: part for title, part in report.items() if " px" in title}
    sides = {
        f"{title}, {name}": side
        for title, part in parts.items()
        for name, side in part.items()
        if isinstance(side, dict) and "median" in side
    }
    stages = dict.fromkeys(name for side in sides.values() for name in side["seconds by stage"])
    head = ["", "frames/s", "seconds", "of all cores", "peak MiB", *stages]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for title, side in sides.items():
        row = [side[name] for name in ("median", "seconds", "seconds of all cores", "peak MiB")]
        lines.append([title, *row, *(side["seconds by stage"].get(name, "") for name in stages)])
    table = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
    away = "".join(
        f"- {title}: {part['times the frames a second']} times the frames a second\n"
        for title, part in parts.items()
        if "times the frames a second" in part
    )
    title = "# `animator run` on the sample media, 180 frames: medians of whole commands\n\n"
    out.with_suffix(".md").write_text(f"{title}{table}\n{away}")


def _sides(options: argparse.Namespace) -> list[Side]:
    sides = [Side("now", HERE)]
    if options.before:
        sides.insert(0, Side("before", options.before.resolve()))
    if options.weights:
        sides.insert(0, Side(Path(options.weights).stem, HERE, options.weights))
    return sides


def _in_turns(sides: Sequence[Side], folder: Path, size: int, repeats: int) -> None:
    source, driving = write_samples(folder)
    for _ in range(repeats):
        for side in sides:
            output = folder / f"{side.name}-{size}.mp4"
            side.runs.append(_run(side, source, driving, output, size))


def _run(side: Side, source: Path, driving: Path, output: Path, size: int, *more: str) -> Run:
    """One command of a side."""
    command = [sys.executable, "-m", "animator", "run", str(source), str(driving), "--json"]
    command += ["-o", str(output), "--size", str(size), "--force"]
    command += ["--margin", "1.75", "--weights", side.weights, *more]
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryFile() as printed:
        env = os.environ | {"PYTHONPATH": str(side.tree), "ANIMATOR_STATE_DIR": state}
        began = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=side.tree, env=env, stdout=printed, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        printed.seek(0)
        answer = json.loads(printed.read())
    if status:
        raise SystemExit(f"the command failed: {answer}")
    stages = answer["timings"] | {"start and end": seconds - answer["seconds"]}
    processor = usage.ru_utime + usage.ru_stime
    return Run(seconds, processor, usage.ru_maxrss * 1024, answer["frames"], stages)


def _compared(sides: Sequence[Side], title: str) -> dict[str, object]:
    """The figures of all sides, printed as a table, too."""
    found: dict[str, object] = {}
    for side in sides:
        names = dict.fromkeys(name for run in side.runs for name in run.stages)
        stages = {
            name: round(statistics.median(run.stages.get(name, 0.0) for run in side.runs), 2)
            for name in names
        }
        found[side.name] = {
            "frames a second": [round(run.rate, 2) for run in side.runs],
            "median": round(side.median("rate"), 2),
            "seconds": round(side.median("seconds"), 2),
            "seconds of all cores": round(side.median("processor"), 2),
            "peak MiB": round(side.median("peak") / 2**20),
            "seconds by stage": stages,
        }
        print(f"{title}, {side.name}: {json.dumps(found[side.name])}")
    if len(sides) > 1:
        ratio = sides[-1].median("rate") / sides[0].median("rate")
        found["times the frames a second"] = round(ratio, 3)
        print(f"{title}: {ratio:.3f} times the frames a second of {sides[0].name}")
    return found


def _psnr(sides: Sequence[Side], folder: Path, size: int) -> dict[str, float]:
    """How much the frames of two sides are alike, all together and in the worst of them.

    Coded without loss: the coder would answer a rounding with other losses.
    """
    source, driving = write_samples(folder)
    videos = [folder / f"{side.name}-exact.mp4" for side in sides[-2:]]
    for side, video in zip(sides[-2:], videos, strict=True):
        _run(side, source, driving, video, size, "--crf", "0", "--pixel-format", "yuv444p")
    errors = []
    with VideoReader(videos[0]) as first, VideoReader(videos[1]) as second:
        for ours, theirs in zip(first, second, strict=True):
            away = ours.pixels.astype(np.float32) - theirs.pixels
            errors += np.square(away).mean((1, 2, 3)).tolist()

    def level(error: float) -> float:
        return round(float(10 * np.log10(255**2 / max(error, 1e-6))), 1)

    found = {"all": level(statistics.mean(errors)), "worst frame": level(max(errors))}
    print("PSNR, dB:", found)
    return found


@contextmanager
def _busy_core() -> Iterator[None]:
    """Another program that takes all it gets of one core."""
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def _long(folder: Path) -> dict[int, int]:
    source, driving = write_samples(folder)
    peaks = {}
    for count in (SHORT, LONG):
        video = folder / f"{count}.mp4"
        _repeat(driving, video, count)
        peaks[count] = _run(Side("long", HERE), source, video, folder / "long.mp4", 256).peak
        print(f"{count} frames: peak {peaks[count] / 2**20:.0f} MiB")
    return peaks


def _repeat(video: Path, target: Path, count: int) -> None:
    """The video's frames, forwards again and again, as one long video without sound."""
    rate = Fraction(30000, 1001)
    writer = VideoWriter(target, width=512, height=512, time_base=1 / rate, rate=rate)
    written = 0
    with writer:
        while written < count:
            with VideoReader(video) as reader:
                for batch in reader:
                    for picture in batch.pixels[: count - written]:
                        writer.write(picture, written)
                        written += 1


if __name__ == "__main__":
    main()
