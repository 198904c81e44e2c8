"""Jobs: submitted, looked at, cancelled, tried again, removed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from animator.broker.connection import PREFIX, queue_errors
from animator.errors import AnimatorError
from animator.record import JobRecord, JobState
from animator.web.access.callers import Caller, Who
from animator.web.api.listing import JobsQuery, list_page
from animator.web.api.reading import JobId, JsonAnswer, find_job, job_values
from animator.web.api.schemas import Job, JobPage, LogLine, NewJob, read_form
from animator.web.api.submission import Submitted, read_request, submit
from animator.web.context import Context, ServerContext
from animator.web.files.multipart import read_form as read_parts
from animator.web.problems import problems

router = APIRouter(tags=["jobs"])

MOST_JSON = 256 * 1024
"""Bytes of a request as JSON."""
MOST_WAIT = 60
"""Seconds that an answer is held back at most."""
_WAIT = re.compile(r"wait=\"?(\d{1,9})\"?", re.ASCII | re.IGNORECASE)
_REMOVED_SECONDS = 7 * 24 * 3600
_FILES = ("source", "driving")
_ANY_ID = "0" * 20
"""Stands for files that have not come yet, while the rest of a form is checked."""

_SUBMIT = (
    "bad_request", "no_such_upload", "unsupported_format", "url_refused", "webhook_refused",
    "no_such_weights", "invalid_option", "idempotency_mismatch", "upload_too_large", "too_slow",
    "quota_exceeded", "storage_unavailable", "disk_full", "output_exists",
)  # fmt: skip
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "Location": {**_TEXT, "description": "The path of the job."},
    "Idempotency-Replayed": {**_TEXT, "description": "true if an earlier request made the job."},
    "Preference-Applied": {**_TEXT, "description": "How long the answer was held back at most."},
}


def _form_schema() -> dict[str, Any]:
    """What a form may have: the fields of the JSON document, and files in place of two."""
    schema = NewJob.model_json_schema()
    # A field that is left empty is what null is in JSON.
    fields = {name: _without_null(about) for name, about in schema["properties"].items()}
    for name in _FILES:
        about = fields[name]["description"].partition(". ")[0]
        fields[name] = {"type": "string", "format": "binary", "description": f"{about}."}
    return {**schema, "title": "NewJobForm", "properties": fields}


def _without_null(about: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in about.get("anyOf", ()) if kind.get("type") != "null"]
    if not kinds:
        return about
    left = {name: value for name, value in about.items() if value is not None and name != "anyOf"}
    return {**left, **kinds[0]} if len(kinds) == 1 else {**left, "anyOf": kinds}


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": NewJob.model_json_schema()},
            "multipart/form-data": {"schema": _form_schema()},
        },
    }
}


@router.post(
    "/v1/jobs",
    summary="Submit a job",
    status_code=202,
    response_model=Job,
    responses={
        202: {
            "description": "The job is queued, or was by an earlier request.",
            "headers": _HEADERS,
        },
        200: {
            "model": Job,
            "description": "The job has ended while the answer was held back.",
            "headers": _HEADERS,
        },
        **problems(*_SUBMIT),
    },
    openapi_extra=_BODY,
)
async def submit_job(
    request: Request,
    context: Context,
    caller: Who,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            pattern="^[!-~]([ -~]*[!-~])?$",
            description="What you call this request. Sent again with the same content it is "
            "answered with the same job, and makes no second one.",
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        Header(
            max_length=255,
            description="wait=N: hold the answer back until the job has ended, at most N seconds, "
            f"1 to {MOST_WAIT}.",
        ),
    ] = None,
) -> Response:
    """Submit a job: as JSON with ids of uploaded files, or as one form with both files.

    The answer comes at once, with links to where the job can be followed; with `Prefer: wait=30`,
    when the job has ended or the time is over.
    """
    wanted = await _read_body(request, context, caller)
    made = await run_in_threadpool(submit, context, caller, wanted, idempotency_key)
    seconds = _seconds(prefer)
    if seconds:
        made = await _wait(context, caller, made, seconds)
    record = made.record
    headers = {"Location": job_values(request, context, record)["links"]["self"]}
    if not made.new:
        headers["Idempotency-Replayed"] = "true"
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    status = 200 if seconds and record.state.ended else 202
    return JsonAnswer(job_values(request, context, record), status, headers)


async def _read_body(request: Request, context: ServerContext, caller: Caller) -> BaseModel:
    """What is asked for, from either kind of body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request, context, caller)
    if kind != "application/json":
        message = "A job is application/json, or multipart/form-data with both files."
        raise AnimatorError("bad_request", message)
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MOST_JSON:
            raise AnimatorError("upload_too_large", f"A job has at most {MOST_JSON} bytes.")
    return read_request(bytes(body))


async def _read_form(request: Request, context: ServerContext, caller: Caller) -> BaseModel:
    """What a form asks for; its files are uploads from then on."""

    def begin(field: str, name: str) -> Any:
        if field not in _FILES:
            raise AnimatorError("bad_request", "The files of a job are source and driving.")
        return context.uploads.begin(caller.name, name)

    def check(fields: Any) -> None:
        # Before the files come, which may take long; an id in place of a file is taken, too.
        texts = {name: [text] for name, text in fields.items() if name != "csrf"}
        read_request({**dict.fromkeys(_FILES, _ANY_ID), **read_form(texts)})

    form = await read_parts(request, begin, before_files=check, most_files=len(_FILES))
    uploads = await form.finish()
    texts = {name: found for name, found in form.texts.items() if name != "csrf"}
    values = read_form(texts) | {name: upload.id for name, upload in uploads.items()}
    return read_request(values)


