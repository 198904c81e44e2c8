"""Whole jobs: the command, and a worker with several at a time on a queue of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis_server import redis_server

from animator.faces.detectors import available_detectors
from animator.jobs.client import Client
from animator.record import JobState
from animator.samples.media import write_samples
from animator.settings import Settings
from animator.spec import JobSpec
from gpu.data import travelled
from gpu.networks import default_weights
from gpu.parts import Setting
from gpu.sheet import Sheet

DETECTORS = "detectors"
"""The folder of fetched detectors in what travels along."""
JOBS = 8
_PREFERRED = ("mesh", "dlib", "face-alignment")


@dataclass(frozen=True)
class Footage:
    """What the jobs animate.

    Attributes:
        source: the portrait.
        driving: the driving video.
        end: where they end in it.
        size: of the result in pixels.
        weights: of the model.
    """

    source: Path
    driving: Path
    end: str
    size: int
    weights: str

    def spec(self, output: Path, device: str) -> JobSpec:
        """A job."""
        return JobSpec(
            str(self.source), str(self.driving), str(output), device=device, end=self.end,
            size=self.size, margin=1.75, weights=self.weights,
        )  # fmt: skip


def measure(setting: Setting, sheet: Sheet) -> None:
    """One command, then one and several jobs of a worker."""
    state = setting.folder / "state"
    state.mkdir(mode=0o700)
    detectors = travelled(setting, DETECTORS)
    if detectors is not None:
        shutil.copytree(detectors, state / DETECTORS)
    os.environ["ANIMATOR_STATE_DIR"] = str(state)
    # Said, not guessed: a virtual machine's driver may not list its devices where workers look.
    os.environ["ANIMATOR_DEVICE"] = setting.device
    usable = [one.name for one in available_detectors() if one.usable]
    chosen = next((name for name in _PREFERRED if name in usable), None)
    if chosen is None:
        sheet.fault("no landmark detector can be used here, so no job can be made")
        return
    sheet.note(f"Landmarks by {chosen}.")
    os.environ["ANIMATOR_DETECTOR"] = chosen
    source, driving = write_samples(setting.folder)
    end, size = ("0.1", 128) if setting.small else ("6.0", 256)
    footage = Footage(source, driving, end, size, str(default_weights(setting, sheet)))
    command(setting, sheet, footage)
    with redis_server(setting.folder / "redis") as url:
        os.environ["ANIMATOR_BROKER_URL"] = url
        together(setting, sheet, footage, 2 if setting.small else JOBS)


def command(setting: Setting, sheet: Sheet, footage: Footage) -> None:
    """`animator run`, everything included; landmarks are looked for the first time only."""
    for name in ("run",) if setting.small else ("run", "run, landmarks kept"):
        output = setting.folder / f"{name}.mp4"
        asked = [sys.executable, "-m", "animator", "run", str(footage.source), str(footage.driving)]
        asked += ["--end", footage.end, "--size", str(footage.size), "--margin", "1.75", "--force"]
        asked += ["--weights", footage.weights, "--device", setting.device, "--json"]
        began = time.monotonic()
        done = subprocess.run([*asked, "-o", str(output)], stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - began
        if done.returncode:
            sheet.fault(f"animator run ended with status {done.returncode}: {done.stdout[:300]}")
            return
        record = json.loads(done.stdout)
        sheet.row(
            what=name, jobs=1, frames=record["frames"], s=seconds,
            frames_a_second=record["frames"] / seconds, **_stages(record["timings"]),
        )  # fmt: skip


def together(setting: Setting, sheet: Sheet, footage: Footage, count: int) -> None:
    """A worker: a job that loads the model, one on the idle worker, and several at a time."""
    client = Client.connect(Settings.from_environment())
    with worker(client, count):
        for name, jobs in (("first job", 1), ("one job", 1), ("jobs together", count)):
            if setting.small and name == "one job":
                continue
            specs = [
                footage.spec(setting.folder / f"{name}-{number}.mp4", setting.device)
                for number in range(jobs)
            ]
            began = time.monotonic()
            ids = [client.submit(spec).id for spec in specs]
            records = [client.wait(job_id) for job_id in ids]
            seconds = time.monotonic() - began
            for record in records:
                if record.state is not JobState.SUCCEEDED or record.result is None:
                    sheet.fault(f"{name}: a job is {record.state}: {record.error}")
                    return
            results = [record.result for record in records if record.result is not None]
            frames = sum(result.frames for result in results)
            means = {
                stage: sum(result.timings[stage] for result in results) / jobs
                for stage in results[0].timings
            }
            sheet.row(
                what=name, jobs=jobs, frames=frames, s=seconds, frames_a_second=frames / seconds,
                **_stages(means),
            )  # fmt: skip


@contextmanager
def worker(client: Client, concurrency: int) -> Iterator[None]:
    """A worker that takes so many jobs at once."""
    environment = os.environ | {"ANIMATOR_CONCURRENCY": str(concurrency)}
    asked = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--loglevel", "ERROR"]
    process = subprocess.Popen(asked, env=environment)
    try:
        while not client.queue.alive_workers():
            if process.poll() is not None:
                raise SystemExit(f"the worker ended with status {process.returncode}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _stages(timings: dict[str, float]) -> dict[str, float]:
    return {f"{stage}_s": seconds for stage, seconds in timings.items()}
