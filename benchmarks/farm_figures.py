"""The figures of a simulated farm, its table, and what it says of where the farm bends."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from animator.jobs.store import JobStore
from animator.record import JobRecord, Result

GOOD = 0.95
"""The share of the ideal throughput under which the farm bends."""
BUSY = 0.85
"""The share of the time from which on something counts as at its end: what waits for a core that
is so busy waits for long."""


@dataclass(frozen=True)
class Load:
    """What the workers get to do.

    Attributes:
        jobs: that are queued.
        frames: of a job, in the mean.
        step: seconds of a frame.
        segment: frames of a segment.
        state_bytes: of the state after one.
        concurrency: jobs of a worker at a time; a step is one of all of them.
        most_seconds: after which the jobs that are left are not waited for.
        idle_seconds: for which waiting workers are watched.
    """

    jobs: int
    frames: int
    step: float
    segment: int
    state_bytes: int
    concurrency: int
    most_seconds: float
    idle_seconds: float


@dataclass(frozen=True)
class Counts:
    """What Redis and the machine have done, at a moment or between two.

    Attributes:
        seconds: the moment, or between them.
        calls: of each of Redis's commands.
        redis_seconds: of a core, in Redis.
        sent: bytes that Redis has sent.
        received: bytes that it was sent.
        busy: seconds of all cores that were not idle.
    """

    seconds: float
    calls: dict[str, int]
    redis_seconds: float
    sent: int
    received: int
    busy: float

    @classmethod
    def now(cls, store: JobStore) -> Counts:
        """At this moment."""
        about: Any = store.client.info("all")
        stats = {
            name.removeprefix("cmdstat_"): values["calls"]
            for name, values in about.items()
            if name.startswith("cmdstat_")
        }
        used = about["used_cpu_user"] + about["used_cpu_sys"]
        sent, received = about["total_net_output_bytes"], about["total_net_input_bytes"]
        return cls(time.monotonic(), stats, used, sent, received, _busy())

    def since(self, before: Counts) -> Counts:
        """What came between."""
        calls = {n: count - before.calls.get(n, 0) for n, count in self.calls.items()}
        return Counts(
            self.seconds - before.seconds,
            {name: count for name, count in calls.items() if count},
            self.redis_seconds - before.redis_seconds,
            self.sent - before.sent,
            self.received - before.received,
            self.busy - before.busy,
        )

    @property
    def all_calls(self) -> int:
        """Calls of all commands, those within scripts too."""
        return sum(self.calls.values())


def _busy() -> float:
    """Seconds of all cores that were not idle, since the machine started."""
    try:
        fields = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def summary(
    workers: int, load: Load, records: Sequence[JobRecord], idle: Counts, working: Counts
) -> dict[str, Any]:
    """The figures of a farm."""
    frames_a_second = sum(rates(records))
    cores, results = os.cpu_count() or 1, [r.result for r in records if r.result is not None]
    frames = sum(result.frames for result in results)
    most = sorted(working.calls.items(), key=lambda item: -item[1])[:6]
    return {
        "workers": workers,
        "step ms": 1000 * load.step,
        "jobs": len(records),
        "frames a second": round(frames_a_second, 1),
        "redis calls a frame": round(working.all_calls / max(frames, 1), 3),
        "redis calls a second": round(working.all_calls / working.seconds, 1),
        "redis calls of most": {name: round(n / working.seconds, 1) for name, n in most},
        "redis core": round(working.redis_seconds / working.seconds, 4),
        "redis kB/s": round((working.sent + working.received) / working.seconds / 1000, 1),
        "idle calls a second and worker": round(idle.all_calls / idle.seconds / workers, 2),
        "idle kB/s and worker": round(
            (idle.sent + idle.received) / idle.seconds / workers / 1000, 3
        ),
        "cores busy": round(working.busy / working.seconds / cores, 3),
        "core s a job": round(working.busy / max(1, len(records)), 4),
        "ms of writing a segment": _mean(results, "write", 1000 * load.segment),
        "ms of joining": _mean(results, "join", 1000 * load.frames),
        "of the steps alone": round(frames_a_second * load.step / workers / load.concurrency, 4),
        "steps' lateness": round(
            (_mean(results, "generate", 1) + _mean(results, "write", 1)) / load.step - 1, 4
        ),
    }


def _mean(results: Sequence[Result], stage: str, scale: float) -> float:
    """Of a stage's time for each frame, in a unit."""
    total = sum(result.timings[stage] for result in results)
    return round(scale * total / max(1, sum(result.frames for result in results)), 6)


