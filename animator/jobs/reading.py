"""The reading of a job's record, and what stands for one that cannot be read.

A record may be of a newer version, edited by hand or damaged. Whoever reads many must not fail
because of one, so the fault is a value here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from animator import __version__
from animator.errors import AnimatorError
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import JobOptions, JobSpec
from animator.values import Location

CODE = "record_unreadable"
_EPOCH = "1970-01-01T00:00:00.000+00:00"
_SHOWN = 300
"""Characters of a reason; a damaged record may hold anything, of any length."""


@dataclass(frozen=True)
class Unreadable:
    """A record that cannot be read, and what can be told of it nevertheless."""

    id: str
    state: JobState | None
    """None where that is no state either."""
    error: JobError
    """Why: `record_unreadable` and a sentence; of a job that failed for that, what is on record."""
    version: str
    """Of the animator that wrote it, as it says."""
    created: str
    attempt: int
    output: str
    """An absolute path or a URL; "/" where that is not known."""

    @property
    def newer(self) -> bool:
        """Whether a later version wrote it, whose workers can read it."""
        return _numbers(self.version) > _numbers(__version__)

    def stand_in(self) -> JobRecord:
        """A record that says so, for lists."""
        return JobRecord(
            id=self.id,
            spec=JobSpec(Location("/"), Location("/"), Location(self.output)),
            state=self.state or JobState.FAILED,
            created=self.created,
            version=self.version,
            attempt=self.attempt,
            error=self.error,
        )


def read_record(
    job_id: str, values: Mapping[bytes, bytes] | Exception, lease: float | None
) -> JobRecord | Unreadable | None:
    """A record from its fields, of which an older version wrote fewer.

    Args:
        job_id: the job.
        values: the fields, or what Redis said instead.
        lease: seconds until its lease runs out.

    Returns:
        The record; None if there are no fields.
    """
    if isinstance(values, Exception):
        return _unreadable(job_id, {}, values)
    if not values:
        return None
    try:
        return _record(job_id, values, lease)
    except Exception as error:  # noqa: BLE001 - whatever wrong types and values may raise
        return _unreadable(job_id, values, error)


def _record(job_id: str, values: Mapping[bytes, bytes], lease: float | None) -> JobRecord:
    def text(name: str) -> str | None:
        value = values.get(name.encode())
        return None if value is None else value.decode()

    error, result, options = text("error"), text("result"), text("options")
    for name in ("created", "started", "finished"):
        if (moment := text(name)) is not None:
            datetime.fromisoformat(moment)
    return JobRecord(
        id=job_id,
        spec=JobSpec.from_json(values[b"spec"]),
        state=JobState(values[b"state"].decode()),
        created=values[b"created"].decode(),
        version=values[b"version"].decode(),
        attempt=int(values[b"attempt"]),
        progress=read_progress(values.get(b"progress")),
        error=None if error is None else JobError.from_json(error),
        result=None if result is None else Result.from_json(result),
        started=text("started"),
        finished=text("finished"),
        worker=text("worker"),
        cancel_requested=text("cancel") == "1",
        options=JobOptions() if options is None else JobOptions.from_json(options),
        suspect=text("suspect") == "1",
        crashes=int(values.get(b"crashes", 0)),
        lease=None if lease is None else round(max(lease, 0.0), 3),
        resumed=int(values.get(b"resumed", 0)),
    )


def read_progress(text: bytes | None) -> Progress | None:
    """The progress; one that is damaged is soon written anew, and nothing depends on it."""
    with suppress(Exception):
        if text is not None:
            found = Progress.from_json(text)
            numbers = (found.frame, found.frames or 0, found.fps, found.eta or 0.0)
            if isinstance(found.stage, str) and all(isinstance(n, int | float) for n in numbers):
                return found
    return None


def _unreadable(job_id: str, values: Mapping[bytes, bytes], error: Exception) -> Unreadable:
    def plain(name: bytes) -> str:
        return values.get(name, b"").decode(errors="backslashreplace")[:_SHOWN]

    missing = isinstance(error, KeyError)
    reason = f"the field {error} is missing" if missing else str(error)[:_SHOWN]
    created, version = _EPOCH, plain(b"version") or "unknown"
    with suppress(ValueError):
        datetime.fromisoformat(plain(b"created"))
        created = plain(b"created")
    message = (
        f"The record of job {job_id!r} cannot be read by version {__version__} (it is of version "
        f"{version}): {reason.rstrip('.')}."
    )
    return Unreadable(
        id=job_id,
        state=next((state for state in JobState if state.value == plain(b"state")), None),
        error=JobError(CODE, message),
        version=version,
        created=created,
        attempt=int(plain(b"attempt")) if plain(b"attempt").isdecimal() else 0,
        output=_output(values.get(b"output", b"")),
    )


def _output(value: bytes) -> str:
    with suppress(AnimatorError, ValueError):
        return str(Location(value.decode()))
    return "/"


def _numbers(version: str) -> list[int]:
    return [int(part[:9]) for part in re.findall(r"[0-9]+", version)[:4]]
