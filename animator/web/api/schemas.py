"""Requests and answers of the API about jobs and the farm, as models that its document shows.

What a client may choose about a job comes from the one table of options (`animator.spec.OPTIONS`),
so an option that is added there is offered here. Answers are those that `--json` of the commands
prints; the models describe them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from animator.errors import CODES
from animator.formats import FormatName
from animator.options import Extra, Kind, Priority, Region
from animator.spec import ENDINGS, OPTIONS, JobSpec
from animator.values import MAX_LOCATION, MAX_WEBHOOK, Location, Option

FILE_ID = r"^[0-9a-z]{20}$"
"""What ids of uploaded files look like."""
JOB_ID = r"^[0-9a-hjkmnp-tv-z]{12}$"
"""What ids of jobs look like."""
_URL = r"^[a-z][a-z0-9+.-]{1,30}://[!-~]{0,4000}[!-.0-~]$"
_NUMBER = r"[0-9]{1,7}(\.[0-9]{1,9})?"
_CLOCK = r"([0-9]{1,4}:)?[0-5]?[0-9]:[0-5]?[0-9](\.[0-9]{1,9})?"
_TIME = rf"^({_NUMBER}|{_CLOCK}|[0-9]{{1,12}}/[1-9][0-9]{{0,11}})$"
_RATE = r"^({}|[0-9]{{1,3}}(\.[0-9]{{1,6}})?|[0-9]{{1,9}}/[1-9][0-9]{{0,8}})$"
_OWN_FILE = r"[1-9][0-9]{0,5}=([0-9a-z]{20}|[a-z][a-z0-9+.-]{1,30}://[!-~]+)"
_REGION = "|".join(get_args(Region))
_PATTERNS: dict[str, str] = {
    "face": rf"^(all;)?{_OWN_FILE}(;{_OWN_FILE})*$",
    "start": _TIME,
    "end": _TIME,
    "fps": _RATE.format("keep"),
    "driving_fps": _RATE.format("auto"),
    "regions": rf"^({_REGION})(,({_REGION})){{0,9}}$",
    "weights": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    "device": r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
    "key": r"^[!-~]{1,200}$",
    "webhook": r"^[hH][tT][tT][pP][sS]?://[!\x22$-.0->A-\[\]-~]+([/?][!-~]*)?$",
}
"""What texts look like; `JobSpec` and `JobOptions` look closer."""
_HELP = {
    "weights": "A name from `GET /v1/weights`; default for those that are shipped.",
    "start": "Begin here in the driving video: 12.5 (seconds), 1:02.5 or a ratio such as 1001/30.",
    "audio": "The sound: the driving video's, none, or that of another file: the id of an "
    "uploaded video, or a URL that the settings allow.",
    "face": "Which face where there are several: largest, the N-th from the left, all, or N=ID for "
    "each with a driving file of its own (an uploaded file or a URL), parted by semicolons. The "
    "last two show the whole picture.",
    "key": "Submit once: a job of yours that has this key is answered instead. auto makes a key "
    "of the content of both files, the options and the weights.",
}
"""Where the table speaks to somebody at a terminal."""
_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_MOST_TEXT = 4096
_MOST_FACES = 1_000_000
_LEFT_OUT = "It is left out where face names a file for each face."
_NOT_OFFERED = ("source", "driving", "output", "source_pose")

FileId = Annotated[str, Field(pattern=FILE_ID, title="File id")]
FileUrl = Annotated[str, Field(pattern=_URL, max_length=MAX_LOCATION, title="URL")]


class Strict(BaseModel):
    """A model that takes nothing else for what it asks for, and no more than it asks for."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Plain(BaseModel):
    """A model of an answer."""

    model_config = ConfigDict(extra="forbid")


# What a client asks for


def _whole(value: Any) -> Any:
    """A number as JSON means it, to which 1.0 is a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)


def _limited(item: Option, hint: Any) -> Any:
    """An option's annotation with what is known of its values."""
    if get_origin(hint) is Literal:
        return hint
    # A union, such as a name or a number: its parts.
    if get_args(hint):
        return Union[tuple(_limited(item, part) for part in get_args(hint))]  # noqa: UP007
    if item.name == "audio":
        return Literal["driving", "none"] | FileId | FileUrl
    if hint is str:
        longest = MAX_WEBHOOK if item.name == "webhook" else _MOST_TEXT
        return Annotated[str, Field(pattern=_PATTERNS.get(item.name), max_length=longest)]
    if item.kind == "number":
        step = item.step if item.step != 1 else None
        limits = Field(ge=item.minimum, le=item.maximum, multiple_of=step)
        return Annotated[int, limits, _WHOLE] if hint is int else Annotated[hint, limits]
    # The number of a face, or another that stands beside a word.
    low = 1 if item.minimum is None else int(item.minimum)
    high = _MOST_FACES if item.maximum is None else int(item.maximum)
    limits = Field(ge=low, le=high, multiple_of=item.step)
    return Annotated[int, limits, _WHOLE] if hint is int else hint


