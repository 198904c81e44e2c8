"""What pages show of files, jobs and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from animator.jobs.history import LogLine
from animator.jobs.workers import WorkerInfo
from animator.spec import JobRecord, JobState
from animator.values import Location

CLEAREST = 8
"""Steps in which a rendering job's picture grows clear."""
_CLEAR_FROM = 0.75
"""Share of the frames from which it is quite clear."""
FilePart = Literal["source", "driving"]


@dataclass(frozen=True)
class Box:
    """A square around a face, in pixels of its picture."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class FileView:
    """A file that was uploaded.

    Attributes:
        id: of the upload.
        name: as whoever sent it calls it.
        video: whether it moves.
        bytes: its size.
        width: in pixels, as it is shown; 0 if unknown; so is the next one.
        height: in pixels.
        seconds: of a video, if they are known.
        created: when it came: ISO 8601.
        faces: squares around the faces that were found in its first picture.
        content: path of the file itself.
        thumbnail: path of a small picture of it.
    """

    id: str
    name: str
    video: bool
    bytes: int
    width: int
    height: int
    seconds: float | None
    created: str
    faces: tuple[Box, ...]
    content: str
    thumbnail: str


@dataclass(frozen=True)
class FindingView:
    """What a check found, in words of the page."""

    level: str
    about: str
    message: str
    advice: str = ""


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
    findings: Sequence[FindingView] = ()


@dataclass(frozen=True)
class JobView:
    """A job.

    Attributes:
        record: what is known of it.
        names: of its two files.
        paths: of what it answers with: self, events, result, preview, poster, and whatever the
            API's links have.
        files: of its two files, those that are still here.
        has_result: whether its video can be shown.
    """

    record: JobRecord
    names: Mapping[str, str]
    paths: Mapping[str, str]
    files: Mapping[str, FileView] = field(default_factory=dict)
    has_result: bool = False
    log: Sequence[LogLine] = ()

    @property
    def state(self) -> str:
        """Its state, or "stopping" while it is to be cancelled."""
        record = self.record
        stopping = record.cancel_requested and record.state is JobState.RUNNING
        return "stopping" if stopping else record.state.value

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
        if self.record.state is JobState.SUCCEEDED:
            return CLEAREST
        return min(round((self.share or 0) / _CLEAR_FROM * CLEAREST), CLEAREST)

    @property
    def changed(self) -> dict[str, Any]:
        """Options that are not as by default."""
        from animator.web.forms import OPTIONS, option_names

        values = {**vars(self.record.spec), **vars(self.record.options)}
        return {
            name: values[name] for name in option_names() if values[name] != OPTIONS[name].default
        }


@dataclass(frozen=True)
class WorkerView:
    """A worker, and those of its jobs that may be seen."""

    info: WorkerInfo
    jobs: Sequence[JobView]
    hidden: int = 0
    """How many of its jobs are others'."""

    @property
    def state(self) -> str:
        """What it does: "works", "idle" or "leaving"."""
        return "leaving" if not self.info.consuming else "works" if self.info.jobs else "idle"


def stem(location: Location) -> str:
    """The name of a file without its ending, for a job that was submitted elsewhere."""
    name = location.name.partition("?")[0]
    return name.rpartition(".")[0] or name or str(location)
