"""Problem documents (RFC 9457): what the API answers when something is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from animator.errors import CODES, AnimatorError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUS: dict[str, int] = {
    "bad_request": 400,
    "not_signed_in": 401,
    "not_allowed": 403,
    "url_refused": 403,
    "webhook_refused": 403,
    "no_such_page": 404,
    "no_such_job": 404,
    "no_such_upload": 404,
    "no_such_weights": 404,
    "no_result": 404,
    "no_preview": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "wrong_state": 409,
    "output_exists": 409,
    "upload_too_large": 413,
    "too_large": 413,
    "unsupported_format": 415,
    "too_many_requests": 429,
    "internal": 500,
    "record_unreadable": 500,
    "queue_unavailable": 503,
    "storage_unavailable": 503,
    "check_crashed": 422,
    "out_of_memory": 503,
    "disk_full": 507,
    "quota_exceeded": 507,
}
"""Status of each code; any other is that of a job or file that cannot be used, 422."""
_BY_STATUS = {404: "no_such_page", 405: "method_not_allowed", 413: "upload_too_large"}
_SHOWN_ERRORS = 5


class Problem(BaseModel):
    """What was wrong with a request."""

    type: str = Field(description="about:blank; `code` says which problem it is.")
    title: str = Field(description="What the code means, always the same sentence.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, a sentence for a person.")
    code: str = Field(description="A stable code of docs/errors.md.")
    retryable: bool = Field(description="Whether the same request can succeed later.")


def status_of(code: str) -> int:
    """The HTTP status of an error's code."""
    return STATUS.get(code, 422)


def problem(error: AnimatorError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer for an error."""
    status = status_of(error.code)
    content = {
        "type": "about:blank",
        "title": CODES[error.code],
        "status": status,
        "detail": error.message,
        "code": error.code,
        "retryable": error.retryable,
    }
    headers = dict(headers or {})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers.setdefault("Retry-After", "10")
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route says of its failures in the API's document.

    Args:
        codes: that it may answer with, beside those that every route has.
    """
    # The guard and the server's limits may answer any request.
    usual = (
        "bad_request", "not_signed_in", "not_allowed", "too_many_requests", "queue_unavailable",
    )  # fmt: skip
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*usual, *codes)):
        by_status.setdefault(status_of(code), []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{c}`" for c in found),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def handle_errors(
    app: FastAPI,
    as_page: Callable[[Request, AnimatorError], Response | None] = lambda request, error: None,
) -> None:
    """Have an app answer every error with a problem.

    Args:
        app: the app.
        as_page: what is answered instead where somebody looks at a page; None where nobody does.
    """

    def answer(
        request: Request, error: AnimatorError, headers: dict[str, str] | None = None
    ) -> Response:
        return as_page(request, error) or problem(error, headers)

    @app.exception_handler(AnimatorError)
    def expected(request: Request, error: AnimatorError) -> Response:
        if error.code == "internal":
            logger.error("%s %s: %s", request.method, request.url.path, error)
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, AnimatorError("invalid_option", _sentence(error)))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, AnimatorError):  # raised while the body was read
            return problem(error.__cause__)
        code = _BY_STATUS.get(error.status_code, "bad_request")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request))
        # The framework's own sentences say no more than the status.
        return answer(request, AnimatorError(code, CODES[code]), headers)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        # The server logs the traceback; a stranger is told nothing of it.
        sentence = "The server has failed; its log says how."
        return answer(request, AnimatorError("internal", sentence))


def _allowed(request: Request) -> list[str]:
    """The methods that an address takes; the framework names those of one of its routes."""
    methods: set[str] = set()
    for route in _each_route(request.app.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return sorted(methods)


def _each_route(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        # Newer versions of FastAPI keep the routers that were included.
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _each_route(included.routes)


def _sentence(error: RequestValidationError) -> str:
    """What is wrong with the parts of a request, in one sentence."""
    found = []
    for item in error.errors()[:_SHOWN_ERRORS]:
        where = ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0])
        found.append(f"{where[:100]}: {item['msg']}")
    return "; ".join(found) + "."
