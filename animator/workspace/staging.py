"""Jobs whose files lie elsewhere: inputs are brought to this machine, outputs are taken from it.

A job whose output is a URL makes its video, and what belongs to it, in a folder of its own (its
outbox), which two jobs of one URL do not share, and where its segments lie, too:

    outbox/DIGEST/NAME.mp4   NAME.landmarks.npz   .NAME.mp4.JOB.parts/

When all is done, what belongs to the video is uploaded first, then the video, and last, if asked
for, `NAME.result.json`: who finds that one finds the others.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from animator.errors import AnimatorError
from animator.files.cache import cached_input
from animator.files.output import coded_errors, write_whole
from animator.files.private import private_folder
from animator.files.remote import polled
from animator.files.storage import Storage
from animator.files.urls import check_url
from animator.record import Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location, is_url
from animator.workspace import shared
from animator.workspace.attempt import Workspace, appeared

FORGOTTEN_SECONDS = 7 * 86_400.0
"""After this time what a job left on this machine is removed, should it have gone on elsewhere."""

Check = Callable[[], object]


def local_output(output: Location, job_id: str, settings: Settings) -> Path:
    """Where a job writes its video on this machine: the output itself unless that is a URL."""
    if not output.is_url:
        return output.path
    return _outbox(settings) / _digest(f"{output} {job_id}") / output.name


def open_output(output: Location, job_id: str, settings: Settings) -> Path:
    """As `local_output`; for a URL, the folder is there afterwards.

    Raises:
        AnimatorError: `url_refused`, `output_not_writable`, `disk_full`.
    """
    path = local_output(output, job_id, settings)
    if output.is_url:
        check_url(output, settings)
        with coded_errors(path):
            private_folder(path.parent)
            # So that another job does not take it for forgotten.
            os.utime(path.parent)
        _forget_old(_outbox(settings))
    return path


def discard(output: Location, job_id: str, settings: Settings) -> None:
    """Remove what a job that has ended left behind, its output excepted."""
    path = local_output(output, job_id, settings)
    Workspace.discard(path, job_id)
    close_output(output, job_id, settings)
    if shares_segments(output, settings):
        shared.discard(job_id, settings)


def shares_segments(output: Location, settings: Settings) -> bool:
    """Whether the segments of a job are of one machine and there is storage for all."""
    return output.is_url and settings.storage is not None


def close_output(output: Location, job_id: str, settings: Settings) -> None:
    """Remove the folder that stands for a URL, unless an attempt keeps segments there."""
    if not output.is_url:
        return
    folder = local_output(output, job_id, settings).parent
    if not _attempts(folder):
        shutil.rmtree(folder, ignore_errors=True)


def result_name(output: Location) -> str:
    """The name of the file that holds the result of a video, beside it."""
    return f"{PurePosixPath(output.name).stem}.result.json"


@contextmanager
def stage(
    spec: JobSpec,
    settings: Settings,
    check: Check = lambda: None,
    *,
    job_id: str | None = None,
    replaces: bool = True,
) -> Iterator[Staged]:
    """Bring a job's inputs to this machine for as long as the block runs.

    Args:
        spec: the job.
        settings: which URLs are allowed, and where files are kept.
        check: called a few times a second while files are on their way; it may raise, such as
            `JobCancelled`.
        job_id: the job; None for one that nobody else knows of.
        replaces: whether a remote output may replace a file.

    Raises:
        AnimatorError: as `animator.files.cache.cached_input` and `open_output`. Those that the
            block raises name the URLs instead of the files that stand for them. Whether the
            block succeeds or not, nothing of a remote output is left here but segments.
    """
    job_id = job_id or secrets.token_hex(6)
    # What may not be read is refused before anything is fetched.
    for location in spec.inputs.values():
        if location.is_url:
            check_url(location, settings)
    with ExitStack() as stack:
        # First in, last out: the outbox goes when the inputs are released.
        stack.callback(close_output, spec.output, job_id, settings)
        place = str(open_output(spec.output, job_id, settings))
        if spec.output.endswith("/"):
            place += "/"  # which says that it is a folder
        brought = {
            name: _brought(stack, location, settings, check)
            for name, location in spec.inputs.items()
        }
        here = replace(
            spec,
            output=Location(place),
            audio=brought.get("audio", spec.audio),
            source_pose=brought.get("pose", spec.source_pose),
            source=brought["source"],
            driving=brought["driving"],
            face=spec.face_by_name(brought),
        )
        staged = Staged(spec, here, settings, check, replaces)
        try:
            yield staged
        except AnimatorError as error:
            # The user knows the URLs, not the files that stand for them here.
            message = staged.said(error.message)
            if message == error.message:
                raise
            raise AnimatorError(error.code, message, retryable=error.retryable) from error


@dataclass(frozen=True)
class Staged:
    """A job whose files are on this machine.

    Attributes:
        original: the job as it was asked for.
        spec: the job with paths only.
        replaces: whether a remote output may replace a file.
    """

    original: JobSpec
    spec: JobSpec
    settings: Settings
    check: Check
    replaces: bool = True

    def deliver(self, result: Result) -> Result:
        """Take what the job made to where it was asked for.

        An upload that has begun is waited for, whatever `check` raises; before the next, it is
        raised.

        Returns:
            The result with the output that was asked for.

        Raises:
            AnimatorError: `storage_unavailable`, `output_not_writable`, `disk_full`.
        """
        result = replace(
            result,
            output=self.original.output,
            warnings=tuple(self.said(warning) for warning in result.warnings),
        )
        content = result.to_json().encode() + b"\n"
        name, video = result_name(self.original.output), Path(self.spec.output)
        if self.uploads:
            self._upload(video, name, content)
        elif self.original.keep_result:
            write_whole(video.parent / name, content)
        return result

    def check_free(self) -> None:
        """Look whether a file has appeared where a remote output goes, which may not be replaced.

        Not every store can be told to put a file only where there is none; so shortly before.

        Raises:
            AnimatorError: `output_exists`, or `storage_unavailable`.
        """
        output = self.original.output
        if self.uploads and not self.replaces:
            if Storage.open(output.folder, self.settings).info(output.name) is not None:
                raise appeared(output)

    @property
    def uploads(self) -> bool:
        """Whether the output is elsewhere."""
        return self.original.output.is_url

    def _upload(self, video: Path, name: str, content: bytes) -> None:
        store = Storage.open(self.original.output.folder, self.settings)
        paths = [*_side_files(video), video]
        # An upload that has begun is finished, so that no half file is left in the store.
        for path in paths:
            self.check()
            put = partial(store.put, path.relative_to(video.parent).as_posix(), path)
            polled(put, self.check, finish=True)
        # The result last: who finds it finds all the others.
        if self.original.keep_result:
            polled(partial(store.write, name, content), self.check, finish=True)
        for path in paths:
            path.unlink(missing_ok=True)

    def said(self, text: str) -> str:
        """A sentence with the URLs instead of the files that stand for them."""
        stand_ins = []
        for path, url in zip(_named(self.spec), _named(self.original), strict=True):
            if is_url(url):
                stand_ins.append((path, url))
        if self.uploads:
            stand_ins.append((self.spec.output.folder, self.original.output.folder))
        for path, url in stand_ins:
            # Messages quote paths as Python does.
            text = text.replace(repr(path)[1:-1], url).replace(path, url)
        return text


def _named(spec: JobSpec) -> list[str]:
    """All places that a job names, in an order that does not depend on which of them are one."""
    own = [file for _, file in spec.faces.files]
    return [spec.source, spec.driving, spec.output, spec.audio, spec.source_pose, *own]


def _brought(stack: ExitStack, location: Location, settings: Settings, check: Check) -> Location:
    if not location.is_url:
        return Location(location.path)
    return Location(stack.enter_context(cached_input(location, settings, check)))


def _outbox(settings: Settings) -> Path:
    return settings.state_dir / "outbox"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def _side_files(video: Path) -> list[Path]:
    """What was made beside a video in its outbox; what is hidden is not finished."""
    found = []
    for folder, folders, names in os.walk(video.parent):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path != video)


def _attempts(folder: Path) -> list[Path]:
    """The folders of jobs that write into a folder."""
    with suppress(OSError):
        return [path for path in folder.iterdir() if path.name.endswith(".parts")]
    return []


def _forget_old(outbox: Path) -> None:
    before = time.time() - FORGOTTEN_SECONDS
    with suppress(OSError):
        for folder in outbox.iterdir():
            if folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)