def _offered() -> dict[str, Any]:
    """The fields of a request, from the table and in its order."""
    given: dict[str, Any] = {
        "source": (FileId | FileUrl, Field(description=_about_file(OPTIONS["source"]))),
        "driving": (
            FileId | FileUrl | None,
            Field(default=None, description=f"{_about_file(OPTIONS['driving'])} {_LEFT_OUT}"),
        ),
    }
    for item in OPTIONS.values():
        if item.name not in _NOT_OFFERED:
            about = Field(default=item.default, description=_HELP.get(item.name, item.help))
            given[item.name] = (_limited(item, item.type), about)
    given["format"] = (
        FormatName,
        Field(default="mp4", description="What the result is written as."),
    )
    given["measure"] = (bool, Field(default=False, description="Measure the result's quality."))
    given["extras"] = (
        list[Extra],
        Field(
            default_factory=list,
            max_length=len(get_args(Extra)),
            description="What is written beside the video: " + ", ".join(get_args(Extra)) + ".",
            json_schema_extra={"uniqueItems": True},
        ),
    )
    return given


def _about_file(item: Option) -> str:
    return f"{item.help} The id of an uploaded file, or a URL that the settings allow."


NewJob: type[Strict] = create_model(
    "NewJob",
    __base__=Strict,
    __doc__="A job to be submitted: two files, and how they are animated.",
    **_offered(),
)


def read_form(texts: Mapping[str, list[str]]) -> dict[str, Any]:
    """What the fields of a form say, as values that `NewJob` looks at; empty ones count as unset.

    Args:
        texts: the values of each field. Of fields that may be given once, all but the last are
            left out.
    """
    values: dict[str, Any] = {}
    for name, given in texts.items():
        filled = [text for text in given if text]
        if name == "extras":
            values[name] = [part for text in filled for part in re.split(r"[\s,]+", text) if part]
        elif filled:
            values[name] = _value(name, filled[-1])
    return values


def _value(name: str, text: str) -> Any:
    """One field's value; a text that cannot be one of its kind is left for the model to refuse."""
    item = OPTIONS.get(name)
    flags = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if name == "measure" or (item is not None and item.kind == "flag"):
        return flags.get(text, text)
    numeric = item is not None and (item.kind == "number" or int in get_args(item.type))
    if numeric and re.fullmatch(r"-?[0-9]{1,12}", text, re.ASCII):
        return int(text)
    if numeric and _DECIMAL.fullmatch(text):
        return float(text)
    return text


# What is answered about jobs


def _spec_fields() -> dict[str, Any]:
    """The specification of a record, as `JobSpec.as_dict` has it."""
    hints = get_type_hints(JobSpec)
    plain: dict[str, Any] = {"extras": list[Extra]}
    names = [item.name for item in fields(JobSpec)]
    return {
        name: (plain.get(name, str if hints[name] is Location else hints[name]), ...)
        for name in (*_NOT_OFFERED, *(name for name in names if name not in _NOT_OFFERED))
    }


Spec: type[Plain] = create_model(
    "Spec", __base__=Plain, __doc__="What is animated, and how.", **_spec_fields()
)
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Code = Annotated[str, Field(json_schema_extra={"enum": list(CODES)})]
Moment = Annotated[
    str, Field(description="UTC, ISO 8601.", examples=["2026-03-01T12:30:00.000+00:00"])
]
Path = Annotated[str, Field(description="A path on this server.")]


class Progress(Plain):
    """How far a running job is."""

    stage: str = Field(description="What is at work, such as landmarks or generate.")
    frame: int = Field(description="Frames of this stage that are done.")
    frames: int | None = Field(description="Frames of this stage in all, where that is known.")
    fps: float = Field(description="Frames of this stage per second, lately.")
    eta: float | None = Field(description="Seconds until the job ends, as far as can be told.")


class Failure(Plain):
    """Why a job failed."""

    code: str = Field(description="A stable code of docs/errors.md.")
    message: str = Field(description="A sentence for a person.")
    retryable: bool = Field(description="Whether it can succeed later with the same inputs.")


