"""Event streams: how one job is doing, and all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from animator.errors import AnimatorError
from animator.jobs.events import NO_EVENT, check_event_id, event_order
from animator.record import JobRecord, JobState
from animator.web.access.callers import Caller, Who
from animator.web.api.events import Subscription
from animator.web.api.news import News, Snapshot, take_snapshot
from animator.web.api.reading import JobId, find_job
from animator.web.api.schemas import News as NewsData
from animator.web.context import Context, ServerContext
from animator.web.problems import problems

router = APIRouter(tags=["events"])

BEAT_SECONDS = 15.0
"""How often a stream says something, so that proxies do not take it for dead."""
_MOST = 100
"""Jobs of a state that a stream of all jobs begins with, the newest."""
_BEGINNING = b"retry: 2000\n\n"

_LastId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="The `id` of the last event that was received; what came since is sent first.",
    ),
]
_LastIdHere = Annotated[
    str | None,
    Query(
        alias="last_event_id",
        max_length=100,
        description="The same, for a first connection that cannot set a header.",
    ),
]


_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"enum": ["state", "progress", "removed"]},
        "id": {"type": "string", "description": "For Last-Event-ID."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": NewsData.model_json_schema(),
        },
    },
}
"""What the document says of each event."""


class EventStream(Response):
    """An answer that goes on for as long as its events do.

    Args:
        frames: what is sent.
        close: called in the end, however that comes.
    """

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], close: Callable[[], object]) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._close = frames, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end or the client goes."""
        sending = asyncio.ensure_future(self._send(send))
        going = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, going}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, going):
                task.cancel()
            await asyncio.gather(sending, going, return_exceptions=True)
            self._close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for frame in self._frames:
            # Waits if the client does not read; `animator.web.access.protocol` ends that.
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _stream_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of a stream."""
    names = ", ".join(NewsData.model_fields)
    example = (
        "retry: 2000\n\nevent: progress\nid: 1767225600000-0\n"
        'data: {"job": "7k2m9x4q1w3e", "state": "running", "attempt": 1, ...}\n\n'
    )
    stream = {
        "description": "Events `state`, `progress` and `removed`, as `EventSource` reads them. The "
        f"data of each is a JSON object with {names}; what is not known is null.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "itemSchema": _EVENT,
                "example": example,
            }
        },
    }
    return {200: stream, **problems("invalid_option", *codes)}


@router.get(
    "/v1/jobs/{job_id}/events",
    summary="Follow a job",
    status_code=200,
    response_class=EventStream,
    responses={
        **_stream_responses("no_such_job", "record_unreadable"),
        204: {"description": "The job has ended, and all of it was received: do not come again."},
    },
)
async def job_events(
    job_id: JobId,
    context: Context,
    caller: Who,
    last_id: _LastId = None,
    last_id_here: _LastIdHere = None,
) -> Response:
    """Server-sent events of one job, from how it is now until it has ended.

    With the id of the last event that was received, the stream begins with those that came since;
    if these are no longer known, with how the job is now. A comment is sent every 15 seconds. Once
    the job has ended the stream ends, too, and coming back to it is answered with 204.
    """
    read = partial(_read_job, context, caller, job_id)
    return await _open(context, caller, job_id, last_id or last_id_here, read)


@router.get(
    "/v1/events",
    summary="Follow all jobs",
    status_code=200,
    response_class=EventStream,
    responses=_stream_responses(),
)
async def all_events(
    context: Context,
    caller: Who,
    last_id: _LastId = None,
    last_id_here: _LastIdHere = None,
) -> Response:
    """Server-sent events of all jobs that the caller may see, without an end.

    It begins with the newest jobs that wait and run, or as the stream of one job with what was
    missed. A client that is slow gets less of the progress.
    """
    read = partial(_read_all, context, caller)
    return await _open(context, caller, None, last_id or last_id_here, read)


def _read_job(context: ServerContext, caller: Caller, job_id: str) -> list[JobRecord]:
    return [find_job(context, caller, job_id)]


def _read_all(context: ServerContext, caller: Caller) -> Iterable[JobRecord]:
    for state in (JobState.RUNNING, JobState.QUEUED):
        for record in context.client.store.list_jobs(state, limit=_MOST):
            if caller.may_see(record.options.owner):
                yield record


async def _open(
    context: ServerContext,
    caller: Caller,
    job_id: str | None,
    last_id: str | None,
    read: Callable[[], Iterable[JobRecord]],
) -> Response:
    """Open a stream: with what was missed, or else with how the jobs are."""
    hub = context.events
    with ExitStack() as held:
        held.enter_context(hub.counted(caller.counted_as))
        # Before the records are read, so that nothing falls between.
        subscription = held.enter_context(hub.subscribed(job_id, caller))
        snapshot = await run_in_threadpool(take_snapshot, context.client.store, read)
        missed = await _missed(context, snapshot, last_id, subscription)
        ended = job_id is not None and all(one.state.ended for one in snapshot.records)
        if ended and missed is not None and not missed:
            return Response(status_code=204)
        frames = _frames(context, subscription, snapshot, missed, read)
        return EventStream(frames, held.pop_all().close)


async def _missed(
    context: ServerContext, snapshot: Snapshot, last_id: str | None, subscription: Subscription
) -> list[News] | None:
    """What came after the last event that a client has had; None if that cannot be told."""
    try:
        known = check_event_id(last_id or "")
    except AnimatorError:
        return None
    # The hub may be a moment behind Redis, and behind the server that the client was at before.
    newest = max(known, snapshot.event_id, key=event_order)
    if newest != NO_EVENT and not await context.events.reached(newest):
        return None
    return context.events.missed(known, subscription)


async def _frames(
    context: ServerContext,
    subscription: Subscription,
    snapshot: Snapshot,
    missed: list[News] | None,
    read: Callable[[], Iterable[JobRecord]],
) -> AsyncIterator[bytes]:
    """All that a stream sends."""
    # Where it begins
    if missed is None:
        subscription.skip(snapshot.event_id)
        yield _BEGINNING + snapshot.frames()
    else:
        yield _BEGINNING + b"".join(news.frame() for news in missed)
    ended = _ends(subscription, snapshot if missed is None else None, missed or [])
    # What happens from then on
    while not (ended or subscription.closed):
        news = await subscription.next(BEAT_SECONDS)
        if subscription.reset:
            subscription.reset = False
            try:
                snapshot = await run_in_threadpool(take_snapshot, context.client.store, read)
            except AnimatorError:
                return  # the client comes back, and is told then
            subscription.skip(snapshot.event_id)
            yield snapshot.frames()
            ended = _ends(subscription, snapshot, [])
            continue
        yield b"".join(one.frame() for one in news) or b":\n\n"
        ended = _ends(subscription, None, news)


def _ends(subscription: Subscription, snapshot: Snapshot | None, news: list[News]) -> bool:
    """Whether a stream of one job has told its end; a job that is tried again goes on."""
    if subscription.job is None:
        return False
    if snapshot is not None:
        return any(record.state.ended for record in snapshot.records)
    states = [one for one in news if one.kind != "progress"]
    return bool(states) and states[-1].last
