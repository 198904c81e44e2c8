"""The farm as a whole: what waits, who works, with which weights, and whether all is well."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from animator.errors import AnimatorError
from animator.jobs.backlog import look
from animator.web.access.callers import Caller, Who
from animator.web.api.reading import JsonAnswer
from animator.web.api.schemas import Health, Queue, Weights, Worker
from animator.web.context import Context, ServerContext
from animator.web.problems import problems
from animator.weights.library import list_weights

router = APIRouter(tags=["farm"])


@router.get(
    "/v1/queue",
    summary="The queue",
    response_model=Queue,
    responses=problems(),
)
def queue(context: Context) -> Response:
    """How many jobs wait, how fast they go, and when the last will have ended."""
    return JsonAnswer(look(context.client.store).as_dict())


@router.get(
    "/v1/workers",
    summary="The workers",
    response_model=list[Worker],
    responses=problems(),
)
def workers(context: Context, caller: Who) -> Response:
    """The workers that live: machine, device, slots, jobs, frames a second, memory, since when."""
    return JsonAnswer(_workers(context, caller))


def _workers(context: ServerContext, caller: Caller) -> list[dict[str, Any]]:
    store = context.client.store
    found = [worker.as_dict() for worker in store.workers()]
    if not caller.sees_all:
        # Which jobs others have is not told.
        ids = sorted({job for values in found for job in values["jobs"]})
        seen = {one.id for one in store.get_many(ids) if caller.may_see(one.options.owner)}
        for values in found:
            values["jobs"] = [job for job in values["jobs"] if job in seen]
    return found


@router.get(
    "/v1/weights",
    summary="The weights",
    response_model=list[Weights],
    responses=problems(),
)
def weights(context: Context) -> Response:
    """The weights that a job can name, those that are shipped first."""
    found = [info.as_dict() for info in list_weights(context.settings)]
    for values in found:
        del values["path"]
        if values["problem"] is not None:
            # The sentence names files of the server.
            values["problem"] = (
                "They are damaged; `animator weights verify` on the server says how."
            )
    return JsonAnswer(found)


@router.get(
    "/livez",
    summary="Whether the server answers",
    response_model=Health,
    responses=problems(),
)
async def live() -> Response:
    """That this process answers, whatever the queue does."""
    return JsonAnswer({"status": "alive"})


@router.get(
    "/readyz",
    summary="Whether jobs will be done",
    response_model=Health,
    responses=problems(),
)
def ready(context: Context) -> Response:
    """That the queue answers and that a worker takes jobs from it."""
    if not any(worker.consuming for worker in context.client.store.workers()):
        message = "No worker takes jobs; what is submitted waits for one."
        raise AnimatorError("queue_unavailable", message, retryable=True)
    return JsonAnswer({"status": "ready"})
