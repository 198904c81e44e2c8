"""A farm whose workers and queue are killed, stopped and confused, and whether it keeps its word.

The workers, the pipeline and Redis with its append-only file are real; the networks are narrow and
the clips short. Each job must succeed exactly once, with the frames, times and sound that
`animator run` gives, and nothing else may be left. The test beside this file runs a short form,
`benchmarks/chaos.py` a long one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from animator.animation.pipeline import animate
from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.jobs.queue import Announcement
from animator.jobs.store import JobRequest
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.spec import JobSpec
from gfla import checkpoint
from tests.chaos import faults
from tests.chaos.outputs import Outputs, content
from tests.chaos.plan import Plan, Report
from tests.chaos.setting import LEASE_SECONDS, SEGMENT_FRAMES, environment, specs
from tests.helpers import small_generator
from tests.worker.workers import Fleet, worker_command

__all__ = ["environment", "run"]

STAGES = ("queued", "load", "landmarks", "generate", "assemble")
"""When jobs that are to be cancelled are; the last is once all frames are there."""
COPIES = 3
SETTLE_SECONDS = 30.0
"""How long workers that were stopped may take to find out and clean up."""


def run(plan: Plan, folder: Path, media: tuple[Path, Path], say: Callable[[str], object]) -> Report:
    """Run jobs on a farm in an empty folder, under the environment that `environment` gives.

    Args:
        plan: what happens.
        folder: for everything; the videos go into its folder `out`.
        media: the portrait and the driving video.
        say: hears of everything that is done.
    """
    weights = folder / "random.safetensors"
    checkpoint.save(weights, small_generator(), {"name": "random"})
    server = EmbeddedRedis(folder / "state")
    server.start()
    slots = ("-c", str(plan.concurrency))
    try:
        with open(folder / "workers.log", "wb") as log:
            fleet = Fleet(lambda: worker_command(*slots, app="worker"), plan.workers, log)
            try:
                return Chaos(plan, folder, specs(plan, media, weights), server, fleet, say).run()
            finally:
                fleet.end()
    finally:
        server.stop()


@dataclass
class Sleeper:
    """A worker that is stopped, and the attempts that it had."""

    process: subprocess.Popen[bytes]
    attempts: dict[str, int]


class Chaos:
    """One run; see `run`.

    Args:
        plan: what happens.
        folder: for everything.
        kinds: of jobs.
        server: the queue's Redis, which runs.
        fleet: the workers.
        say: hears of everything that is done.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        kinds: Sequence[JobSpec],
        server: EmbeddedRedis,
        fleet: Fleet,
        say: Callable[[str], object],
    ) -> None:
        self._plan, self._folder, self._kinds = plan, folder, kinds
        self._server, self._fleet = server, fleet
        self._client = Client.connect(Settings.from_environment())
        self._random = random.Random(plan.seed)
        self._report = Report(plan)
        self._out = folder / "out"
        self._out.mkdir()
        self._jobs: dict[str, JobRecord] = {}
        self._kind_of: dict[str, int] = {}
        self._to_cancel: dict[str, str] = {}
        self._damaged: list[str] = []
        self._sleepers: list[Sleeper] = []
        self._killed: list[tuple[datetime, list[str]]] = []
        self._began = time.monotonic()
        self._tell = say

    def run(self) -> Report:
        """Submit, disturb, wait, and look what is there."""
        with ThreadPoolExecutor(1) as executor, Outputs(self._out) as outputs:
            references = [executor.submit(self._reference, n) for n in range(len(self._kinds))]
            self._submit()
            self._disturb()
            self._settle()
            self._report.seconds = time.monotonic() - self._began
            self._check_records()
            self._check_outputs(outputs, references)
        self._check_rest()
        self._check_workers()
        return self._report

    def _say(self, text: str) -> None:
        self._tell(f"{time.monotonic() - self._began:6.1f} s: {text}")

    def _break(self, text: str) -> None:
        self._report.broken.append(text)
        self._say(f"BROKEN: {text}")

    # -- jobs ----------------------------------------------------------------------------------

    def _reference(self, number: int) -> str:
        """What the output of such a job is to be."""
        path = self._folder / f"reference-{number}.mp4"
        animate(replace(self._kinds[number], output=str(path), device="cpu"))
        return content(path)

    def _submit(self) -> None:
        count = self._plan.jobs + self._plan.cancels
        ids = self._add(count)
        chosen = self._random.sample(ids, self._plan.cancels)
        self._to_cancel = {one: STAGES[n % len(STAGES)] for n, one in enumerate(chosen)}
        self._say(f"{count} jobs are submitted, {len(chosen)} of them to be cancelled")

    def _add(self, count: int) -> list[str]:
        numbers = range(len(self._kind_of), len(self._kind_of) + count)
        kinds = [number % len(self._kinds) for number in numbers]
        requests = [
            JobRequest(replace(self._kinds[kind], output=str(self._out / f"{number:03}.mp4")))
            for number, kind in zip(numbers, kinds, strict=True)
        ]
        ids = [made.record.id for made in self._client.submit_many(requests)]
        self._kind_of |= dict(zip(ids, kinds, strict=True))
        self._report.jobs += count
        self._look()
        return ids

    def _keep_busy(self) -> None:
        """Submit more than planned where the workers would run out before they were disturbed."""
        slots = self._plan.workers * self._plan.concurrency
        if len(self._unfinished()) < slots:
            self._add(slots)
            self._say(f"{slots} more jobs are submitted")

    def _look(self) -> None:
        self._jobs = {one.id: one for one in self._client.store.get_many(list(self._kind_of))}

    def _open(self) -> bool:
        """Whether something is still to happen to a job."""
        damaged = self._client.store.states(self._damaged)
        return bool(self._unfinished()) or any(not state.ended for state in damaged.values())

    def _unfinished(self) -> list[JobRecord]:
        return [job for job in self._jobs.values() if not job.state.ended]

    # -- disturbances --------------------------------------------------------------------------

    def _disturb(self) -> None:
        plan = self._plan
        deck: list[Callable[[], bool]] = [self._kill] * plan.kills + [self._pause] * plan.pauses
        deck += [self._duplicate] * plan.duplicates
        deck += [lambda seconds=seconds: self._outage(seconds) for seconds in plan.outages]
        deck += [lambda seconds=seconds: self._failover(seconds) for seconds in plan.failovers]
        deck += [self._garbage] * plan.garbage + [self._step] * plan.steps
        deck += [self._damage] * plan.damaged
        self._random.shuffle(deck)
        due = time.monotonic()
        while deck or self._open() or self._sleepers:
            if time.monotonic() - self._began > plan.patience:
                for job in self._unfinished():
                    lines = [line.text for line in self._client.store.logs(job.id)]
                    self._break(f"job {job.id} waits, {job.state.value}: {lines}")
                break
            self._wake()
            self._cancel()
            if deck:
                self._keep_busy()
            if deck and time.monotonic() >= due and deck[-1]():
                deck.pop()
                due = time.monotonic() + plan.every * self._random.uniform(0.5, 1.5)
            time.sleep(0.05)
            self._look()
        if deck:
            self._break(f"{len(deck)} disturbances could not be made")

    def _victim(self, *, any_worker: bool = False) -> subprocess.Popen[bytes] | None:
        """A worker that is awake and, unless any will do, has jobs with a finished segment."""
        asleep = {sleeper.process.pid for sleeper in self._sleepers}
        first = self._random.randrange(self._plan.workers)
        processes = self._fleet.processes
        for process in [*processes[first:], *processes[:first]]:
            jobs = [job.progress for job in self._jobs_of(process)]
            under_way = [
                one
                for one in jobs
                if one and one.stage == "generate" and one.frame > SEGMENT_FRAMES
            ]
            if process.pid not in asleep and (under_way or any_worker):
                return process
        return None

    def _jobs_of(self, process: subprocess.Popen[bytes]) -> list[JobRecord]:
        return [
            job
            for job in self._jobs.values()
            if job.state is JobState.RUNNING and job.worker and f"-{process.pid}-" in job.worker
        ]

    def _kill(self) -> bool:
        victim = self._victim(any_worker=self._report.kills % 3 == 2)
        if victim is None:
            return False
        jobs = [job.id for job in self._jobs_of(victim)]
        self._killed.append((datetime.now().astimezone(), jobs))
        victim.kill()
        self._report.kills += 1
        self._say(f"worker {victim.pid} is killed with {jobs}")
        return True

    def _pause(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.send_signal(signal.SIGSTOP)
        attempts = {job.id: job.attempt for job in self._jobs_of(victim)}
        self._sleepers.append(Sleeper(victim, attempts))
        self._report.pauses += 1
        self._say(f"worker {victim.pid} is stopped with {list(attempts)}")
        return True

    def _wake(self) -> None:
        for sleeper in list(self._sleepers):
            jobs = [self._jobs[one] for one in sleeper.attempts]
            if all(job.state.ended or job.attempt > sleeper.attempts[job.id] for job in jobs):
                sleeper.process.send_signal(signal.SIGCONT)
                self._sleepers.remove(sleeper)
                self._say(f"worker {sleeper.process.pid} goes on")

    def _duplicate(self) -> bool:
        jobs = self._random.sample(sorted(self._jobs), min(4, len(self._jobs))) * COPIES
        self._client.queue.enqueue_many(Announcement.of(self._jobs[one]) for one in jobs)
        self._report.duplicates += len(jobs)
        self._say(f"messages are sent again: {jobs}")
        return True

    def _outage(self, seconds: float) -> bool:
        if not any(job.state is JobState.RUNNING for job in self._jobs.values()):
            return False
        pid = self._server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._say(f"Redis is killed, for {seconds} s")
        time.sleep(seconds)
        self._server.start()
        self._report.outages += 1
        self._say("Redis is back")
        return True

    def _failover(self, seconds: float) -> bool:
        if not any(job.state is JobState.RUNNING for job in self._jobs.values()):
            return False
        self._say(f"Redis is read only, for {seconds} s")
        faults.fail_over(self._client.store.client, seconds)
        self._report.failovers += 1
        return True

    def _garbage(self) -> bool:
        self._report.garbage += faults.put_garbage(self._client.store.client)
        self._say("garbage is among the messages")
        return True

    def _step(self) -> bool:
        hours = 1 if self._report.steps % 2 else -1
        faults.move_times(self._client.store.client, hours)
        self._report.steps += 1
        self._say(f"leases and reminders are moved by {hours} h")
        return True

    def _damage(self) -> bool:
        spec = replace(self._kinds[0], output=str(self._out / "damaged.mp4"))
        self._damaged.append(faults.damaged_job(self._client, spec))
        self._report.damaged += 1
        self._say(f"the record of {self._damaged[-1]} is damaged")
        return True

    def _cancel(self) -> None:
        for one, stage in self._to_cancel.items():
            job = self._jobs[one]
            if not job.cancel_requested and not job.state.ended and _in(job, stage):
                self._client.cancel(one)
                self._say(f"job {one} is cancelled, {stage}")

    # -- what must hold ------------------------------------------------------------------------

    def _settle(self) -> None:
        """Wait until those that woke late have found out, and every worker is idle."""
        for sleeper in self._sleepers:
            sleeper.process.send_signal(signal.SIGCONT)
        time.sleep(LEASE_SECONDS)
        deadline = time.monotonic() + SETTLE_SECONDS
        while any(info.jobs for info in self._client.store.workers()) or self._hidden():
            if time.monotonic() > deadline:
                self._break(f"not cleaned up: {self._hidden()}")
                return
            time.sleep(0.1)

    def _hidden(self) -> list[str]:
        return sorted(path.name for path in self._out.iterdir() if path.name.startswith("."))

    def _check_records(self) -> None:
        self._look()
        report, store = self._report, self._client.store
        for one, job in self._jobs.items():
            report.attempts += job.attempt
            ends = [line.text for line in store.logs(one) if line.text.startswith("succeeded:")]
            allowed = {JobState.SUCCEEDED}
            if one in self._to_cancel:
                allowed.add(JobState.CANCELLED)
                report.cancelled += job.state is JobState.CANCELLED
                report.cancelled_late += job.state is JobState.SUCCEEDED
            if job.state not in allowed:
                self._break(f"job {one} is {job.state.value}: {job.error}")
            if len(ends) != (job.state is JobState.SUCCEEDED):
                self._break(f"job {one} is {job.state.value} and has {ends} in its log")
            if job.result is not None:
                report.frames += job.result.frames
                report.resumed += job.resumed
        rest = (store.client.zcard("animator:leases"), sum(store.depths().values()))
        if rest != (0, 0):
            self._break(f"leases and waiting jobs are left: {rest}")
        lost = [(one, moment) for moment, jobs in self._killed for one in jobs]
        report.noticed = max((self._until(*one, "not heard of") for one in lost), default=0.0)
        report.begun = max((self._until(*one, " begins") for one in lost), default=0.0)

    def _until(self, job_id: str, moment: datetime, text: str) -> float:
        """Seconds from a moment until a job's log says something."""
        lines = [line for line in self._client.store.logs(job_id) if text in line.text]
        times = [datetime.fromisoformat(line.time) for line in lines]
        return min(((time - moment).total_seconds() for time in times if time > moment), default=0)

    def _check_outputs(self, outputs: Outputs, references: list[Future[str]]) -> None:
        wanted = set()
        for one, job in self._jobs.items():
            path = Path(job.spec.output)
            if job.state is not JobState.SUCCEEDED:
                continue
            wanted.add(path.name)
            if not path.is_file():
                self._break(f"job {one} has no output")
            elif content(path) != references[self._kind_of[one]].result():
                self._break(f"job {one} differs from the reference: {path}")
        for name, contents in outputs.seen().items():
            if len(contents) > 1:
                self._break(f"{name} was published with {len(contents)} different contents")
        there = {path.name for path in self._out.iterdir()}
        if there != wanted:
            self._break(f"too many or too few files: {sorted(there ^ wanted)}")

    def _check_rest(self) -> None:
        if left := sorted(path.name for path in (self._folder / "tmp").iterdir()):
            self._break(f"temporary files are left: {left}")

    def _check_workers(self) -> None:
        """No worker has ended that was not killed."""
        ended = [status for status in self._fleet.deaths if status != -signal.SIGKILL]
        if ended:
            self._break(f"workers have ended by themselves: {ended}")
        if len(self._fleet.deaths) > self._report.kills:
            self._break(f"{len(self._fleet.deaths)} workers died, {self._report.kills} were killed")
        found = self._client.store.get_many(self._damaged)
        states = {job.state for job in found}
        if len(found) != len(self._damaged) or not states <= {JobState.FAILED}:
            self._break(f"damaged records are {sorted(states)}")


def _in(job: JobRecord, stage: str) -> bool:
    """Whether a job is in one of `STAGES`."""
    if stage == "queued" or job.progress is None:
        return stage == job.state.value
    done = job.progress.frame == job.progress.frames
    if stage == "assemble":
        return job.progress.stage == "generate" and done
    return job.progress.stage == stage
