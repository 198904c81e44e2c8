"""Checks of jobs before they are submitted, and the sample to begin with, over HTTP."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any, get_type_hints

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, create_model

from animator.checks.job import check_job
from animator.checks.report import DrivingFacts, JobEstimate, SourceFacts
from animator.files.local import quoted
from animator.files.urls import check_url
from animator.formats import default_suffix
from animator.moving_faces import MovingFaces
from animator.spec import JobSpec
from animator.values import Location
from animator.web.access.callers import Caller, Who
from animator.web.api.routes.files import FaceFound, Finding, UploadedFile, as_answer, face_answer
from animator.web.api.schemas import NewJob, Plain, Strict
from animator.web.api.submission import driving_of
from animator.web.context import Context, ServerContext
from animator.web.files.looking import TURNSTILE, in_a_thread_of_its_own
from animator.web.files.names import is_id
from animator.web.files.sample import sample_uploads
from animator.web.files.uploads import Upload
from animator.web.problems import problems

router = APIRouter(prefix="/v1", tags=["files"])

_NOT_CHECKED = ("priority", "key", "webhook", "measure", "extras", "audio")
"""What of a job makes no difference to its check."""
_NO_OUTPUT = "/result"  # a check looks at its kind alone


NewCheck: type[Strict] = create_model(
    "NewCheck",
    __base__=Strict,
    __doc__="A job to be checked: two files, and how they are animated.",
    estimate=(bool, Field(default=False, description="Load the networks, too, and time them.")),
    **{
        name: (item.annotation, item)
        for name, item in NewJob.model_fields.items()
        if name not in _NOT_CHECKED
    },  # type: ignore[call-overload]
)


class Coverage(Plain):
    """How many frames of the driving video show a face, by those that were looked at."""

    sampled: int
    with_face: int
    share: float
    low: float = Field(description="Of the 95 % interval of the share among all frames.")
    high: float


_HINTS = get_type_hints(DrivingFacts)
DrivingFound: type[Plain] = create_model(
    "DrivingFound",
    __base__=Plain,
    __doc__="What was measured of the driving video.",
    coverage=(Coverage, ...),
    **{item.name: (_HINTS[item.name], ...) for item in fields(DrivingFacts)},  # type: ignore[call-overload]
)


class FacesFound(Plain):
    """The faces of both files as they were found when they were sent; none of a URL."""

    source: list[FaceFound]
    driving: list[FaceFound]


class Check(Plain):
    """What `animator check --json` tells, and the faces."""

    ok: bool = Field(description="Whether nothing that was found would make the job fail.")
    source: SourceFacts | None
    driving: DrivingFound | None  # type: ignore[valid-type]
    estimate: JobEstimate | None
    findings: list[Finding] = Field(description="Errors first, then warnings, then notes.")
    seconds: float = Field(description="What the check took.")
    faces: FacesFound


class Sample(Plain):
    """A portrait and a driving video to try with."""

    source: UploadedFile
    driving: UploadedFile


@router.post(
    "/check",
    summary="Check a job",
    response_description="What was found.",
    response_model=Check,
    responses=problems(
        "invalid_option",
        "no_such_upload",
        "url_refused",
        "missing_library",
        "too_slow",
        "upload_too_large",
    ),
)
async def post_check(context: Context, caller: Who, wanted: NewCheck) -> Response:  # type: ignore[valid-type]
    """Look at both files of a job and say what would come of it, before it is submitted.

    What is wrong with the files is a finding, and the answer is 200 all the same.
    """
    return JSONResponse(await in_a_thread_of_its_own(partial(check_files, context, caller, wanted)))


@router.post(
    "/sample",
    summary="Take the sample",
    response_description="Both files.",
    response_model=Sample,
    responses=problems(
        "quota_exceeded", "disk_full", "storage_unavailable", "check_timeout", "internal"
    ),
)
async def post_sample(request: Request, context: Context, caller: Who) -> Response:
    """Have the sample portrait and driving video among your files, to try with.

    The first time takes half a minute.
    """
    made = await sample_uploads(context.uploads, caller.name)
    return JSONResponse(
        {which: as_answer(request, context, upload) for which, upload in made.items()}
    )


def check_files(context: ServerContext, caller: Caller, wanted: BaseModel) -> dict[str, Any]:
    """What `Check` describes; takes seconds, so it belongs into a thread of its own.

    Args:
        context: of the server.
        caller: whose files are meant.
        wanted: a `NewCheck`.

    Raises:
        AnimatorError: `no_such_upload`, `url_refused`, `invalid_option`, `too_many_requests`.
    """
    options = wanted.model_dump()
    estimate = options.pop("estimate")
    uploads: dict[str, Upload] = {}

    def find(which: str, given: str) -> str:
        if not is_id(given):
            check_url(Location(given, which), context.settings)
            return given
        upload = uploads[which] = context.uploads.get(given, caller.may_see)
        context.uploads.touch(upload.id)
        return str(upload.path)

    moving = MovingFaces.parse(options["face"])
    options["driving"] = driving_of(options["driving"], moving)
    for which in ("source", "driving"):
        options[which] = find(which, options[which])
    options["face"] = moving.located(lambda file: find(file, file)).text
    output = _NO_OUTPUT + default_suffix(options.pop("format"))
    spec = JobSpec(output=Location(output, "output"), **options)
    with TURNSTILE.turn():
        report = check_job(spec, context.settings, estimate=estimate).as_dict()
    faces = {
        which: [face_answer(face) for face in uploads[which].facts.faces]
        if which in uploads
        else []
        for which in ("source", "driving")
    }
    for finding in report["findings"]:
        finding["message"] = _with_names(finding["message"], uploads)
    return {**report, "faces": faces}


def _with_names(message: str, uploads: dict[str, Upload]) -> str:
    """A sentence that calls uploads what their sender calls them, not where they lie."""
    for upload in uploads.values():
        message = message.replace(quoted(upload.path), repr(upload.name))
        message = message.replace(str(upload.path), upload.name)
    return message
