"""What routes about jobs share: finding the job that a caller may see, and how it is answered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Request, Response

from animator.errors import AnimatorError
from animator.record import JobRecord
from animator.spec import ENDINGS
from animator.values import Location
from animator.web.access.callers import Caller
from animator.web.api.schemas import JOB_ID
from animator.web.context import ServerContext
from animator.web.files.names import is_id
from animator.web.files.uploads import Upload

JobId = Annotated[str, Path(pattern=JOB_ID, description="Id of a job.")]


def find_job(context: ServerContext, caller: Caller, job_id: str) -> JobRecord:
    """A job's record, if the caller may see it.

    Raises:
        AnimatorError: `no_such_job`, also for a job of another owner; `record_unreadable`.
    """
    try:
        record = context.client.store.get(job_id)
    except AnimatorError as error:
        # Whose it is cannot be told.
        if error.code == "record_unreadable" and not caller.sees_all:
            raise no_such_job(job_id) from error
        raise
    if not caller.may_see(record.options.owner):
        raise no_such_job(job_id)
    return record


def no_such_job(job_id: str) -> AnimatorError:
    """The error for a job that is not there, or not for this caller."""
    return AnimatorError("no_such_job", f"There is no job {job_id!r}.")


def job_links(request: Request, record: JobRecord) -> dict[str, Any]:
    """Where the rest of a job is: paths, with what a proxy puts before them."""
    here = f"{request.scope.get('root_path', '')}/v1/jobs/{record.id}"
    parts = ("events", "logs", "cancel", "retry", "result")
    extras = [name for name in ENDINGS if name in record.spec.extras]
    return {
        "self": here,
        **{part: f"{here}/{part}" for part in parts},
        "extras": {name: f"{here}/extras/{name}" for name in extras},
        "preview": f"{here}/preview.jpg",
        "poster": f"{here}/poster.jpg",
        "driving": f"{here}/driving",
    }


def job_values(request: Request, context: ServerContext, record: JobRecord) -> dict[str, Any]:
    """A job as it is answered: its record as `--json` has it, its uploads, and links."""
    uploads = {
        name: _upload_id(context, getattr(record.spec, name)) for name in ("source", "driving")
    }
    return {**record.as_dict(), "files": uploads, "links": job_links(request, record)}


def upload_of(context: ServerContext, caller: Caller, location: Location) -> Upload | None:
    """The upload that a job's input is; None if it is none, or is gone."""
    file_id = _upload_id(context, location)
    try:
        return None if file_id is None else context.uploads.get(file_id, caller.may_see)
    except AnimatorError:
        return None


def _upload_id(context: ServerContext, location: Location) -> str | None:
    """The id of the upload at a place, which may be gone by now."""
    if location.is_url:
        return None
    folder = location.path.parent
    return folder.name if folder.parent == context.uploads.root and is_id(folder.name) else None


class JsonAnswer(Response):
    """Plain values as JSON, as `--json` of the commands writes them.

    Names of files may have bytes that are no text, and a record numbers that JSON has no word for.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The values as ASCII."""
        try:
            return json.dumps(content, allow_nan=False).encode()
        except ValueError:
            return json.dumps(_finite(content), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    """A value with null for numbers that are none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value
