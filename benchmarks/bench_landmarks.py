"""Many portraits on one driving video: what all jobs take, against their generation alone.

Real jobs by the pipeline in one process, one after another, with the default weights: so many
variants of the sample portrait, each moved by the same driving video. With the cache, the driving
video's landmarks are found in the first job; without it (each job with a cache folder of its own),
in every job. Both sides are taken in turns, in blocks of a few portraits, so that noise hits them
alike. A warm-up job before loads the model; it has another driving video.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from environment import describe
from numpy.typing import NDArray

from animator.animation.pipeline import animate
from animator.media.decode import read_image
from animator.processor import keep_memory, share_cores
from animator.record import Result
from animator.samples.media import write_samples
from animator.spec import JobSpec

RESULTS = Path(__file__).parent / "results"
BLOCK = 5


def main() -> None:
    """Measure both sides and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the driving video")
    parser.add_argument("--measure", action="store_true", help="also the quality of every result")
    parser.add_argument("--out", type=Path, default=RESULTS / "landmarks.json")
    options = parser.parse_args()
    share_cores()
    keep_memory()
    report: dict[str, object] = {
        "environment": describe(),
        "sources": options.sources,
        "seconds of the driving video": options.seconds,
        "measured": options.measure,
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.sources, str(options.seconds), options.measure)
        report |= bench.run()
    print(json.dumps(report, indent=1))
    options.out.write_text(json.dumps(report, indent=1) + "\n")


class Bench:
    """Jobs on the sample media.

    Args:
        folder: where everything is.
        sources: how many portraits.
        end: how much of the driving video each takes, as a time.
        measure: whether the jobs measure their results.
    """

    def __init__(self, folder: Path, sources: int, end: str, measure: bool) -> None:
        self.folder = folder
        source, driving = write_samples(folder)
        self.spec = JobSpec(
            str(source), str(driving), str(folder / "out.mp4"), end=end, measure=measure,
            size=256, margin=1.75,
        )  # fmt: skip
        self.portraits = []
        for number, picture in enumerate(variants(read_image(source), sources)):
            path = folder / f"portrait-{number}.png"
            cv2.imwrite(str(path), picture[..., ::-1])
            self.portraits.append(str(path))

    def run(self) -> dict[str, object]:
        """All jobs of both sides; sums of seconds, and their ratios."""
        self.job("warm", replace(self.spec, end="0.2"))
        sides: dict[str, list[tuple[float, Result]]] = {"cached": [], "not cached": []}
        for first in range(0, len(self.portraits), BLOCK):
            for side, done in sides.items():
                for number in range(first, min(first + BLOCK, len(self.portraits))):
                    name = side if side == "cached" else f"{side} {number}"
                    done.append(self.job(name, replace(self.spec, source=self.portraits[number])))
                print(side, first, [round(seconds, 2) for seconds, _ in done[-BLOCK:]], flush=True)
        expected = [() if not number else ("driving",) for number in range(len(self.portraits))]
        assert [result.cached for _, result in sides["cached"]] == expected
        assert not any(result.cached for _, result in sides["not cached"])
        return {side: sums(done) for side, done in sides.items()}

    def job(self, name: str, spec: JobSpec) -> tuple[float, Result]:
        """One job with a cache of this name: wall time in seconds, and its result."""
        os.environ["ANIMATOR_STATE_DIR"] = str(self.folder / "states" / name)
        began = time.perf_counter()
        result = animate(spec)
        return time.perf_counter() - began, result


def sums(done: list[tuple[float, Result]]) -> dict[str, object]:
    """Wall time of all jobs, seconds by stage, and how much more than generation alone it is."""
    stages: dict[str, float] = defaultdict(float)
    for _, result in done:
        for stage, seconds in result.timings.items():
            stages[stage] += seconds
    total = sum(seconds for seconds, _ in done)
    ratios = [seconds / result.timings["generate"] for seconds, result in done]
    return {
        "jobs": len(done),
        "frames": sum(result.frames for _, result in done),
        "total": round(total, 2),
        "stages": {stage: round(seconds, 2) for stage, seconds in stages.items()},
        "total against generation alone": round(total / stages["generate"], 4),
        "median job against its generation": round(float(np.median(ratios)), 4),
    }


def variants(picture: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Different portraits of one: mirrored, cropped, brighter and darker."""
    made = []
    for number in range(count):
        margin = 4 * (number // 4)
        part = picture[margin:, margin : picture.shape[1] - margin // 2]
        part = part[:, ::-1] if number % 2 else part
        light = 1 - 0.15 * (number // 2 % 2) - 0.01 * number
        made.append(np.ascontiguousarray((part * light).astype(np.uint8)))
    return made


if __name__ == "__main__":
    main()