def _seconds(prefer: str | None) -> int:
    """How long the client would wait; what it prefers besides is left out (RFC 7240)."""
    parts = [part.strip() for part in (prefer or "").replace(";", ",").split(",")]
    found = next((match for match in map(_WAIT.fullmatch, parts) if match), None)
    return 0 if found is None else min(int(found[1]), MOST_WAIT)


async def _wait(context: ServerContext, caller: Caller, made: Submitted, seconds: int) -> Submitted:
    """Wait until the job has ended, in no thread of its own, and look at it again."""
    # The job is there in any case, so that nothing may become an error from here on.
    with suppress(AnimatorError), context.events.counted(caller.counted_as):
        await context.events.ended(made.record.id, seconds)
        record = await run_in_threadpool(context.client.store.get, made.record.id)
        return Submitted(record, made.new)
    return made


@router.get(
    "/v1/jobs",
    summary="List jobs",
    response_model=JobPage,
    responses=problems("invalid_option"),
)
def list_jobs(
    request: Request, context: Context, caller: Who, query: Annotated[JobsQuery, Query()]
) -> Response:
    """The jobs that the caller may see, the newest first, a page at a time.

    Jobs that are submitted meanwhile do not move the pages that follow. For a record that cannot
    be read stands one of the same id and state, whose error says why.
    """
    records, after = list_page(context, caller, query)
    items = [job_values(request, context, record) for record in records]
    return JsonAnswer({"items": items, "next": after})


_FOUND = ("no_such_job", "record_unreadable", "invalid_option")


@router.get(
    "/v1/jobs/{job_id}",
    summary="Look at a job",
    response_model=Job,
    responses=problems(*_FOUND),
)
def get_job(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """Everything that is known about a job."""
    return JsonAnswer(job_values(request, context, find_job(context, caller, job_id)))


@router.get(
    "/v1/jobs/{job_id}/logs",
    summary="What happened to a job",
    response_model=list[LogLine],
    responses=problems(*_FOUND),
)
def get_logs(context: Context, caller: Who, job_id: JobId) -> Response:
    """The last 200 lines of its log: attempts, stages, errors, on whichever machine."""
    find_job(context, caller, job_id)
    return JsonAnswer([asdict(line) for line in context.client.store.logs(job_id)])


@router.post(
    "/v1/jobs/{job_id}/cancel",
    summary="Cancel a job",
    response_model=Job,
    responses=problems(*_FOUND),
)
def cancel_job(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """Cancel a job: at once if it waits, at its next step if it runs; one that has ended stays."""
    find_job(context, caller, job_id)
    return JsonAnswer(job_values(request, context, context.client.cancel(job_id)))


@router.post(
    "/v1/jobs/{job_id}/retry",
    summary="Try a job again",
    response_model=Job,
    responses=problems(*_FOUND, "wrong_state", "output_exists"),
)
def retry_job(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """Queue a job again that failed or was cancelled; one that waits or runs stays as it is."""
    record = find_job(context, caller, job_id)
    if record.state.ended:
        record = _retry(context, job_id)
    return JsonAnswer(job_values(request, context, record))


def _retry(context: ServerContext, job_id: str) -> JobRecord:
    try:
        return context.client.retry(job_id)
    except AnimatorError as error:
        if error.code != "wrong_state":
            raise
        # Somebody else was quicker, and a worker, too.
        record = context.client.store.get(job_id)
        if record.state is not JobState.RUNNING:
            raise
        return record


@router.delete(
    "/v1/jobs/{job_id}",
    summary="Remove a job",
    status_code=204,
    response_class=Response,
    responses=problems(*_FOUND, "wrong_state"),
)
def remove_job(context: Context, caller: Who, job_id: JobId) -> Response:
    """Remove a job that has ended: its record, its log, and its video if that is the server's.

    Removing it again within a week is answered likewise.
    """
    try:
        record = find_job(context, caller, job_id)
    except AnimatorError as error:
        if error.code == "no_such_job" and _was_removed(context, caller, job_id):
            return Response(status_code=204)
        raise
    if not record.state.ended or not _remove(context, record):
        state = context.client.store.get(job_id).state.value
        message = f"Job {job_id} is {state}; cancel it first, and remove it when it has ended."
        raise AnimatorError("wrong_state", message)
    return Response(status_code=204)


def _remove(context: ServerContext, record: JobRecord) -> bool:
    """Remove a job, its record first: a job that somebody tries again keeps its place."""
    store = context.client.store
    with queue_errors():
        name, owner = f"{PREFIX}web:removed:{record.id}", record.options.owner
        store.client.set(name, owner, ex=_REMOVED_SECONDS)
    removed = bool(store.remove([record.id]))
    if removed and not record.spec.output.is_url:
        context.results.remove(record.spec.output.path)
    return removed or not store.states([record.id])


def _was_removed(context: ServerContext, caller: Caller, job_id: str) -> bool:
    with queue_errors():
        owner = context.client.store.client.get(f"{PREFIX}web:removed:{job_id}")
    gone = not context.client.store.states([job_id])
    return gone and isinstance(owner, bytes) and caller.may_see(owner.decode())
