"""`animator fetch`: copy the videos of jobs that succeeded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from animator.cli.console import absolute, print_json, print_path
from animator.cli.farm.ids import find_jobs
from animator.errors import AnimatorError
from animator.files.local import check_location
from animator.jobs.queue import open_store
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.values import Location

_CHUNK = 1 << 20


def fetch_jobs(given: Sequence[str], target: str | None, *, force: bool, as_json: bool) -> None:
    """Copy the videos of jobs; all mistakes are found before the first is copied.

    Args:
        given: ids of jobs.
        target: a file for one job, or a folder; None is the present folder.
        force: whether files may be replaced.
        as_json: print an array of what was copied where.

    Raises:
        AnimatorError: `no_such_job`, `wrong_state`, `no_such_file`, `output_exists`,
            `output_exists_as_folder`, `output_not_writable`, `disk_full`, `url_refused`,
            `storage_unavailable`.
    """
    settings = Settings.from_environment()
    records = find_jobs(open_store(settings), given)
    videos = [_video(record, settings) for record in records]
    if target is not None and target.endswith(os.sep):
        _make_folder(Path(absolute(target)))
    copies = [_destination(video, target, len(videos)) for video in videos]
    for number, (video, copy) in enumerate(zip(videos, copies, strict=True)):
        if copy in copies[:number]:
            raise AnimatorError(
                "output_exists",
                f"Two of the jobs made a {copy.name!r}; fetch one of them alone, with -o FILE.",
            )
        if not force and os.path.lexists(copy) and not _same(video, copy):
            raise AnimatorError("output_exists", f"{str(copy)!r} exists; --force replaces it.")
    done = []
    for record, video, copy in zip(records, videos, copies, strict=True):
        if not _same(video, copy):
            _copy(video, copy, settings)
        done.append({"id": record.id, "source": video, "output": str(copy)})
        if not as_json:
            print_path(str(copy))
    if as_json:
        print_json(done)


def _video(record: JobRecord, settings: Settings) -> Location:
    """The video of a job, which this machine can read: a path or a URL."""
    if record.state is not JobState.SUCCEEDED:
        why = "" if record.error is None else f" [{record.error.code}]"
        raise AnimatorError(
            "wrong_state",
            f"Job {record.id} is {record.state.value}{why}; only one that succeeded has a video.",
        )
    output = record.spec.output if record.result is None else Location(record.result.output)
    check_location(output, settings)
    return Location(output.plain)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"The folder {str(path)!r} cannot be made: {error.strerror}."
        raise AnimatorError("output_not_writable", message) from error


def _destination(video: Location, target: str | None, count: int) -> Path:
    target = target or "."
    path = Path(absolute(target))
    if path.is_dir():
        return path / video.name
    if count > 1:
        message = f"There is no folder {str(path)!r}; {target}/ with a slash makes it."
        raise AnimatorError("output_not_writable", message)
    return path


def _same(video: Location, copy: Path) -> bool:
    return not video.is_url and copy.exists() and copy.samefile(video)


def _copy(video: Location, copy: Path, settings: Settings) -> None:
    from animator.files.output import OutputFile, check_output, coded_errors

    if video.is_url:
        from animator.files.storage import Storage

        check_output(copy)
        Storage.open(video.folder, settings).get(video.name, copy)
        return
    out = OutputFile(copy)
    try:
        with coded_errors(copy), open(video, "rb") as file:
            while chunk := file.read(_CHUNK):
                out.write(chunk)
                out.check()
            out.publish()
    finally:
        out.remove()
