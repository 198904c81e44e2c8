"""Uploaded files over HTTP: sent, listed, looked at, fetched, removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from animator.checks.report import Kind, SeenFace
from animator.errors import AnimatorError
from animator.record import JobState
from animator.web.access.callers import Who
from animator.web.api.schemas import Moment, Plain
from animator.web.context import Context, ServerContext
from animator.web.files.media_types import MEDIA_TYPES
from animator.web.files.multipart import file_name, finish, read_file, read_form
from animator.web.files.names import ID_PATTERN
from animator.web.files.sending import send_file
from animator.web.files.uploads import Incoming, Upload
from animator.web.problems import problems

router = APIRouter(prefix="/v1", tags=["files"])

_MOST_NAME = 1024
_THUMBNAIL_SECONDS = 300
_REFUSALS = (
    "unsupported_format", "unreadable_image", "unreadable_video", "unreadable_motion",
    "no_video_stream", "no_frames", "too_large", "too_long", "check_crashed", "check_timeout",
    "out_of_memory", "upload_too_large", "quota_exceeded", "disk_full", "storage_unavailable",
    "too_slow",
)  # fmt: skip
"""Why a file is not taken."""
FileId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of an uploaded file.")]


class Square(Plain):
    """A square in pixels of the picture as it is shown, which may reach over its border."""

    x: int
    y: int
    side: int = Field(ge=1)


class Box(Plain):
    """A box in pixels of the picture as it is shown, which may reach over its border."""

    left: float
    top: float
    right: float
    bottom: float


class FaceFound(Plain):
    """A face: its number from the left is its place in the list, from 1."""

    box: Box = Field(description="Where the face is.")
    crop: Square = Field(description="What is animated of the picture if it is this face.")


class Finding(Plain):
    """One thing that would fail, be poor, or should be known."""

    level: Literal["error", "warning", "note"]
    code: str = Field(description="A stable code of docs/check.md or docs/errors.md.")
    message: str = Field(description="What was found, a sentence.")
    advice: str = Field(description="What to do about it; empty if there is nothing.")
    about: Literal["source", "driving", ""]


class FileLinks(Plain):
    """Where the rest of an uploaded file is: paths on this server."""

    self: str
    content: str
    thumbnail: str


class UploadedFile(Plain):
    """A file that was sent, and what was found in it."""

    id: str = Field(pattern=ID_PATTERN, description="Names the file where one is asked for.")
    name: str = Field(max_length=120, description="What its sender called it, made harmless.")
    owner: str = Field(description="Name of the token that it was sent with; empty without one.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    kind: Kind = Field(description="By its content; what moves is a video or a motion file.")
    media_type: str = Field(description="By its content.")
    width: int = Field(ge=1, description="As it is shown, in pixels.")
    height: int = Field(ge=1)
    seconds: float | None = Field(description="Length of a video, where it is known.")
    frames: int | None = Field(description="Frames of a video, where that is known.")
    has_audio: bool
    faces: list[FaceFound] = Field(description="Those of the frame that the thumbnail shows.")
    shown_at: float = Field(ge=0, description="Time of that frame in seconds; 0 in a picture.")
    findings: list[Finding]
    created: Moment
    expires: Moment = Field(description="When it is removed unless a job uses it before.")
    links: FileLinks


class FilePage(Plain):
    """Some uploaded files, the newest first."""

    items: list[UploadedFile]
    next: str | None = Field(description="The cursor of the page after this one; null on the last.")


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "A picture, a video or a motion file: one form with one file, or nothing "
        "but its bytes.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": False,
                }
            },
            "application/octet-stream": _BINARY,
        },
    }
}
_LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}


@router.post(
    "/files",
    status_code=201,
    summary="Send a file",
    response_description="The file was looked at, and is there.",
    response_model=UploadedFile,
    openapi_extra=_BODY,
    responses={
        200: {
            "model": UploadedFile,
            "description": "You have sent the same content before; this is that file.",
            "headers": _LOCATION,
        },
        201: {"headers": _LOCATION},
        **problems("invalid_option", *_REFUSALS),
    },
)
async def post_file(
    request: Request,
    context: Context,
    caller: Who,
    x_file_name: Annotated[
        str | None,
        Header(
            max_length=_MOST_NAME,
            description="What the file is called where it is the body: UTF-8, percent-encoded.",
        ),
    ] = None,
) -> Response:
    """Send a portrait, a driving video or a motion file.

    It is looked at before anything else reads it: what it is shows by its content alone, and what
    is none of these is refused.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        incoming = await _from_form(request, context, caller.name)
    else:
        called = _called(request, x_file_name)
        incoming = await read_file(request, lambda: context.uploads.begin(caller.name, called))
    upload = await finish(incoming)
    answer = as_answer(request, context, upload)
    status = 201 if upload.id == incoming.id else 200
    return JSONResponse(answer, status, {"Location": answer["links"]["self"]})