class Links(Plain):
    """Where the rest of a job is."""

    self: Path
    events: Path
    logs: Path
    cancel: Path
    retry: Path
    result: Path
    extras: dict[str, Path] = Field(description="What is written beside the video, by name.")
    preview: Path
    poster: Path
    driving: Path


class Files(Plain):
    """The uploads that a job is made of; null for what is no upload."""

    source: str | None
    driving: str | None


class Job(Plain):
    """A job: its record as `animator status --json` prints it, and links."""

    id: str = Field(pattern=JOB_ID)
    state: State
    output: str = Field(description="Where the video is written.")
    progress: Progress | None
    error: Failure | None
    attempt: int = Field(ge=0, description="How often a worker has begun it.")
    priority: Priority
    key: str | None
    webhook: str | None
    owner: str = Field(description="Name of the token that submitted it; empty without one.")
    suspect: bool = Field(description="Whether it runs in a process of its own from now on.")
    crashes: int
    lease: float | None = Field(description="Seconds until its worker counts as dead.")
    resumed: int = Field(description="Frames that this attempt took over from an earlier one.")
    created: Moment
    started: Moment | None
    finished: Moment | None
    worker: str | None
    version: str
    frames: int | None = Field(description="Frames of the video; so on for what follows.")
    seconds: float | None = Field(description="Seconds that the work took.")
    fps: float | None
    timings: dict[str, float] = Field(description="Seconds by stage.")
    warnings: list[str] = Field(description="Sentences that a person should read.")
    missing: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="Runs of driving frames without a face: first and last frame of each."
    )
    hashes: dict[str, str] = Field(description="SHA-256 of the inputs, by name.")
    weights: str | None
    cached: list[str]
    quality: dict[str, float]
    spec: Spec  # type: ignore[valid-type]
    files: Files
    links: Links


class JobPage(Plain):
    """Some jobs, the newest first."""

    items: list[Job]
    next: str | None = Field(
        description="The cursor of the page after this one; null on the last. A page may have "
        "fewer jobs than were asked for and yet not be the last."
    )


class LogLine(Plain):
    """A line of a job's log."""

    time: str = Field(description="UTC, ISO 8601.")
    worker: str = Field(description="Whose line it is; empty for what no worker did.")
    text: str


class News(Plain):
    """The data of an event: how a job is. What is not known is null."""

    job: str = Field(pattern=JOB_ID)
    state: State
    attempt: int
    time: Moment
    stage: str | None
    frame: int | None
    frames: int | None
    fps: float | None
    eta: float | None
    error: str | None = Field(description="Why it failed, a code of docs/errors.md.")


# What is answered about the farm


class Rate(Plain):
    """What ended in a minute, on average."""

    jobs: float
    frames: float


class Queue(Plain):
    """The queue at one moment, as `animator queue --json` prints it."""

    queued: int
    running: int
    depth: dict[Priority, int] = Field(description="Queued jobs by priority.")
    kinds: dict[Kind, int] = Field(description="Queued jobs by the workers that can run them.")
    oldest: Moment | None = Field(description="When the oldest queued job was submitted.")
    workers: int = Field(description="Workers that take jobs.")
    slots: int = Field(description="Jobs that these can run at once.")
    rates: dict[str, Rate] = Field(description="By minutes: over the last 1, 10 and 60.")
    eta: float | None = Field(description="Seconds until the last job has ended, if known.")


class Worker(Plain):
    """A worker's last sign of life, as `animator workers --json` prints it."""

    id: str
    host: str
    pid: int
    consuming: bool = Field(description="Whether it takes new jobs.")
    version: str
    device: str = Field(description="cpu or cuda:N; empty until that is known.")
    device_name: str
    kind: str
    jobs: list[str] = Field(description="Ids of those of your jobs that it runs.")
    fps: float
    memory_mb: float
    queues: list[str]
    slots: int
    since: Moment


class Weights(Plain):
    """An entry of the library, as `animator weights list --json` prints it, without its path."""

    name: str
    kind: str
    purpose: str
    parameters: int
    size: int = Field(description="In bytes.")
    sha256: str | None
    source_file: str | None
    source_sha256: str | None
    imported: str | None
    problem: str | None = Field(description="Why it cannot be used, if so.")


class Health(Plain):
    """That the server answers, and whether jobs will be done."""

    status: Literal["alive", "ready"]


EXTRA_NAMES = tuple(ENDINGS)
"""What may lie beside a video."""
