"""What pages show of files, jobs and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from animator.checks.report import Crop, Finding
from animator.formats import format_of
from animator.jobs.history import LogLine
from animator.jobs.workers import WorkerInfo
from animator.record import JobRecord, JobState
from animator.values import Location
from animator.web.access.callers import Caller
from animator.web.api.reading import upload_of
from animator.web.context import ServerContext
from animator.web.files.uploads import Upload

FILES: tuple[FilePart, ...] = ("source", "driving")
CLEAREST = 8
"""Steps in which a rendering job's picture grows clear."""
CLEAR_FROM = 0.75
"""Share of the frames from which it is quite clear."""
_LARGEST_SHOWN = 20_000_000
"""Bytes of a picture that is shown itself; of a larger one its thumbnail is."""
FilePart = Literal["source", "driving"]


@dataclass(frozen=True)
class FileView:
    """A file that was uploaded.

    Attributes:
        id: of the upload.
        name: as whoever sent it calls it.
        video: whether it can be played.
        drives: whether it can drive a portrait, as videos and motion files can.
        shows: whether it has pictures, as all but motion files have.
        bytes: its size.
        width: in pixels, as it is shown; so is the next one.
        height: in pixels.
        seconds: of a video, if they are known.
        created: when it came: ISO 8601.
        faces: squares around the faces of its thumbnail, the largest first.
        content: path of the file itself.
        thumbnail: path of a small picture of it.
        image: path of the best picture of it that browsers show.
    """

    id: str
    name: str
    video: bool
    drives: bool
    shows: bool
    bytes: int
    width: int
    height: int
    seconds: float | None
    created: str
    faces: tuple[Crop, ...]
    content: str
    thumbnail: str
    image: str


@dataclass(frozen=True)
class PartView:
    """One of the two files of the form.

    Attributes:
        part: which one.
        file: what is chosen; None if nothing is.
        earlier: what can be chosen.
        error: what is wrong, in a sentence.
        findings: what the check says of it.
    """

    part: FilePart
    file: FileView | None
    earlier: Sequence[FileView] = ()
    error: str = ""
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class JobView:
    """A job.

    Attributes:
        record: what is known of it.
        names: of its two files, without their endings.
        files: those of the two that were uploaded and are still here.
        has_result: whether its video can be shown.
        log: the lines of its log.
    """

    record: JobRecord
    names: Mapping[str, str]
    files: Mapping[str, FileView] = field(default_factory=dict)
    has_result: bool = False
    log: Sequence[LogLine] = ()

    @property
    def animation(self) -> bool:
        """Whether its result is an animated picture, which browsers show as any picture."""
        kind = format_of(self.record.spec.output)
        return kind is not None and kind.kind == "animation"

    @property
    def state(self) -> str:
        """Its state, or "stopping" while it runs and is to be cancelled."""
        stopping = self.record.cancel_requested and self.record.state is JobState.RUNNING
        return "stopping" if stopping else self.record.state.value

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.record.state.ended

    @property
    def actions(self) -> tuple[str, ...]:
        """What can be done with it."""
        if not self.ended:
            return () if self.state == "stopping" else ("cancel",)
        return ("delete",) if self.record.state is JobState.SUCCEEDED else ("retry", "delete")

    @property
    def share(self) -> float | None:
        """How much of its frames is rendered, 0 to 1; None where that cannot be told."""
        progress = self.record.progress
        if progress is None or progress.stage != "generate" or not progress.frames:
            return None
        return min(progress.frame / progress.frames, 1.0)

    @property
    def clear(self) -> int:
        """How clear its newest picture is shown, 0 to `CLEAREST`."""
        return min(round((self.share or 0) / CLEAR_FROM * CLEAREST), CLEAREST)


@dataclass(frozen=True)
class WorkerView:
    """A worker, and those of its jobs that may be seen.

    Attributes:
        info: its sign of life.
        jobs: that it works on.
        hidden: how many more there are, of others.
    """

    info: WorkerInfo
    jobs: Sequence[JobView]
    hidden: int = 0

    @property
    def state(self) -> str:
        """What it does: "works", "idle" or "leaving"."""
        return "leaving" if not self.info.consuming else "works" if self.info.jobs else "idle"


def view_file(upload: Upload, root_path: str) -> FileView:
    """What is shown of an upload."""
    facts, here = upload.facts, f"{root_path}/v1/files/{upload.id}"
    video = facts.kind == "video"
    shown = facts.kind == "picture" and upload.media_type.shown and upload.bytes <= _LARGEST_SHOWN
    faces = sorted((face.crop for face in facts.faces), key=lambda crop: -crop.side)
    return FileView(
        id=upload.id,
        name=upload.name,
        video=video,
        drives=facts.kind != "picture",
        shows=facts.kind != "motion",
        bytes=upload.bytes,
        width=facts.width,
        height=facts.height,
        seconds=facts.seconds,
        created=upload.created.isoformat(),
        faces=tuple(faces),
        content=f"{here}/content",
        thumbnail=f"{here}/thumbnail.jpg",
        image=f"{here}/content" if shown else f"{here}/thumbnail.jpg",
    )


def view_job(
    context: ServerContext,
    caller: Caller,
    record: JobRecord,
    root_path: str,
    log: Sequence[LogLine] = (),
) -> JobView:
    """What is shown of a job."""
    files: dict[str, FileView] = {}
    names = _names_by_output(context, record)
    for name in FILES:
        location: Location = getattr(record.spec, name)
        upload = upload_of(context, caller, location)
        if upload is not None:
            files[name] = view_file(upload, root_path)
        called = location.name if upload is None else upload.name
        if upload is not None or name not in names:
            names[name] = stem(called)
    output, has_result = record.spec.output, False
    if record.state is JobState.SUCCEEDED and not output.is_url:
        with suppress(OSError, ValueError):
            has_result = output.path.is_file()
    return JobView(record, names, files, has_result, log)


def view_worker(
    context: ServerContext, caller: Caller, info: WorkerInfo, root_path: str
) -> WorkerView:
    """What is shown of a worker."""
    records = context.client.store.get_many(list(info.jobs))
    seen = [record for record in records if caller.may_see(record.options.owner)]
    jobs = [view_job(context, caller, record, root_path) for record in seen]
    return WorkerView(info, jobs, len(records) - len(seen))


def stem(name: str) -> str:
    """A file's name without its ending."""
    return name.rpartition(".")[0] or name or "?"


def _names_by_output(context: ServerContext, record: JobRecord) -> dict[str, str]:
    """What the inputs were called, by the name of the video that is made of them here."""
    output = record.spec.output
    if output.is_url or not context.results.owns(output.path):
        return {}
    source, between, driving = stem(output.name).partition("--")
    return {"source": source, "driving": driving} if between else {}
