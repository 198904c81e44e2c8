"""Frames a second of the engine at several numbers of clips, and what part of the time it idles.

On the CPU the default weights, on a CUDA device the published face model at 256 px with random
weights in bfloat16. Guidance is ready beforehand, so that what is measured is the step and how the
engine feeds it. In turns, in one process:

- alone: each clip's frames one after another, without the engine;
- batch: all clips as one batch, without the engine;
- engine: a thread for each clip puts and gets, the engine steps as it does on that device.

The idle share is what the engine lacks to the best of the other two where only one step can run
at a time; on a CPU several can, and it is the share of its threads' time that is spent in no step.

`--threads 1` on a CPU leaves the other cores to more clips; without it, PyTorch uses all of them
for one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_generator import RESULTS, SIZE, face_model
from environment import describe, interleaved

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.batches import BatchStep
from animator.animation.rollout.clip import DEPTH
from animator.animation.rollout.engine import Clip, Engine, fitting_slots
from animator.animation.rollout.generator import Guidance
from animator.animation.rollout.loading import load_portrait
from animator.processor import keep_memory, share_cores
from animator.settings import Settings
from gfla import checkpoint
from gfla.models.rollout import RolloutState
from tests.golden.faces import MEAN_FACE

Side = Callable[[], object]


def main() -> None:
    """Measure the CPU, and CUDA where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", help="default: 1 4 8, on CUDA to 32")
    parser.add_argument("--frames", type=int, help="of each clip; default: 4, on CUDA 100")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-cpu", action="store_true", help="measure CUDA alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "engine.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = {"environment": describe(), "repeats": options.repeats}
    if not options.no_cpu:
        settings = Settings.from_environment()
        generator = load_portrait("default", "cpu", "float32", settings).generator
        clips, frames = options.clips or [1, 4, 8], options.frames or 4
        report["cpu"] = measure(generator, clips, frames, options.repeats)
    if torch.cuda.is_available():
        generator = published("cuda")
        clips, frames = options.clips or [1, 4, 8, 16, 32], options.frames or 100
        report["cuda"] = measure(generator, clips, frames, options.repeats)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def published(device: str) -> PortraitGenerator:
    """The published layout at full width with random weights, in bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.safetensors"
        checkpoint.save(path, face_model(), {"name": "random", "structure_size": SIZE})
        return PortraitGenerator(path, torch.device(device), "bfloat16")


def measure(
    generator: PortraitGenerator, counts: list[int], frames: int, repeats: int
) -> list[dict[str, Any]]:
    """A table for one model; frames a second of each side at each number of clips."""
    print(f"\n| {generator.name} on {generator.device}, frames/s, median (least - most) ", end="")
    print("| alone | batch | engine | idle | frames a step |\n|---|---|---|---|---|---|")
    return [measure_clips(generator, count, frames, repeats) for count in counts]


def measure_clips(
    generator: PortraitGenerator, count: int, frames: int, repeats: int
) -> dict[str, Any]:
    """All sides at one number of clips."""
    random = np.random.default_rng(0)
    states, drawn = [], []
    for _ in range(count):
        face = np.asarray(MEAN_FACE, np.float32) + random.normal(0, 0.01, (68, 2)).astype("f4")
        side = generator.inner_size(SIZE)
        states.append(generator.start(random.integers(0, 256, (side, side, 3), np.uint8), face))
        drawn.append(generator.guidance(face, states[-1]))
    engine = Engine(generator, fitting_slots(generator.device))
    batch = BatchStep(generator, max(count, engine.slots))
    sides: dict[str, Side] = {
        "alone": lambda: alone(generator, states, drawn, frames),
        "batch": lambda: together(batch, states, drawn, frames),
        "engine": lambda: engined(engine, states, drawn, frames),
    }
    before, began = engine.counters(), time.perf_counter()
    engined(engine, states, drawn, frames)  # graphs are captured, and busy threads counted
    after, wall = engine.counters(), time.perf_counter() - began
    times = dict(zip(sides, interleaved(list(sides.values()), repeats), strict=True))
    swapped = {"median": "median", "least": "most", "most": "least"}
    rates = {
        name: {key: count * frames / spread[other] for key, other in swapped.items()}
        for name, spread in times.items()
    }
    if generator.device.type == "cuda":
        best = max(rates["alone"]["median"], rates["batch"]["median"])
        idle = 1 - rates["engine"]["median"] / best
    else:
        idle = 1 - (after.seconds - before.seconds) / (wall * min(engine.slots, count))
    cells = [f"{r['median']:.1f} ({r['least']:.1f} - {r['most']:.1f})" for r in rates.values()]
    mean = (after.frames - before.frames) / (after.steps - before.steps)
    print(f"| {count} clips | {' | '.join(cells)} | {idle:.0%} | {mean:.2f} |")
    return {"clips": count, "frames a second": rates, "idle": idle, "frames a step": mean}


def alone(
    generator: PortraitGenerator, states: list[RolloutState], drawn: list[Guidance], frames: int
) -> None:
    """One clip after the other."""
    for state, frame in zip(states, drawn, strict=True):
        for _ in range(frames):
            state, _ = generator.step_drawn(state, frame)


def together(
    batch: BatchStep, states: list[RolloutState], drawn: list[Guidance], frames: int
) -> None:
    """All clips in steps of one batch."""
    for _ in range(frames):
        states = [state for state, _ in batch(states, drawn)]


def engined(engine: Engine, states: list[RolloutState], drawn: list[Guidance], frames: int) -> None:
    """All clips through the engine, each fed and emptied by a thread of its own."""
    clips = [engine.open(state) for state in states]
    threads = [
        threading.Thread(target=feed, args=(clip, frame, frames))
        for clip, frame in zip(clips, drawn, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def feed(clip: Clip, frame: Guidance, frames: int) -> None:
    """Put and get some frames, as far ahead as the queue allows."""
    with clip:
        for number in range(frames + DEPTH):
            if number >= DEPTH:
                clip.get()
            if number < frames:
                clip.put_drawn(frame)


if __name__ == "__main__":
    share_cores()
    keep_memory()
    main()
