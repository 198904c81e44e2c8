"""The event hub: changes of jobs, read from Redis by one thread and told to all who watch.

The thread waits for events and hands them to the server's loop, where everything else happens: the
newest events are kept in memory, so that a stream that comes back gets what it missed without
asking Redis, and each subscription holds what its stream has not sent yet.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from fastapi.concurrency import run_in_threadpool

from animator.errors import AnimatorError
from animator.jobs.events import NO_EVENT, JobEvent, event_order
from animator.jobs.reading import Unreadable
from animator.jobs.scripts import EVENTS
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState
from animator.web.access.callers import Caller
from animator.web.api.news import News, tell

logger = logging.getLogger(__name__)

WAIT_SECONDS = 2.0
"""How long the thread waits for events in one go; also how long it may take to end."""
LAG_SECONDS = 2.0
"""How long a stream waits for the hub to come to where Redis, or another server, is."""
_RETRY_SECONDS = 0.2
_PAGE = 1000
_OWNERS = 20_000
_BEHIND = 50
"""Events that may wait for a stream before it counts as slow."""
_MOST_WAITING = 1000
"""Events that a stream may be behind; one that is further is closed, and comes back by itself."""
_MOST_STREAMS = 1000
"""Streams of all callers together; below the connections of `animator.web.access.protocol`."""
_EVERYBODY = Caller()


class Subscription:
    """What one stream has not sent yet.

    For a slow reader, progress is replaced by later progress of the same job, and one that falls
    far behind is closed: memory does not grow.

    Args:
        job: only events of this job; None for those of all.
        caller: whose jobs alone are told of.
    """

    def __init__(self, job: str | None, caller: Caller) -> None:
        self.job = job
        self._caller = caller
        self.closed = False
        """Whether nothing more comes: the server ends, or the stream was too slow."""
        self.reset = False
        """Whether events may have been lost, so that the records have to be looked at."""
        self._after = (-1, -1)
        self._waiting: list[News] = []
        self._room = _BEHIND
        self._changed = asyncio.Event()

    def concerns(self, news: News) -> bool:
        """Whether an event is one for this stream."""
        if self.job not in (None, news.job):
            return False
        return self._caller.sees_all or (
            news.owner is not None and self._caller.may_see(news.owner)
        )

    def offer(self, news: News) -> None:
        """Take an event, if it is one for this stream."""
        if news.order <= self._after or not self.concerns(news):
            return
        self._waiting.append(news)
        if len(self._waiting) > self._room:
            self._condense()
        self._changed.set()

    def skip(self, event_id: str) -> None:
        """Leave out events up to one, which are known."""
        self._after = event_order(event_id)
        self._waiting = [news for news in self._waiting if news.order > self._after]

    def start_anew(self) -> None:
        """Say that events may have been lost."""
        self.reset = True
        self._waiting.clear()
        self._after = (-1, -1)
        self._changed.set()

    def close(self) -> None:
        """Let the stream end."""
        self.closed = True
        self._waiting.clear()
        self._changed.set()

    async def next(self, seconds: float) -> list[News]:
        """The events that have come, the oldest first; waits for the first, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return []
        self._changed.clear()
        news, self._waiting, self._room = self._waiting, [], _BEHIND
        return news

    def _condense(self) -> None:
        """Leave out progress after which there is some of the same job."""
        newest = {one.job: one for one in self._waiting if one.kind == "progress"}
        self._waiting = [
            one for one in self._waiting if one.kind != "progress" or newest[one.job] is one
        ]
        # Seldom, however many jobs there are.
        self._room = max(2 * len(self._waiting), _BEHIND)
        if len(self._waiting) > _MOST_WAITING:
            self.close()


