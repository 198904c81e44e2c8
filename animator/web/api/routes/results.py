"""What comes of a job: its video, what lies beside it, and pictures of it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from animator.errors import AnimatorError
from animator.formats import FORMATS, format_of
from animator.options import Extra
from animator.record import JobRecord, JobState
from animator.spec import extra_files
from animator.values import Location, shown_url
from animator.web.access.callers import Caller, Who
from animator.web.api.reading import JobId, find_job, upload_of
from animator.web.context import Context, ServerContext
from animator.web.files.looking import still_of
from animator.web.files.media_types import MEDIA_TYPES
from animator.web.files.sending import send_bytes, send_file
from animator.web.problems import MEDIA_TYPE, problems

router = APIRouter(tags=["jobs"])

_FOUND = ("no_such_job", "record_unreadable", "invalid_option")
_DRAWN = (
    "no_preview", "no_result", "too_large", "unsupported_format", "check_crashed", "check_timeout",
    "out_of_memory", "unreadable_video", "no_frames", "storage_unavailable", "disk_full",
)  # fmt: skip
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes when the content does."}}
_UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "It is what `If-None-Match` names."}
}
_PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that `Range` names.", "headers": _TAG},
    416: {
        "description": "The file has not got the part that `Range` names.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    **_UNCHANGED,
}
_RESULT_TYPES = dict.fromkeys(kind.media_type for kind in FORMATS.values())
_EXTRA_TYPES = {".npz": "application/zip", ".tar": "application/x-tar"}


def _file(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of an answer that is a file."""
    content = dict.fromkeys(media_types, _BINARY)
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The whole file.", "content": content, "headers": _TAG}
    }
    return {**answers, **_PARTS}


def _picture() -> dict[int | str, dict[str, Any]]:
    answer = {"description": "A picture.", "content": {"image/jpeg": _BINARY}, "headers": _TAG}
    return {**_UNCHANGED, 200: answer}


@router.get(
    "/v1/jobs/{job_id}/result",
    summary="The video of a job",
    response_class=Response,
    responses={**_file(*_RESULT_TYPES), **problems(*_FOUND, "wrong_state", "no_result")},
)
def result(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """The video or animated picture, or a part of it; while there is none, its job's state."""
    path = _video(find_job(context, caller, job_id))
    kind = format_of(str(path))
    media_type = "video/mp4" if kind is None else kind.media_type
    return send_file(request, path, media_type, name=path.name, inline=True, missing=_no_result())


@router.get(
    "/v1/jobs/{job_id}/extras/{extra}",
    summary="What lies beside the video",
    response_class=Response,
    responses={
        **_file(*_EXTRA_TYPES.values()),
        **problems(*_FOUND, "wrong_state", "no_result"),
    },
)
def extra_file(
    request: Request, context: Context, caller: Who, job_id: JobId, extra: Extra
) -> Response:
    """Landmarks, structures or flows as arrays (npz), or frames as pictures (tar)."""
    path = extra_files(_video(find_job(context, caller, job_id)), [extra])[extra]
    return send_file(request, path, _EXTRA_TYPES[path.suffix], name=path.name, missing=_no_result())


@router.get(
    "/v1/jobs/{job_id}/driving",
    summary="The driving video of a job",
    response_class=Response,
    responses={
        **_file("video/*", MEDIA_TYPES["motion"].name),
        **problems(*_FOUND, "no_such_upload"),
    },
)
def driving(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """The driving video, or motion file, if it was uploaded and is still there."""
    missing = AnimatorError("no_such_upload", "The driving video is no upload, or is gone.")
    upload = upload_of(context, caller, find_job(context, caller, job_id).spec.driving)
    if upload is None:
        raise missing
    kind = upload.media_type
    return send_file(
        request, upload.path, kind.name, etag=upload.sha256, name=upload.name, inline=kind.shown,
        missing=missing,
    )  # fmt: skip


@router.get(
    "/v1/jobs/{job_id}/preview.jpg",
    summary="The newest frame of a job",
    response_class=Response,
    responses={**_picture(), **problems(*_FOUND, *_DRAWN)},
)
def preview(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """The newest frame that was rendered, at most one a second.

    Frames are drawn only while somebody asks for them, so the first comes a moment after the first
    request. When the job has succeeded it is a frame of the video.
    """
    record = find_job(context, caller, job_id)
    store = context.client.store
    if not record.state.ended:
        store.want_preview(job_id)
    picture = store.preview(job_id)
    if picture is None and record.state is JobState.SUCCEEDED:
        picture = _still(context, record)
    if picture is None:
        raise AnimatorError("no_preview", f"Job {job_id} has no picture yet.", retryable=True)
    answer = send_bytes(
        request, picture, "image/jpeg", etag=_tag(picture), name=f"{job_id}-preview.jpg"
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get(
    "/v1/jobs/{job_id}/poster.jpg",
    summary="A picture of a job",
    response_class=Response,
    responses={
        **_picture(),
        **problems(*_FOUND, *_DRAWN),
    },
)
def poster(request: Request, context: Context, caller: Who, job_id: JobId) -> Response:
    """The frame in the middle of the video; before there is one, an uploaded portrait."""
    record = find_job(context, caller, job_id)
    if record.state is JobState.SUCCEEDED:
        picture = _still(context, record)
    else:
        picture = _thumbnail(context, caller, record)
    return send_bytes(request, picture, "image/jpeg", etag=_tag(picture), name=f"{job_id}.jpg")


def _video(record: JobRecord) -> Path:
    """Where the video of a job is.

    Raises:
        AnimatorError: `wrong_state`, `no_result`.
    """
    if record.state is not JobState.SUCCEEDED:
        message = f"Job {record.id} is {record.state.value}; only one that succeeded has a video."
        raise AnimatorError("wrong_state", message)
    output = record.spec.output if record.result is None else Location(record.result.output)
    if output.is_url:
        message = f"The video is not on this server; it is {shown_url(output)!r}."
        raise AnimatorError("no_result", message)
    return output.path


def _still(context: ServerContext, record: JobRecord) -> bytes:
    path = _video(record)
    try:
        return context.results.still(path, lambda: still_of(path, context.settings))
    except AnimatorError as error:
        if error.code == "no_such_file":  # removed while it was being looked at
            raise _no_result() from error
        raise


def _thumbnail(context: ServerContext, caller: Caller, record: JobRecord) -> bytes:
    upload = upload_of(context, caller, record.spec.source)
    if upload is not None:
        with suppress(OSError):
            return upload.thumbnail.read_bytes()
    raise AnimatorError("no_preview", f"Job {record.id} has no picture yet.", retryable=True)


def _no_result() -> AnimatorError:
    return AnimatorError("no_result", "The job's video is no longer where it was written.")


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
