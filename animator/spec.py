"""What a job is: its specification, its states, its progress, its result and its record.

Everything here is plain data that travels as JSON between the command, the store and the workers.
Nothing heavy is imported, so a command that only looks at jobs answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from animator.errors import AnimatorError
from animator.values import (
    DEVICE,
    check_choice,
    check_key,
    check_location,
    check_path,
    check_webhook,
    is_weights_name,
    load_fields,
    load_object,
    parse_time,
    refuse,
)

Motion = Literal["relative", "absolute"]
Anchor = Literal["first", "auto"]
MissingFace = Literal["hold", "interpolate", "skip", "fail"]
OutputMode = Literal["crop", "paste-back", "side-by-side"]
Detector = Literal["auto", "dlib", "face-alignment"]
Precision = Literal["auto", "float32", "bfloat16"]
Face = Literal["largest"] | int
Extra = Literal["landmarks", "structures", "flows", "frames"]
Priority = Literal["high", "normal", "low"]
Kind = Literal["any", "cpu", "cuda"]

MIN_SIZE, MAX_SIZE = 128, 1024


@dataclass(frozen=True)
class JobSpec:
    """What to animate, with what, to where and how. Every value is checked when it is made.

    Raises:
        AnimatorError: `invalid_option`, saying what was got and what is allowed.
    """

    source: str
    """The portrait: absolute path or URL of a picture (or of a video, whose first frame is
    taken)."""
    driving: str
    """The video whose motion is taken: absolute path or URL."""
    output: str
    """Where the video is written: absolute path or URL."""
    start: str | None = None
    """Where in the driving video to begin, as `parse_time` reads it; None is its beginning."""
    end: str | None = None
    """Where in the driving video to end (this moment excluded); None is its end."""
    face: Face = "largest"
    """Which face of the source and of the driving video: "largest", or its number from 1."""
    motion: Motion = "relative"
    """"relative": the driving motion on the source's own face shape; "absolute": the driving
    face's shape, too."""
    anchor: Anchor = "auto"
    """The driving frame that counts as the source's own pose: the "first", or the nearest one."""
    smoothing: float = 0.5
    """How strongly jitter of the landmarks is smoothed: 0 (not at all) to 1."""
    missing_face: MissingFace = "hold"
    """What happens to driving frames without a face."""
    output_mode: OutputMode = "crop"
    """What a frame of the result shows."""
    size: int = 256
    """Side of the animated square in pixels."""
    detector: Detector = "auto"
    """Which landmark detector to use."""
    device: str = "auto"
    """Where the networks run: "auto", "cpu", "cuda" or "cuda:N"."""
    precision: Precision = "auto"
    """Arithmetic of the networks."""
    weights: str = "default"
    """The checkpoint: "default" for the one that is shipped, a name in the weights library, or an
    absolute path. A name travels as a name: every machine looks it up in its own library."""
    measure: bool = False
    """Whether the quality of the result is measured; see `animator.animation.quality`."""
    extras: tuple[Extra, ...] = ()
    """What is written beside the video, under its name with other endings; see
    `animator.animation.extras`."""
    keep_result: bool = False
    """Whether the result is also written beside the video, after it, as `NAME.result.json`."""

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("source", "driving", "output"):
            check_location(name, getattr(self, name))
        if not (isinstance(self.weights, str) and is_weights_name(self.weights)):
            check_path("weights", self.weights, "default, a name of weights, or an absolute path")
        check_choice("motion", self.motion, Motion)
        check_choice("anchor", self.anchor, Anchor)
        check_choice("missing_face", self.missing_face, MissingFace)
        check_choice("output_mode", self.output_mode, OutputMode)
        check_choice("detector", self.detector, Detector)
        check_choice("precision", self.precision, Precision)
        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise refuse("device", self.device, "auto, cpu, cuda, cuda:N")
        for name in ("measure", "keep_result"):
            if not isinstance(getattr(self, name), bool):
                raise refuse(name, getattr(self, name), "true or false")
        if not isinstance(self.extras, tuple) or len(set(self.extras)) != len(self.extras):
            raise refuse("extras", self.extras, "a list of different names")
        for extra in self.extras:
            check_choice("extras", extra, Extra)
        self._check_numbers()
        self._check_times()

    def _check_numbers(self) -> None:
        number = type(self.face) is int and self.face >= 1
        if self.face != "largest" and not number:
            raise refuse("face", self.face, "largest, or the number of a face from 1")
        smoothing = self.smoothing
        if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)):
            raise refuse("smoothing", smoothing, "a number from 0 to 1")
        if not 0 <= smoothing <= 1:  # also refuses NaN
            raise refuse("smoothing", smoothing, "a number from 0 to 1")
        if type(self.size) is not int or self.size % 2 or not MIN_SIZE <= self.size <= MAX_SIZE:
            raise refuse("size", self.size, f"an even number from {MIN_SIZE} to {MAX_SIZE}")

    def _check_times(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise refuse(name, value, "a time such as 12.5 or 1:02.5, as text")
        start, end = self.start_seconds, self.end_seconds
        if end is not None and end <= (start or 0):
            raise refuse("end", self.end, f"a time after the start ({self.start or 0})")

    @property
    def start_seconds(self) -> Fraction | None:
        """The start, exactly, in seconds from the driving video's first frame."""
        return None if self.start is None else parse_time(self.start)

    @property
    def end_seconds(self) -> Fraction | None:
        """The end, exactly, in seconds from the driving video's first frame."""
        return None if self.end is None else parse_time(self.end)

    @property
    def kind(self) -> Kind:
        """Which workers can run it: those with a GPU, those without, or any."""
        if self.device == "auto":
            return "any"
        return "cpu" if self.device == "cpu" else "cuda"

    def to_json(self) -> str:
        """The specification as one line of ASCII JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> JobSpec:
        """The specification from JSON; unknown and missing names are refused.

        Raises:
            AnimatorError: `invalid_option`.
        """
        values = load_object(text, "job specification")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise AnimatorError(
                "invalid_option",
                f"Unknown name in the job specification: {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known))}.",
            )
        if missing := [name for name in ("source", "driving", "output") if name not in values]:
            raise AnimatorError(
                "invalid_option", f"Missing in the job specification: {', '.join(missing)}."
            )
        if isinstance(values.get("extras"), list):
            values["extras"] = tuple(values["extras"])
        return cls(**values)


@dataclass(frozen=True)
class JobOptions:
    """How a job is treated by the farm; what it makes is the specification's.

    Raises:
        AnimatorError: `invalid_option`.
    """

    priority: Priority = "normal"
    """Jobs of a higher priority are begun first and get more of a shared device."""
    key: str | None = None
    """A name of the submitter's choice: submitting the same key again gives the job that is
    there."""
    webhook: str | None = None
    """An address that is told when the job has ended."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("priority", self.priority, Priority)
        if self.key is not None:
            check_key(self.key)
        if self.webhook is not None:
            check_webhook(self.webhook)

    def to_json(self) -> str:
        """The options as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> JobOptions:
        """The options from JSON."""
        return cls(**load_fields(cls, text, "options of a job"))


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
    """Runs of driving frames without a face: first and last frame of each."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the inputs, by name."""
    weights: str = ""
    """Which weights made the video."""
    resumed: int = 0
    """Frames that an earlier attempt had finished and this one did not render again."""
    cached: tuple[str, ...] = ()
    """Inputs whose landmarks another job had extracted: "source", "driving"."""
    quality: Mapping[str, float] = field(default_factory=dict)
    """Measures of the result by name, if they were asked for; see `animator.animation.quality`."""

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
            "id": self.id,
            "state": self.state.value,
            "output": self.spec.output,
            "progress": None if self.progress is None else asdict(self.progress),
            "error": None if self.error is None else asdict(self.error),
            "attempt": self.attempt,
            "priority": self.options.priority,
            "key": self.options.key,
            "webhook": self.options.webhook,
            "suspect": self.suspect,
            "crashes": self.crashes,
            "lease": self.lease,
            "resumed": self.resumed,
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "worker": self.worker,
            "version": self.version,
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
            "spec": asdict(self.spec),
        }


ENDINGS: dict[Extra, str] = {
    "landmarks": ".landmarks.npz",
    "structures": ".structures.npz",
    "flows": ".flows.npz",
    "frames": ".frames.tar",
}
"""What takes the place of the video's own ending."""


def extra_files(output: str | Path, extras: Iterable[Extra]) -> dict[Extra, Path]:
    """The files beside a video: `out.mp4` has its landmarks in `out.landmarks.npz`."""
    video = Path(output)
    return {extra: video.with_name(video.stem + ENDINGS[extra]) for extra in extras}