def rates(records: Sequence[JobRecord]) -> list[float]:
    """Frames a second of each worker that has ended two jobs, from its first job's end to its last.

    So neither its start counts nor the end of the queue, when some have nothing left to do.
    """
    ends: dict[str, list[tuple[float, int]]] = {}
    for record in records:
        if record.finished is not None and record.result is not None:
            end = datetime.fromisoformat(record.finished).timestamp()
            ends.setdefault(record.worker or "", []).append((end, record.result.frames))
    found = []
    for jobs in ends.values():
        (first, _), *later = sorted(jobs)
        if later and later[-1][0] > first:
            found.append(sum(frames for _, frames in later) / (later[-1][0] - first))
    return found


def compare(farms: list[dict[str, Any]]) -> None:
    """Add to each farm its share of so many times one worker with the same steps."""
    alone = {farm["step ms"]: farm["frames a second"] for farm in farms if farm["workers"] == 1}
    for farm in farms:
        if one := alone.get(farm["step ms"]):
            expected = farm["workers"] * one
            farm["of one worker times so many"] = round(farm["frames a second"] / expected, 4)


COLUMNS = (
    *(
        "workers",
        "step ms",
        "jobs",
        "frames a second",
        "of one worker times so many",
        "of the steps alone",
    ),
    *("redis calls a frame", "redis calls a second", "redis core", "redis kB/s"),
    *("idle calls a second and worker", "idle kB/s and worker", "cores busy"),
    *("core s a job",),
    *("ms of writing a segment", "steps' lateness"),
)


def table(farms: Sequence[dict[str, Any]]) -> list[str]:
    """All of them, as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for farm in farms:
        lines.append(f"| {' | '.join(str(farm.get(name, '-')) for name in COLUMNS)} |")
    return lines


def bends(farms: Sequence[dict[str, Any]]) -> list[str]:
    """Where the throughput falls behind, and what was at its end there, in sentences."""
    share = "of one worker times so many"
    behind = [farm for farm in farms if farm.get(share, farm["of the steps alone"]) < GOOD]
    # The smallest with steps of each length.
    first_of = {farm["step ms"]: farm for farm in reversed(behind)}
    sentences = [_bend(farm, farms) for _, farm in sorted(first_of.items())]
    return sentences or [f"No farm falls below {GOOD:.0%} of what it should do."]


def _bend(first: dict[str, Any], farms: Sequence[dict[str, Any]]) -> str:
    causes = []
    if first["cores busy"] >= BUSY:
        causes.append("the cores of this machine, which are not those of a farm")
    if first["redis core"] >= BUSY:
        causes.append("Redis, which has one core")
    quick = min(farm["ms of writing a segment"] for farm in farms)
    if first["ms of writing a segment"] > 3 * max(quick, 1):
        causes.append("the disk: a segment takes three times as long to write as with fewer")
    if first["steps' lateness"] > 1 - GOOD and not causes:
        causes.append("processes that are woken late")
    why = "; ".join(causes) or "nothing that is measured here: look at what jobs wait for"
    value = first.get("of one worker times so many", first["of the steps alone"])
    steps = f"With steps of {first['step ms']:g} ms it"
    return f"{steps} bends at {first['workers']} workers ({value:.0%}): {why}."
