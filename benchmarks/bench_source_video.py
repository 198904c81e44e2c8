"""Flicker and drift of a video as the portrait, beside the still portrait and the video itself.

    python benchmarks/bench_source_video.py --source talk.mp4 --driving smile.mp4

Each row is a job on the same two videos, cropped to the face's square:

- ``source``: the source video itself, in the squares that are animated;
- ``keep, nearly still``: with a hundredth of the driving motion, so that what differs from the
  source is the networks' own;
- ``keep``, ``replace``: with all of it;
- ``still``: the first picture of the source as the portrait, with the driving video's times;
- ``..., anew``: each frame refers to the source's own picture of it alone, instead of also to the
  frame that was generated before it.

The columns, over the inner part of the square, in which the face is:

    flicker    mean absolute second difference of grey levels over time
    sharpness  standard deviation of the Laplacian, mean over frames
    error      distance of the landmarks from those asked for, percent of the outer eye corners'
    drift      error in the last fifth of the frames minus that in the first fifth
    identity   likeness of the last fifth's faces to the source's first one

Prints a table and writes figures with the machine's description.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from environment import describe

from animator.animation.faces import moving_render
from animator.animation.faces.figure import FacePlan
from animator.animation.faces.plan import make_plan
from animator.animation.inputs import open_inputs
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError
from animator.faces.detectors import make_detector
from animator.faces.identity import IdentityModel, similarity
from animator.faces.moving_square import cut_square
from animator.faces.tracking import FaceTracker
from animator.media.decode import open_finished
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.arrays import Picture, to_pixels
from gfla.evaluation.motion import landmark_error

RESULTS = Path(__file__).parent / "results"
SIDE = 256
INNER = slice(SIDE // 5, SIDE * 4 // 5)


@contextmanager
def anew(wanted: bool) -> Iterator[None]:
    """Every frame begins anew, or only those that have to."""
    if not wanted:
        yield
        return

    def every(face: FacePlan) -> np.ndarray:
        return moving_render.generated(face)

    with patch.object(moving_render, "beginning", every):
        yield


def pictures(video: str) -> list[Picture]:
    """The frames of a finished video."""
    with open_finished(Path(video)) as reader:
        return [picture for batch in reader for picture in batch.pixels]


def source_squares(spec: JobSpec, plan: JobPlan) -> list[Picture]:
    """What the source video shows in the squares that are animated."""
    found = pictures(str(spec.source))[: len(plan.pts)]
    return [cut_square(one, plan.face.square(n), SIDE) for n, one in enumerate(found)]


def measured(frames: list[Picture], targets: np.ndarray, own: Picture) -> dict[str, float]:
    """The columns of one row; ``own`` is the source's first picture."""
    grey = np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY)[INNER, INNER] for one in frames])
    grey = grey.astype(np.float32)
    found = FaceTracker(make_detector("dlib", "cpu")).track(np.stack(frames))
    wanted = to_pixels(targets, SIDE)
    fifth = max(len(frames) // 5, 1)

    def error(part: slice) -> float:
        seen = found.found[part]
        return float(landmark_error(found.points[part][seen], wanted[part][seen]))

    row = {
        "flicker": float(np.abs(np.diff(grey, 2, axis=0)).mean()),
        "sharpness": float(np.mean([cv2.Laplacian(one, cv2.CV_32F).std() for one in grey])),
        "error": error(slice(None)),
        "drift": error(slice(-fifth, None)) - error(slice(0, fifth)),
    }
    try:
        model = IdentityModel()
    except AnimatorError:
        return row
    first = FaceTracker(make_detector("dlib", "cpu")).track(own[None])
    face = model.embed(own, first.points[0])
    last = range(len(frames) - fifth, len(frames), max(fifth // 4, 1))
    alike = [similarity(face, model.embed(frames[n], found.points[n])) for n in last]
    return row | {"identity": float(np.mean(alike))}


def main() -> None:
    """Run the jobs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="a video with a face")
    parser.add_argument("--driving", required=True)
    parser.add_argument("--name", default="source_video", help="of the file with the figures")
    given = parser.parse_args()
    source, driving = (str(Path(name).resolve()) for name in (given.source, given.driving))
    settings, rows = Settings.from_environment(), dict[str, dict[str, float]]()
    with tempfile.TemporaryDirectory() as folder:
        base = JobSpec(
            source, driving, f"{folder}/out.mp4", size=SIDE, margin=1.75, crf=4, device="cpu",
            detector="dlib", ending="loop",
        )  # fmt: skip
        jobs = {
            "keep, nearly still": (replace(base, strength=0.01), False),
            "keep, nearly still, anew": (replace(base, strength=0.01), True),
            "keep": (base, False),
            "keep, anew": (base, True),
            "replace": (replace(base, source_motion="replace"), False),
            "still": (replace(base, source_motion="still"), False),
        }
        own: Picture | None = None
        for name, (spec, every) in jobs.items():
            plan = make_plan(
                spec, open_inputs(spec, settings), settings, Watch(lambda _: None, bool)
            )
            if own is None:
                shown = source_squares(spec, plan)
                own = shown[0]
                rows["source"] = measured(shown, plan.face.own, own)
            began = time.process_time()
            with anew(every):
                animate(spec)
            seconds = time.process_time() - began
            frames = pictures(spec.output)
            rows[name] = measured(frames, plan.targets, own)
            rows[name]["ms"] = 1000 * seconds / len(frames)
            print(name, {key: round(value, 3) for key, value in rows[name].items()}, flush=True)
    columns = ("flicker", "sharpness", "error", "drift", "identity", "ms")
    print(f"{'':26}" + "".join(f"{name:>11}" for name in columns))
    for name, row in rows.items():
        print(f"{name:26}" + "".join(f"{row.get(key, float('nan')):11.3f}" for key in columns))
    text = json.dumps({"machine": describe(), "rows": rows}, indent=1)
    (RESULTS / f"{given.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