class EventHub:
    """Tells streams of a server what happens to jobs.

    Args:
        store: of the jobs; only the hub's thread waits with it.
        streams: that one caller may have open.

    Attributes:
        position: the id of the newest event that is known; a page can go on from it.
    """

    def __init__(self, store: JobStore, streams: int = 256) -> None:
        self._store = store
        self._streams = streams
        self._open: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._watching: dict[str | None, set[Subscription]] = {}
        # Of the loop, and before it begins of the thread: the newest events, and their order.
        self.position = NO_EVENT
        self._news: list[News] = []
        self._orders: list[tuple[int, int]] = []
        self._whole = False
        self._moved = asyncio.Event()
        # Of the thread.
        self._position: str | None = None
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; the loop that the streams live in may begin later."""
        self._thread = threading.Thread(target=self._read, name="events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the streams, which would keep the server from ending, and soon after the thread.

        Called in the loop, if there is one.
        """
        self._stopping.set()
        for subscription in self._subscriptions():
            subscription.close()

    # Streams

    @contextmanager
    def counted(self, caller: str) -> Iterator[None]:
        """Count a stream for as long as the block runs.

        Args:
            caller: who opens it: the name of a token, or an address.

        Raises:
            AnimatorError: `too_many_requests` if there are too many.
        """
        total = self._open.total()
        if self._open[caller] >= self._streams or total >= max(_MOST_STREAMS, self._streams):
            whose = "you have" if self._open[caller] >= self._streams else "there are"
            message = f"So many event streams are open that no more is opened: {whose} {total}."
            raise AnimatorError("too_many_requests", message, retryable=True)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    @contextmanager
    def subscribed(self, job: str | None, caller: Caller = _EVERYBODY) -> Iterator[Subscription]:
        """A subscription for as long as the block runs.

        Args:
            job: only of this job; None for all jobs.
            caller: whose jobs alone are told of.
        """
        self._bind()
        subscription = Subscription(job, caller)
        if self._stopping.is_set():
            subscription.close()
        self._watching.setdefault(job, set()).add(subscription)
        try:
            yield subscription
        finally:
            left = self._watching[job]
            left.discard(subscription)
            if not left:
                del self._watching[job]

    async def reached(self, event_id: str, seconds: float = LAG_SECONDS) -> bool:
        """Whether the hub has come to an event, or comes there within some seconds."""
        order = event_order(event_id)
        try:
            async with asyncio.timeout(seconds):
                while not self._orders or self._orders[-1] < order:
                    if order == event_order(NO_EVENT):
                        return True
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def missed(self, event_id: str, subscription: Subscription) -> list[News] | None:
        """What a stream has missed after an event; the subscription goes on from there.

        Args:
            event_id: the last that it has had.
            subscription: the stream's.

        Returns:
            None if that cannot be told: the event is none, or too long ago.
        """
        order = event_order(event_id)
        place = bisect_right(self._orders, order)
        known = place > 0 and self._orders[place - 1] == order
        if not known and not (event_id == NO_EVENT and self._whole):
            return None
        if self._news:
            subscription.skip(self._news[-1].id)
        return [news for news in self._news[place:] if subscription.concerns(news)]

    async def ended(self, job_id: str, seconds: float) -> bool:
        """Whether a job has ended, or ends within some seconds."""
        with self.subscribed(job_id) as subscription:
            states = await run_in_threadpool(self._store.states, [job_id])
            if job_id not in states or states[job_id].ended:
                return True
            try:
                async with asyncio.timeout(seconds):
                    while not subscription.closed:
                        news = await subscription.next(seconds)
                        if subscription.reset or any(one.last for one in news):
                            return True
            except TimeoutError:
                pass
        return False

    def _deliver(self, news: Sequence[News], reset: bool = False, whole: bool = False) -> None:
        """Tell the streams; runs in the loop.

        Args:
            news: the events that have come.
            reset: whether they are all that there are, and others may have been lost.
            whole: whether none is missing before them, then.
        """
        if reset:
            self._news.clear()
            self._orders.clear()
            self._whole = whole
        self._news += news
        self._orders += [one.order for one in news]
        if reset or news:
            self.position = self._news[-1].id if self._news else NO_EVENT
        # Cut seldom, as it moves the whole list.
        if len(self._news) > EVENTS + EVENTS // 10:
            del self._news[:-EVENTS]
            del self._orders[:-EVENTS]
            self._whole = False
        # Whoever waits for a place of the hub looks again.
        self._moved.set()
        self._moved = asyncio.Event()
        if reset:
            for subscription in self._subscriptions():
                subscription.start_anew()
            return
        for one in news:
            for subscription in (*self._watching.get(one.job, ()), *self._watching.get(None, ())):
                subscription.offer(one)

    def _subscriptions(self) -> list[Subscription]:
        return [one for every in self._watching.values() for one in every]

    def _bind(self) -> None:
        """Have everything happen in the running loop from now on."""
        if self._loop is None:
            with self._lock:
                self._loop = asyncio.get_running_loop()

    # The thread

    def _hand_over(self, tell: Callable[[], None]) -> None:
        """Have the loop do something; as long as nobody streams, it is done here."""
        with self._lock:
            if self._loop is None:
                tell()
            elif not self._stopping.is_set():
                self._loop.call_soon_threadsafe(tell)

    def _read(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                if self._position is None:
                    self._begin()
                assert self._position is not None
                events = self._store.wait_events(self._position, WAIT_SECONDS)
                # What was read before must still be there: a Redis that has lost its memory goes
                # on with later ids, and the client connects to it again by itself.
                if not self._goes_on(self._position):
                    self._begin()
                elif events:
                    news = self._news_of(events)
                    self._hand_over(partial(self._deliver, news))
                    self._position = events[-1].id
                told = False
            except AnimatorError as error:
                if not told:
                    logger.warning("events are not told until the queue answers: %s", error)
                told = True
                self._stopping.wait(_RETRY_SECONDS)
            except Exception:
                # The thread must not end, or all streams would be still without a reason.
                logger.exception("events could not be read")
                self._stopping.wait(5 * _RETRY_SECONDS)

    def _goes_on(self, position: str) -> bool:
        """Whether an event that was read is in the stream, with all that came since."""
        if position == NO_EVENT:
            return True
        first = self._store.events_after(_before(position), limit=1)
        return bool(first) and first[0].id == position

    def _begin(self) -> None:
        """Read the whole stream, and have the streams look at the records."""
        position, events = NO_EVENT, []
        while page := self._store.events_after(position, limit=_PAGE):
            position = page[-1].id
            events += page
        news = [
            one
            for start in range(0, len(events), _PAGE)
            for one in self._news_of(events[start : start + _PAGE])
        ]
        whole = len(events) < EVENTS
        self._hand_over(partial(self._deliver, news, reset=True, whole=whole))
        self._position = position

    def _news_of(self, events: Sequence[JobEvent]) -> list[News]:
        """The events, with what their records tell: whose the jobs are, and why they failed."""
        failed = {one.job for one in events if one.kind == "state" and one.state is JobState.FAILED}
        unknown = {one.job for one in events if one.job not in self._owners}
        codes: dict[str, str] = {}
        ids = sorted(failed | unknown)
        for record in self._store.read_each(ids):
            if isinstance(record, JobRecord):
                self._remember(record.id, record.options.owner)
            if isinstance(record, (JobRecord, Unreadable)) and record.error is not None:
                codes[record.id] = record.error.code
        made = []
        for one in events:
            why = one.state is JobState.FAILED and one.kind == "state"
            data = tell(one, one.job, one.progress, codes.get(one.job) if why else None)
            owner = self._owners.get(one.job)
            order = event_order(one.id)
            made.append(News(one.id, order, one.job, one.kind, one.state, owner, data))
        return made

    def _remember(self, job_id: str, owner: str) -> None:
        """Keep whose a job is, which never changes, also for the event that it was removed."""
        self._owners[job_id] = owner
        self._owners.move_to_end(job_id)
        while len(self._owners) > _OWNERS:
            self._owners.popitem(last=False)


def _before(event_id: str) -> str:
    """The greatest id before one."""
    milliseconds, number = event_order(event_id)
    return f"{milliseconds}-{number - 1}" if number else f"{milliseconds - 1}-{2**64 - 1}"
