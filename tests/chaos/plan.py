"""What happens to a farm under test, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """What happens to the farm."""

    seed: int = 1
    jobs: int = 10
    workers: int = 3
    concurrency: int = 1
    """Jobs that each worker runs at the same time."""
    specs: int = 2
    """How many kinds of jobs there are, each with a reference of its own."""
    kills: int = 2
    """Workers that are killed: two of three once they have jobs with a finished segment, the third
    whatever it does."""
    outages: tuple[float, ...] = (0.5, 4.0)
    """Redis is killed and starts again after so many seconds."""
    pauses: int = 1
    """Workers that are stopped and go on when their leases are gone."""
    duplicates: int = 1
    """How often messages of a few jobs are sent again, some times each."""
    failovers: tuple[float, ...] = (1.5,)
    """Redis is a replica of nobody, which takes no writes, for so many seconds."""
    garbage: int = 1
    """How often messages that nobody can read are put among the others."""
    steps: int = 1
    """How often all times on record are moved by an hour, as if the clock of Redis had been set:
    forwards, backwards, and so on."""
    damaged: int = 1
    """How many jobs besides get records that nobody can read."""
    cancels: int = 0
    """Jobs besides that are cancelled, in every stage in turn."""
    every: float = 2.0
    """Seconds between two of these, on average."""
    patience: float = 900.0
    """Seconds after which a job counts as one that waits for ever."""


@dataclass
class Report:
    """What happened."""

    plan: Plan
    jobs: int = 0
    """More than planned where the farm had ended those before it was disturbed in all ways."""
    kills: int = 0
    outages: int = 0
    pauses: int = 0
    duplicates: int = 0
    failovers: int = 0
    garbage: int = 0
    steps: int = 0
    damaged: int = 0
    cancelled: int = 0
    cancelled_late: int = 0
    """Jobs that had succeeded before they could be cancelled."""
    attempts: int = 0
    frames: int = 0
    resumed: int = 0
    """Frames that the attempts that succeeded found finished."""
    noticed: float = 0.0
    """Seconds from a worker's death, at most, until its jobs were queued again."""
    begun: float = 0.0
    """The same until they were begun again, for which a worker must be free."""
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept, as sentences."""

    def summary(self) -> str:
        """The figures as a line."""
        return (
            f"seed {self.plan.seed}: {self.jobs} jobs on {self.plan.workers} workers, "
            f"{self.kills} kills, {self.outages} outages, {self.pauses} pauses, "
            f"{self.duplicates} duplicated messages, {self.failovers} fail-overs, "
            f"{self.garbage} messages of garbage, {self.steps} steps of the clock, "
            f"{self.damaged} damaged records, {self.cancelled} cancelled "
            f"({self.cancelled_late} too late), {self.attempts} attempts, {self.resumed} of "
            f"{self.frames} frames resumed, jobs of killed workers queued again after at most "
            f"{self.noticed:.1f} s and begun after {self.begun:.1f} s, "
            f"{self.seconds:.0f} s in all; {len(self.broken)} promises broken"
        )
