"""The submission of jobs that callers ask for: their files, their place, their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from animator.errors import AnimatorError
from animator.files.urls import check_url
from animator.formats import default_suffix
from animator.jobs.content_key import AUTO, content_key
from animator.jobs.store import JobRequest
from animator.moving_faces import MovingFaces
from animator.record import JobRecord
from animator.spec import JobOptions, JobSpec
from animator.values import Location, is_url, split_location
from animator.web.access.callers import Caller
from animator.web.api.idempotency import IdempotencyKey, own_key
from animator.web.api.schemas import NewJob
from animator.web.context import ServerContext
from animator.web.files.names import clean_name

_PLACEHOLDER = "/output"
"""Stands for the output while the rest is checked; its place is made only for a job that is new."""
_OPTIONS = {item.name for item in fields(JobOptions)}
_SHOWN = 5


@dataclass(frozen=True)
class Submitted:
    """What came of a request for a job."""

    record: JobRecord
    new: bool
    """False if an earlier request had made the job."""


@dataclass(frozen=True)
class _Input:
    """A file that a job is to read."""

    location: str
    content: str
    """Tells it from others: the hash of an upload's content, or a URL."""
    name: str
    """What it is called, for people."""


def read_request(values: Mapping[str, Any] | bytes) -> BaseModel:
    """A request for a job, from a JSON document or from plain values; every value is checked.

    Raises:
        AnimatorError: `bad_request` for what is no JSON; `invalid_option`.
    """
    try:
        if isinstance(values, bytes):
            return NewJob.model_validate_json(values)
        return NewJob.model_validate(values)
    except ValidationError as error:
        raise _refusal(error) from None


def submit(
    context: ServerContext, caller: Caller, wanted: BaseModel, idempotency_key: str | None = None
) -> Submitted:
    """Submit a job for a caller, or find the one that an earlier request with its key made.

    Args:
        context: of the server.
        caller: whose job it becomes.
        wanted: a `NewJob`.
        idempotency_key: what the caller calls this request.

    Raises:
        AnimatorError: `no_such_upload`, `unsupported_format`, `url_refused`, `invalid_option`,
            `idempotency_mismatch`, and as `animator.jobs.client.Client.submit`.
    """
    values = wanted.model_dump()
    faces = MovingFaces.parse(values["face"])
    values["driving"] = driving_of(values["driving"], faces)
    inputs = {
        name: _find_input(context, caller, name, values.pop(name)) for name in ("source", "driving")
    }
    own = {file: _find_input(context, caller, "driving", file) for _, file in faces.files}
    values["face"] = faces.located(lambda file: own[file].location).text
    if values["audio"] not in ("driving", "source", "none"):
        inputs["audio"] = _find_input(context, caller, "audio", values["audio"])
        values["audio"] = Location(inputs["audio"].location)
    # What is asked for, checked as for any job
    chosen = {name: values.pop(name) for name in _OPTIONS & values.keys()}
    values["extras"] = tuple(values["extras"])
    suffix = default_suffix(values.pop("format"))
    spec = JobSpec(
        Location(inputs["source"].location),
        Location(inputs["driving"].location),
        Location(_PLACEHOLDER + suffix),
        **values,
    )
    key = _own_key(context, caller, spec, chosen.pop("key"))
    options = JobOptions(**chosen, owner=caller.name, key=key)
    # Once only, if the caller says which request it is
    once: IdempotencyKey | None = None
    if idempotency_key is not None:
        same = faces.located(lambda file: own[file].content).text
        content = {
            "options": {**values, **chosen, "face": same, "key": key, "format": suffix},
            **{name: item.content for name, item in inputs.items()},
        }
        once = IdempotencyKey(context.client.store, caller.name, idempotency_key, content)
        options = replace(options, key=key or once.job_key)
    with once.used() if once is not None else nullcontext():
        names = [inputs[name].name for name in ("source", "driving")]
        return _submit(context, caller, JobRequest(spec, options), names, suffix)


def driving_of(given: str | None, faces: MovingFaces) -> str:
    """The driving file of a request, or the first of those that it names for faces.

    Raises:
        AnimatorError: `invalid_option` if there is none.
    """
    found = given or faces.first_file
    if found is None:
        raise AnimatorError("invalid_option", '"driving": Field required.')
    return found


def _submit(
    context: ServerContext, caller: Caller, request: JobRequest, names: list[str], suffix: str
) -> Submitted:
    client, key = context.client, request.options.key
    there = client.store.find_keys([key]) if key else {}
    if key in there:
        return Submitted(_own(there[key], caller), False)
    output = context.results.new(*names, suffix=suffix)
    try:
        spec = replace(request.spec, output=Location(output))
        (made,) = client.submit_many([JobRequest(spec, request.options)])
    except BaseException:
        context.results.remove(output)
        raise
    if not made.new:
        # Another request with the same key was quicker.
        context.results.remove(output)
    return Submitted(_own(made.record, caller), made.new)


def _own(record: JobRecord, caller: Caller) -> JobRecord:
    if record.options.owner != caller.name:
        # A key that looks as if it were of this caller.
        message = "A job of somebody else has this key; choose another."
        raise AnimatorError("idempotency_mismatch", message)
    return record


def _find_input(context: ServerContext, caller: Caller, name: str, given: str) -> _Input:
    """A file by its id, or a URL.

    Raises:
        AnimatorError: `no_such_upload`, `unsupported_format`, `url_refused`.
    """
    if is_url(given):
        check_url(given, context.settings)
        return _Input(given, given, clean_name(split_location(given)[1]))
    upload = context.uploads.get(given, caller.may_see)
    kind = upload.facts.kind
    if name != "source" and kind == "picture":
        kinds = "a video or a motion file" if name == "driving" else "a video"
        message = f"The {name} file {upload.name!r} is a picture; it has to be {kinds}."
        raise AnimatorError("unsupported_format", message)
    if name == "source" and kind == "motion":
        message = f"The source {upload.name!r} is a motion file, which has no pictures."
        raise AnimatorError("unsupported_format", message)
    context.uploads.touch(upload.id)
    return _Input(str(upload.path), upload.sha256, upload.name)


def _own_key(context: ServerContext, caller: Caller, spec: JobSpec, key: str | None) -> str | None:
    """The key that the caller has chosen for the job, apart from those of others."""
    if key == AUTO:
        if any(place.is_url for place in (spec.source, *spec.drivings.values())):
            message = "The key auto is made of files' content, so all have to be uploaded."
            raise AnimatorError("invalid_option", message)
        key = content_key(spec, context.settings)
    return None if key is None else own_key(caller.name, key)


def _refusal(error: ValidationError) -> AnimatorError:
    """What is wrong with the values, in one sentence."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if item["type"] == "json_invalid":
            return AnimatorError("bad_request", f"The request is not JSON: {item['msg']}.")
        # Of a value that can be of several kinds, each kind says what it misses.
        where = str(item["loc"][0])[:100] if item["loc"] else "the request"
        found.setdefault(where, item["msg"])
    parts = [f"{json.dumps(where)}: {text}" for where, text in list(found.items())[:_SHOWN]]
    return AnimatorError("invalid_option", "; ".join(parts) + ".")
