"""`animator run` on the sample media with the default weights, everything included.

Speed: frames a second of whole commands, start-up included; with ``--against``, other weights are
run in turn with the default ones and the ratio is given. Memory: the peak of 300 against 3,000
frames of 512 px, each in a process of its own.
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
from fractions import Fraction
from pathlib import Path

from environment import describe

from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.samples.media import write_samples

RESULTS = Path(__file__).parent / "results"
SHORT, LONG = 300, 3000


def main() -> None:
    """Measure both and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--against", metavar="WEIGHTS", help="a name or a file to compare with")
    parser.add_argument("--no-memory", action="store_true", help="measure speed alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "run.json")
    options = parser.parse_args()
    report: dict[str, object] = {"environment": describe(), "size": options.size}
    with tempfile.TemporaryDirectory() as folder:
        source, driving = write_samples(Path(folder))
        rates: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for weights in filter(None, ("default", options.against)):
                seconds, _, frames = run(source, driving, options.size, weights)
                rates.setdefault(weights, []).append(frames / seconds)
        for weights, found in rates.items():
            listed = ", ".join(f"{rate:.2f}" for rate in found)
            median = statistics.median(found)
            print(f"{weights}: {median:.2f} frames/s (median of {len(found)}), all: {listed}")
        if options.against:
            ours, theirs = (statistics.median(found) for found in rates.values())
            report["seconds over those of other weights"] = theirs / ours
            print(f"the default weights take {theirs / ours:.3f} of the other ones' time")
        report |= {
            "frames a second": rates["default"],
            "stages": stages(source, driving, options.size),
        }
        if not options.no_memory:
            peaks = {}
            for count in (SHORT, LONG):
                video = Path(folder) / f"{count}.mp4"
                repeat(driving, video, count)
                peaks[count] = run(source, video, options.size)[1]
                print(f"{count} frames: peak {peaks[count] / 2**20:.0f} MiB")
            print(f"ratio {peaks[LONG] / peaks[SHORT]:.3f}")
            report["peak bytes"] = peaks
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def run(source: Path, driving: Path, size: int, weights: str = "default") -> tuple[float, int, int]:
    """One command: its seconds, its peak memory in bytes, and its frames."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "animator", "run", str(source), str(driving), "--json"]
    command += ["-o", str(driving.with_suffix(".out.mp4")), "--size", str(size), "--force"]
    command += ["--margin", "1.75", "--weights", weights]
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        output.seek(0)
        answer = json.loads(output.read())
    if status:
        raise SystemExit(f"the command failed: {answer}")
    return seconds, usage.ru_maxrss * 1024, answer["frames"]


def stages(source: Path, driving: Path, size: int) -> dict[str, float]:
    """Milliseconds a frame of each stage, in this process."""
    from animator.animation.pipeline import animate
    from animator.spec import JobSpec

    output = str(driving.with_suffix(".stages.mp4"))
    spec = JobSpec(str(source), str(driving), output, size=size, margin=1.75)
    result = animate(spec)
    values = {k: round(1000 * v / result.frames, 2) for k, v in result.timings.items()}
    print("milliseconds a frame:", values)
    return values


def repeat(video: Path, target: Path, count: int) -> None:
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
