"""The app: all routes, the API's description, and the guard around them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Scope

from animator import __version__
from animator.errors import AnimatorError
from animator.web.access.guard import GuardMiddleware
from animator.web.api.routes import checks, events, farm, files, jobs, results
from animator.web.context import ServerContext
from animator.web.heads import HeadMiddleware
from animator.web.page import pages
from animator.web.problems import Problem, handle_errors

DESCRIPTION = """\
Animates portraits with the motion of driving videos: send both files, submit a job, watch it, and
fetch its video. Errors are problem documents (RFC 9457) with a stable `code`.
"""
TAGS = [
    {"name": "files", "description": "Portraits and driving videos that were sent."},
    {"name": "jobs", "description": "What is animated with what, and what came of it."},
    {"name": "events", "description": "Changes of jobs as they happen (server-sent events)."},
    {"name": "farm", "description": "The queue, its workers, and the models they have."},
]


def make_app(context: ServerContext) -> ASGIApp:
    """The app of a server, as it is served."""
    api = make_api()
    api.state.context = context

    def as_page(scope: Scope, error: AnimatorError) -> Response | None:
        return pages.error_page(Request({**scope, "app": api}), error)

    return GuardMiddleware(HeadMiddleware(api), context.guard, as_page)


def make_api() -> FastAPI:
    """All routes, without the guard; this also describes them."""
    # The interactive documentation of FastAPI would fetch its parts from elsewhere.
    api = FastAPI(
        title="animator",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    handle_errors(api, pages.error_page)
    for routes in (files, checks, jobs, results, events, farm):
        api.include_router(routes.router)
    api.include_router(pages.router, include_in_schema=False)
    api.openapi = lambda: describe(api)  # type: ignore[method-assign]
    return api


def describe(api: FastAPI) -> dict[str, Any]:
    """The API's OpenAPI document, with what is the same for all its routes."""
    if api.openapi_schema is None:
        document = FastAPI.openapi(api)
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        # FastAPI's own description of errors, which are problems here
        for name in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(name, None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        # Without a token file no token is needed.
        document["security"] = [{"token": []}, {}]
        api.openapi_schema = document
    return api.openapi_schema
