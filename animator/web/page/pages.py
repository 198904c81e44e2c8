"""The pages: rendered here, of the same functions as the API's answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from animator.errors import CODES, AnimatorError
from animator.record import JobState
from animator.web.access.callers import Caller, Who
from animator.web.access.guard import cookie
from animator.web.api.listing import JobsQuery, list_page
from animator.web.api.reading import find_job, no_such_job
from animator.web.api.routes import jobs as job_routes
from animator.web.api.routes import results
from animator.web.api.schemas import JOB_ID
from animator.web.api.submission import read_request, submit
from animator.web.context import Context, ServerContext
from animator.web.files.multipart import finish
from animator.web.files.multipart import read_form as read_parts
from animator.web.files.sample import sample_uploads
from animator.web.files.uploads import Incoming
from animator.web.page import making
from animator.web.page.messages import Messages, choose
from animator.web.page.rendering import STATIC, render, static_file
from animator.web.page.showing import job_values, what_was_done
from animator.web.page.views import FILES, view_job, view_worker
from animator.web.problems import status_of

router = APIRouter()

_ACTIONS = ("cancel", "retry", "delete")
_JOBS_OF_PAGE = 30
_MOST_FIELDS = 500
_YEAR = 365 * 24 * 3600
_CURSOR = re.compile(r"[0-9]{1,16}-[0-9a-z]{12}", re.ASCII)
_NEXT = re.compile(r"/(?![/\\])[!-~]{0,500}", re.ASCII)


# Make


@router.get("/")
async def show_make(request: Request, context: Context, caller: Who) -> Response:
    """The form, with what the address says: files, options, an earlier job, whether to look."""
    query = dict(request.query_params)
    draft = await run_in_threadpool(making.draft_of_query, context, caller, query)
    if query.get("look") and not draft.errors:
        await making.look(context, caller, draft)
    return await run_in_threadpool(_make_page, request, context, caller, draft)


@router.post("/files")
async def send_files(request: Request, context: Context, caller: Who) -> Response:
    """Take one or two files, then show what was found in them."""
    draft = await _read_form(request, context, caller)
    if draft.error or draft.errors:
        return await run_in_threadpool(_make_page, request, context, caller, draft, 422)
    return _see_other(request, "/?" + urlencode({**draft.as_query(), "look": "1"}))


@router.post("/jobs")
async def submit_job(request: Request, context: Context, caller: Who) -> Response:
    """Submit what the form says; what is wrong with it is said beside its fields."""
    draft, t = await _read_form(request, context, caller), _messages(request)
    options = draft.check(t)
    if not (draft.error or draft.errors):
        try:
            wanted = read_request({**options, **draft.chosen})
            made = await run_in_threadpool(submit, context, caller, wanted)
            return _see_other(request, f"/jobs/{made.record.id}")
        except AnimatorError as error:
            draft.fail(error, t)
    status = draft.status
    return await run_in_threadpool(_make_page, request, context, caller, draft, status)


@router.post("/sample")
async def take_sample(request: Request, context: Context, caller: Who) -> Response:
    """Begin with the sample."""
    await run_in_threadpool(_check_form, request, context, await _small_form(request))
    made = await sample_uploads(context.uploads, caller.name)
    return _see_other(request, "/?" + urlencode([(name, made[name].id) for name in FILES]))


async def _read_form(request: Request, context: ServerContext, caller: Caller) -> making.Draft:
    """What the form of *Make* was sent with; its files are uploads from then on."""

    def begin(field: str, name: str) -> Incoming:
        if field not in FILES:
            raise AnimatorError("bad_request", "The form's files are source and driving.")
        return context.uploads.begin(caller.name, name)

    def check(fields: Mapping[str, str]) -> None:
        _check_form(request, context, fields)

    # Each of the two can come from a field for a camera, too.
    form = await read_parts(request, begin, before_files=check, most_files=2 * len(FILES))
    # Of a field that was sent empty, too, what is filled counts.
    filled = {name: [text for text in texts if text] for name, texts in form.texts.items()}
    draft = making.Draft({name: (texts or [""])[-1] for name, texts in filled.items()})
    try:
        for name, incoming in form.files.items():
            try:
                draft.fields[name] = (await finish(incoming)).id
            except AnimatorError as error:
                draft.fields.pop(name, None)
                draft.errors[name], draft.status = error.message, status_of(error.code)
    finally:
        await form.abandon()
    return draft


def _make_page(
    request: Request,
    context: ServerContext,
    caller: Caller,
    draft: making.Draft,
    status: int = 200,
) -> Response:
    t = _messages(request)
    values = making.form_values(context, caller, draft, t, _root(request))
    return _page(request, context, "make.html", status, **values)


# Jobs


@router.get("/jobs")
def show_jobs(request: Request, context: Context, caller: Who) -> Response:
    """The jobs, the newest first."""
    query, t = request.query_params, _messages(request)
    state, cursor = query.get("state", ""), query.get("cursor")
    states = [one.value for one in JobState]
    if state not in states:
        state = ""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        cursor = None
    asked = JobsQuery.model_validate(
        {"state": state or None, "cursor": cursor, "limit": _JOBS_OF_PAGE}
    )
    records, after = list_page(context, caller, asked)
    here = f"{_root(request)}/jobs"
    of_state = {"state": state} if state else {}
    # How many others have is not told.
    counts = context.client.store.counts() if caller.sees_all else {}
    return _page(
        request,
        context,
        "jobs.html",
        told=what_was_done(query, t),
        state=state,
        states=states,
        counts={one.value: count for one, count in counts.items()},
        jobs=[view_job(context, caller, record, _root(request)) for record in records],
        newer=f"{here}?{urlencode(of_state)}" if cursor else "",
        older=f"{here}?{urlencode({**of_state, 'cursor': after})}" if after else "",
    )


@router.post("/jobs/actions")
async def change_jobs(request: Request, context: Context, caller: Who) -> Response:
    """Cancel, try again or remove several jobs."""
    pairs = await _small_form(request, several=True)
    return await run_in_threadpool(_change_jobs, request, context, caller, pairs)


def _change_jobs(
    request: Request, context: ServerContext, caller: Caller, pairs: list[tuple[str, str]]
) -> Response:
    fields = dict(pairs)
    _check_form(request, context, fields)
    action = fields.get("action", "")
    ids = [value for name, value in pairs if name == "job"]
    done, failed = 0, []
    for job_id in dict.fromkeys(ids):
        try:
            _change(request, context, caller, job_id, action)
            done += 1
        except AnimatorError as error:
            if error.code == "queue_unavailable":
                raise
            failed.append(error.code)
    told = {"state": fields.get("state", ""), "done": done, "left": len(failed)}
    if failed:
        told["why"] = failed[0]
    return _see_other(request, "/jobs?" + urlencode(told))


@router.get("/jobs/{job_id}")
def show_job(request: Request, context: Context, caller: Who, job_id: str) -> Response:
    """One job: how it is doing, or what came of it."""
    record = find_job(context, caller, _job_id(job_id))
    job = view_job(context, caller, record, _root(request), context.client.store.logs(job_id))
    values = job_values(job, _messages(request), _root(request))
    return _page(request, context, "job.html", **values)


@router.get("/jobs/{job_id}/picture")
def show_picture(request: Request, context: Context, caller: Who, job_id: str) -> Response:
    """The best picture of a job that there is; with `watch`, the newest frame of one that runs."""
    record = find_job(context, caller, _job_id(job_id))
    ways = [results.poster]
    if request.query_params.get("watch") and record.state is JobState.RUNNING:
        ways.insert(0, results.preview)
    for way in ways:
        try:
            return way(request, context, caller, job_id)
        except AnimatorError as error:
            if error.code == "queue_unavailable":
                raise
    return Response(static_file("nobody.svg")[0], media_type=STATIC["nobody.svg"])


@router.post("/jobs/{job_id}/{action}")
async def change_job(
    request: Request, context: Context, caller: Who, job_id: str, action: str
) -> Response:
    """Cancel, try again or remove a job."""
    fields = await _small_form(request)
    return await run_in_threadpool(_change_job, request, context, caller, job_id, action, fields)


def _change_job(
    request: Request,
    context: ServerContext,
    caller: Caller,
    job_id: str,
    action: str,
    fields: Mapping[str, str],
) -> Response:
    _check_form(request, context, fields)
    _change(request, context, caller, job_id, action)
    return _see_other(request, "/jobs?done=1" if action == "delete" else f"/jobs/{job_id}")


def _change(
    request: Request, context: ServerContext, caller: Caller, job_id: str, action: str
) -> None:
    """Do with a job what is asked for, as the API does."""
    job_id = _job_id(job_id)
    if action == "cancel":
        job_routes.cancel_job(request, context, caller, job_id)
    elif action == "retry":
        job_routes.retry_job(request, context, caller, job_id)
    elif action == "delete":
        job_routes.remove_job(context, caller, job_id)
    else:
        raise AnimatorError("no_such_page", CODES["no_such_page"])


# Workers


@router.get("/workers")
def show_workers(request: Request, context: Context, caller: Who) -> Response:
    """Who renders, and what."""
    found = context.client.store.workers()
    workers = [view_worker(context, caller, info, _root(request)) for info in found]
    return _page(request, context, "workers.html", workers=workers)


# Who is there


@router.get("/login")
def show_login(request: Request, context: Context) -> Response:
    """Where one signs in, if there are tokens."""
    after = request.query_params.get("next", "")
    if context.guard.tokens is None:
        return _see_other(request, "/")
    return _page(request, context, "login.html", next=after, wrong="")


@router.post("/login")
async def sign_in(request: Request, context: Context, caller: Who) -> Response:
    """Begin a session for whoever has a token."""
    fields = await _small_form(request)
    return await run_in_threadpool(_sign_in, request, context, caller, fields)


def _sign_in(
    request: Request, context: ServerContext, caller: Caller, fields: Mapping[str, str]
) -> Response:
    _check_form(request, context, fields)
    after = fields.get("next", "")
    try:
        session = context.guard.sign_in(fields.get("token", "").strip(), caller.address)
    except AnimatorError as error:
        status, t = status_of(error.code), _messages(request)
        wrong = t("login.wrong") if error.code == "not_signed_in" else error.message
        return _page(request, context, "login.html", status, next=after, wrong=wrong)
    answer = RedirectResponse(after if _NEXT.fullmatch(after) else f"{_root(request)}/", 303)
    answer.headers.append("Set-Cookie", cookie(dict(request.scope), session))
    return answer


@router.post("/logout")
async def sign_out(request: Request, context: Context) -> Response:
    """End a session."""
    fields = await _small_form(request)
    return await run_in_threadpool(_sign_out, request, context, fields)


def _sign_out(request: Request, context: ServerContext, fields: Mapping[str, str]) -> Response:
    _check_form(request, context, fields)
    context.guard.sign_out(request.state.session)
    answer = _see_other(request, "/login")
    answer.headers.append("Set-Cookie", cookie(dict(request.scope), "", seconds=0))
    return answer


# What pages are made of


@router.get("/static/{name}")
def send_static(request: Request, name: str) -> Response:
    """The style sheet, the module, the icon."""
    if name not in STATIC:
        raise AnimatorError("no_such_page", CODES["no_such_page"])
    content, version = static_file(name)
    # An address with a version stands for this content for ever.
    fixed = request.query_params.get("v") == version
    headers = {
        "Cache-Control": f"public, max-age={_YEAR}, immutable" if fixed else "no-cache",
        "ETag": f'"{version}"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=STATIC[name])


def error_page(request: Request, error: AnimatorError) -> Response | None:
    """What a browser shows of an error; None where it is not a page that was asked for."""
    path = request.url.path.removeprefix(_root(request))
    if path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
        return None
    status, context = status_of(error.code), request.app.state.context
    return _page(request, context, "error.html", status, message=error.message, code=error.code)


def _page(
    request: Request, context: ServerContext, template: str, status: int = 200, **values: Any
) -> Response:
    t, name = _messages(request), template.removesuffix(".html")
    # What the guard refuses has none.
    csrf = getattr(request.state, "csrf", "")
    common = {
        "page": "jobs" if name == "job" else name,
        "csrf": csrf,
        "signed_in": context.guard.tokens is not None and name != "login" and csrf != "",
        "told": "",
    }
    text = render(template, t, _root(request), **{**common, **values})
    return HTMLResponse(text, status, {"Vary": "Accept-Language, Cookie"})


def _messages(request: Request) -> Messages:
    return choose(request.headers.get("accept-language", ""))


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root


def _see_other(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(_root(request) + path, 303)


def _job_id(text: str) -> str:
    if not re.fullmatch(JOB_ID, text):
        raise no_such_job(text[:40])
    return text


def _check_form(
    request: Request, context: ServerContext, fields: Mapping[str, str] | list[tuple[str, str]]
) -> None:
    context.guard.check_csrf(request, dict(fields).get("csrf"))


async def _small_form(request: Request, several: bool = False) -> Any:
    """The fields of a form without files: by name, or, where a name may come again, as pairs.

    Raises:
        AnimatorError: `bad_request`.
    """
    body = (await request.body()).decode(errors="replace")
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise AnimatorError("bad_request", "The form has too many fields.") from None
    return pairs if several else dict(pairs)