async def _from_form(request: Request, context: ServerContext, owner: str) -> Incoming:
    def begin(field: str, called: str) -> Incoming:
        if field != "file":
            raise AnimatorError("bad_request", "The form's file has to be called file.")
        return context.uploads.begin(owner, called)

    form = await read_form(request, begin, before_files=_refuse_texts, most_files=1)
    try:
        _refuse_texts(form.fields)  # also behind the file
        if "file" not in form.files:
            message = "The form has no file; its field is called file."
            raise AnimatorError("bad_request", message)
    except AnimatorError:
        await form.abandon()
        raise
    return form.files["file"]


def _refuse_texts(fields: Mapping[str, str]) -> None:
    if fields:
        raise AnimatorError("bad_request", "The form has one field, a file that is called file.")


def _called(request: Request, x_file_name: str | None) -> str:
    """What a file is called that is the body, by either of two headers."""
    if x_file_name:
        return unquote_to_bytes(x_file_name.encode("latin-1", "replace")).decode(errors="replace")
    return file_name(request.headers.get("content-disposition", "")[:_MOST_NAME]) or ""


@router.get(
    "/files",
    summary="List files",
    response_description="Some files.",
    response_model=FilePage,
    responses=problems("invalid_option"),
)
def list_files(
    request: Request,
    context: Context,
    caller: Who,
    limit: Annotated[int, Query(ge=1, le=200, description="At most so many.")] = 50,
    cursor: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="`next` of the page before.")
    ] = None,
) -> Response:
    """List your uploaded files, the newest first."""
    found = context.uploads.list(caller.may_see, before=cursor, limit=limit + 1)
    more = len(found) > limit
    items = [as_answer(request, context, upload) for upload in found[:limit]]
    return JSONResponse({"items": items, "next": found[limit - 1].id if more else None})


@router.get(
    "/files/{file_id}",
    summary="Look at a file",
    response_description="What was found in it.",
    response_model=UploadedFile,
    responses=problems("no_such_upload", "invalid_option"),
)
def get_file(request: Request, context: Context, caller: Who, file_id: FileId) -> Response:
    """What was found in an uploaded file."""
    upload = context.uploads.get(file_id, caller.may_see)
    return JSONResponse(as_answer(request, context, upload))


_FETCHED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {one.name: _BINARY for one in MEDIA_TYPES.values()},
    },
    206: {
        "description": "The part of the content that Range asks for.",
        "content": {one.name: _BINARY for one in MEDIA_TYPES.values()},
    },
    304: {"description": "You have it already, by If-None-Match or If-Modified-Since."},
    416: {
        "description": "Range asks for what lies behind the end.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    },
    **problems("no_such_upload", "invalid_option"),
}


@router.get(
    "/files/{file_id}/content",
    summary="Fetch a file",
    response_description="The content.",
    response_class=Response,
    responses=_FETCHED,
)
def get_content(request: Request, context: Context, caller: Who, file_id: FileId) -> Response:
    """The content of an uploaded file, whole or a range of it."""
    upload = context.uploads.get(file_id, caller.may_see)
    return send_file(
        request,
        upload.path,
        upload.media_type.name,
        etag=upload.sha256,
        name=upload.name,
        inline=upload.media_type.shown,
        missing=no_such_upload(file_id),
    )


