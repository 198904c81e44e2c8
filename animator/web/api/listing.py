"""Pages of jobs that a caller may see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from animator.record import JobRecord, JobState
from animator.web.access.callers import Caller
from animator.web.api.schemas import JOB_ID, State
from animator.web.context import ServerContext

MOST = 200
"""Jobs of a page."""
_CHUNK = 200
_MOST_READ = 2000
"""Records that one page looks at: a caller with few jobs among many of others gets several short
pages, and nobody waits for one of them."""


def _moment(text: str) -> str:
    """Check a date or a time.

    Raises:
        ValueError: for what is none.
    """
    datetime.fromisoformat(text)
    return text


Since = Annotated[
    str,
    AfterValidator(_moment),
    Field(max_length=40, json_schema_extra={"format": "date-time"}),
]


class JobsQuery(BaseModel):
    """Which jobs are asked for."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(default=None, description="Only jobs in this state.")
    since: Since | None = Field(
        default=None, description="Only jobs submitted then or later: ISO 8601; without zone, UTC."
    )
    until: Since | None = Field(
        default=None, description="Only jobs submitted before then, likewise."
    )
    limit: int = Field(default=50, ge=1, le=MOST, description="At most so many.")
    cursor: str | None = Field(
        default=None,
        pattern=rf"^[0-9]{{1,16}}-{JOB_ID.strip('^$')}$",
        description="The `next` of the page before.",
    )


def list_page(
    context: ServerContext, caller: Caller, query: JobsQuery
) -> tuple[list[JobRecord], str | None]:
    """A page of jobs, the newest first, and the cursor of the next one.

    Jobs that are submitted meanwhile do not move the pages that follow.
    """
    store, place = context.client.store, _place(query.cursor)
    state = None if query.state is None else JobState(query.state)
    found: list[JobRecord] = []
    # One more than are shown tells whether there is a page after this one.
    step = query.limit + 1 if caller.sees_all else _CHUNK
    for _ in range(_MOST_READ // _CHUNK):
        places = store.list_ids(
            state, since=_time(query.since), until=_time(query.until), before=place, limit=step
        )
        records = {one.id: one for one in store.get_many([job_id for _, job_id in places])}
        for here in places:
            record = records.get(here[1])
            if record is not None and caller.may_see(record.options.owner):
                if len(found) == query.limit:
                    return found, _cursor(place)
                found.append(record)
            place = here
        if len(places) < step:
            return found, None
    return found, _cursor(place)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _place(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    score, _, job_id = cursor.partition("-")
    return int(score), job_id


def _cursor(place: tuple[int, str] | None) -> str | None:
    return None if place is None else f"{place[0]}-{place[1]}"
