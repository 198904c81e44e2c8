"""Job records as plain data: state, progress, result and error of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from animator.errors import AnimatorError
from animator.spec import JobOptions, JobSpec
from animator.values import (
    load_fields,
)


class JobState(StrEnum):
    """The life of a job. A job ends in exactly one of the last three."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """How far a running job is."""

    stage: str
    """The stage that is at work, such as "landmarks" or "generate"."""
    frame: int = 0
    """Frames of this stage that are done."""
    frames: int | None = None
    """Frames of this stage in all; None where the container does not say."""
    fps: float = 0.0
    """Frames of this stage per second, lately."""
    eta: float | None = None
    """Seconds until the job ends, as far as can be told."""

    def to_json(self) -> str:
        """The progress as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Progress:
        """The progress from JSON."""
        return cls(**load_fields(cls, text, "progress"))


@dataclass(frozen=True)
class Result:
    """What a finished animation was."""

    output: str
    """Absolute path of the video."""
    frames: int
    """Frames in the video."""
    seconds: float
    """Seconds that the work took."""
    fps: float
    """Frames per second of work, everything included."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    warnings: tuple[str, ...] = ()
    """Sentences that a person should read, such as which of several faces was taken."""
    missing: tuple[tuple[int, int], ...] = ()
    """Runs of driving frames without a face: first and last frame of each; of several driving
    videos, those of the longest."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the inputs, by name."""
    weights: str = ""
    """Which weights made the video."""
    resumed: int = 0
    """Frames that an earlier attempt had finished and this one did not render again."""
    cached: tuple[str, ...] = ()
    """Inputs whose landmarks another job had extracted: "source", "driving", "driving 2"."""
    quality: Mapping[str, float] = field(default_factory=dict)
    """Measures of the result by name, if asked for; see `animator.animation.faces.quality`."""

    def to_json(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Result:
        """The result from JSON."""
        values = load_fields(cls, text, "result")
        values["warnings"] = tuple(values.get("warnings", ()))
        values["missing"] = tuple((first, last) for first, last in values.get("missing", ()))
        values["cached"] = tuple(values.get("cached", ()))
        return cls(**values)


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    code: str
    """One of `animator.errors.CODES`."""
    message: str
    """A sentence for a person."""
    retryable: bool = False
    """Whether the same job can succeed later without a change to its inputs."""

    @classmethod
    def of(cls, error: AnimatorError) -> JobError:
        """The record's form of an error."""
        return cls(error.code, error.message, error.retryable)

    def to_json(self) -> str:
        """The error as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> JobError:
        """The error from JSON."""
        return cls(**load_fields(cls, text, "error"))


@dataclass(frozen=True)
class JobRecord:
    """Everything that is known about a job; a snapshot of what the store holds."""

    id: str
    spec: JobSpec
    state: JobState
    created: str
    """When it was submitted: UTC, ISO 8601."""
    version: str
    """Version of the animator that ran it last; before that, of the one that submitted it."""
    attempt: int = 0
    """How often a worker has begun it. Also fences: only the latest attempt may change the job."""
    progress: Progress | None = None
    error: JobError | None = None
    result: Result | None = None
    started: str | None = None
    finished: str | None = None
    worker: str | None = None
    """The worker that runs it or ran it last."""
    cancel_requested: bool = False
    """Whether someone asked the running job to stop."""
    options: JobOptions = JobOptions()
    suspect: bool = False
    """Whether a worker died with it or because of it: it is then run in a process of its own."""
    crashes: int = 0
    """How many processes of its own died while they ran it."""
    lease: float | None = None
    """Seconds until its worker counts as dead unless it is heard of; None while nobody runs it."""
    resumed: int = 0
    """Frames that the present attempt took over from an earlier one."""

    def as_dict(self) -> dict[str, Any]:
        """The record for `--json`: plain values, the most asked for first."""
        result = self.result
        return {
            # How it is going
            "id": self.id,
            "state": self.state.value,
            "output": self.spec.output,
            "progress": None if self.progress is None else asdict(self.progress),
            "error": None if self.error is None else asdict(self.error),
            "attempt": self.attempt,
            "priority": self.options.priority,
            "key": self.options.key,
            "webhook": self.options.webhook,
            "owner": self.options.owner,
            "suspect": self.suspect,
            "crashes": self.crashes,
            "lease": self.lease,
            "resumed": self.resumed,
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "worker": self.worker,
            "version": self.version,
            # What came of it
            "frames": None if result is None else result.frames,
            "seconds": None if result is None else result.seconds,
            "fps": None if result is None else result.fps,
            "timings": {} if result is None else dict(result.timings),
            "warnings": [] if result is None else list(result.warnings),
            "missing": [] if result is None else [list(run) for run in result.missing],
            "hashes": {} if result is None else dict(result.hashes),
            "weights": None if result is None else result.weights,
            "cached": [] if result is None else list(result.cached),
            "quality": {} if result is None else dict(result.quality),
            "spec": self.spec.as_dict(),
        }