@router.get(
    "/files/{file_id}/thumbnail.jpg",
    summary="Fetch a file's thumbnail",
    response_description="The thumbnail.",
    response_class=Response,
    responses={
        **_FETCHED,
        200: {"content": {"image/jpeg": _BINARY}},
        206: {"description": "A part of the thumbnail.", "content": {"image/jpeg": _BINARY}},
    },
)
def get_thumbnail(request: Request, context: Context, caller: Who, file_id: FileId) -> Response:
    """A JPEG of a picture or of a video's first frame with a face, 640 pixels at most."""
    upload = context.uploads.get(file_id, caller.may_see)
    return send_file(
        request,
        upload.thumbnail,
        "image/jpeg",
        etag=f"{upload.id}-thumbnail",
        name="thumbnail.jpg",
        inline=True,
        missing=no_such_upload(file_id),
        max_age=_THUMBNAIL_SECONDS,
    )


@router.delete(
    "/files/{file_id}",
    status_code=204,
    summary="Remove a file",
    response_description="The file is gone, or was not there.",
    response_class=Response,
    responses={
        **problems("wrong_state", "invalid_option"),
    },
)
def delete_file(context: Context, caller: Who, file_id: FileId) -> Response:
    """Remove an uploaded file, unless a job that waits or runs needs it.

    Results that were made of it stay.
    """
    remove_file(context, file_id, caller)
    return Response(status_code=204)


def remove_file(context: ServerContext, file_id: str, caller: Who) -> None:
    """Remove an upload of a caller; one that is not there, or not theirs, is none.

    Raises:
        AnimatorError: `wrong_state` while a job needs it; `queue_unavailable`.
    """
    try:
        upload = context.uploads.get(file_id, caller.may_see)
    except AnimatorError:
        return
    if job := _needed_by(context, str(upload.path)):
        message = f"Job {job} has not ended and needs the file; cancel it first."
        raise AnimatorError("wrong_state", message)
    context.uploads.remove(file_id)


def _needed_by(context: ServerContext, path: str) -> str | None:
    """A job that has not ended and reads a file."""
    # In the order of a job's life: one that begins meanwhile is met in the second list.
    for state in (JobState.QUEUED, JobState.RUNNING):
        offset = 0
        while found := context.client.store.list_jobs(state, limit=500, offset=offset):
            for job in found:
                if path in map(str, job.spec.inputs.values()):
                    return job.id
            offset += len(found)
    return None


def no_such_upload(file_id: str) -> AnimatorError:
    """The error for an upload that is not there, or not for this caller."""
    return AnimatorError("no_such_upload", f"No uploaded file has {file_id!r} as its id.")


def as_answer(request: Request, context: ServerContext, upload: Upload) -> dict[str, Any]:
    """An upload as `UploadedFile` describes it."""
    facts = upload.facts
    here = f"{request.scope.get('root_path', '')}/v1/files/{upload.id}"
    expires = context.uploads.expires(upload)
    return {
        "id": upload.id,
        "name": upload.name,
        "owner": upload.owner,
        "sha256": upload.sha256,
        "bytes": upload.bytes,
        "kind": facts.kind,
        "media_type": upload.media_type.name,
        "width": facts.width,
        "height": facts.height,
        "seconds": facts.seconds,
        "frames": facts.frames,
        "has_audio": facts.has_audio,
        "faces": [face_answer(face) for face in facts.faces],
        "shown_at": facts.shown_at,
        "findings": [asdict(finding) for finding in facts.findings],
        "created": upload.created.isoformat(timespec="milliseconds"),
        "expires": expires.isoformat(timespec="milliseconds"),
        "links": {
            "self": here,
            "content": f"{here}/content",
            "thumbnail": f"{here}/thumbnail.jpg",
        },
    }


def face_answer(face: SeenFace) -> dict[str, Any]:
    """A face as `FaceFound` describes it."""
    box = dict(zip(("left", "top", "right", "bottom"), face.box, strict=True))
    return {"box": box, "crop": asdict(face.crop)}
