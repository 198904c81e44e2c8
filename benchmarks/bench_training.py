"""Images a second of the trainer against a bare loop of the same step.

    python benchmarks/bench_training.py CONFIG --data DIR [key=value ...]

The bare loop has its batches at hand and does nothing but forward, backward, clip, optimizer and
averages; the trainer loads, logs and reports as in any run. Both sides take turns in one process.
Starting the loader's processes and writing the last checkpoint are left out on the trainer's side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from environment import describe

from gfla.data.samples import Positions, Samples
from gfla.training.config import TrainingConfig
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, make_fabric, open_samples_for
from gfla.training.loader import make_loader
from gfla.training.loop import Limits, Loop
from gfla.training.records import Records
from gfla.training.state import Run

RESULTS = Path(__file__).parent / "results" / "training.json"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=12, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_intermixed_args()
    torch.set_num_threads(options.threads)
    about = describe()
    config = load_config(options.config, options.overrides)
    # No sheets and no checkpoints in the measured window: they come once in minutes.
    record = replace(config.record, sheet_every=0, save_every=0, save_minutes=1e6)
    config = replace(config, record=record)
    with tempfile.TemporaryDirectory() as folder:
        sides = measure(
            RunRequest(config, options.data, Path(folder)), options.steps, options.rounds
        )
    result = about | {
        "config": config.name,
        "overrides": [text for text in options.overrides if "path" not in text],
        "pictures a step": pictures(config),
        "steps a round": options.steps,
        "rounds": options.rounds,
    }
    result |= sides
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(request: RunRequest, steps: int, rounds: int) -> dict[str, object]:
    """Images a second of both sides, and the share of the trainer's time spent waiting."""
    run = Run(request.config)
    fabric = make_fabric(request)
    times: list[tuple[float, float]] = []  # when a step ended, and the time waited so far
    loop = Loop(
        fabric, run, request.out, report=lambda _: times.append((time.perf_counter(), waited()))
    )

    def waited() -> float:
        return loop.clock.waited

    samples = open_samples_for(request, "train")
    at_hand = [
        fabric.to_device(loaded.tensors)
        for loaded in islice(make_loader(samples, Positions(request.config.batch), 0, 1, False), 4)
        if loaded.tensors is not None
    ]
    bare, trained, waits = [], [], []
    work = bare_step(loop)
    work(at_hand[0])
    for _ in range(rounds):
        began = time.perf_counter()
        for index in range(steps):
            work(at_hand[index % len(at_hand)])
        bare.append((time.perf_counter() - began) / steps)
        times.clear()
        train(request, loop, samples, steps + 1)
        (first, before), (last, after) = times[0], times[-1]
        trained.append((last - first) / steps)
        waits.append((after - before) / (last - first))
    images = pictures(request.config)
    rates = {
        "bare": {"median": images / statistics.median(bare), "all": [images / t for t in bare]},
        "trainer": {
            "median": images / statistics.median(trained),
            "all": [images / t for t in trained],
        },
    }
    share = statistics.median(b / t for b, t in zip(bare, trained, strict=True))
    return {
        "images a second": rates,
        "trainer / bare": share,
        "share of time waiting for the loader": statistics.median(waits),
    }


def bare_step(loop: Loop) -> Callable[[dict[str, torch.Tensor]], None]:
    """The step without anything around it."""
    run, clip = loop.run, loop.run.config.optimizer.gradient_clip or float("inf")
    if run.critics is not None:
        raise SystemExit("the bare loop has no critics; set losses.adversarial=0")

    def work(batch: dict[str, torch.Tensor]) -> None:
        run.optimizer.zero_grad(set_to_none=True)
        with loop.fabric.autocast():
            outcome = run.task(batch, 0, [], (1, run.step), None)
        outcome["loss"].backward()
        torch.nn.utils.clip_grad_norm_(run.task.parameters(), clip)
        run.optimizer.step()
        run.average.update_parameters(run.generator)
        run.step += 1

    return work


def train(request: RunRequest, loop: Loop, samples: Samples, steps: int) -> None:
    """The trainer, with a loader and records as in any run."""
    data, run = request.config.data, loop.run
    batches = make_loader(
        samples, Positions(request.config.batch, run.position), data.workers, data.prefetch, False
    )
    with Records(request.out, run.step) as records:
        loop.train(batches, records, None, Limits(max_steps=steps))


def pictures(config: TrainingConfig) -> int:
    """Rendered in a step."""
    return config.batch * config.block


if __name__ == "__main__":
    main()
