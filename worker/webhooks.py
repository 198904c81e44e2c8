"""Delivery of webhooks: receivers are told of jobs that have ended, at least once each.

Every worker that knows the secret takes events out of the outbox. One that dies in between has
only postponed them: after `TAKEN_SECONDS` another worker sends them. A receiver that does not
answer with 2xx in time is tried again, later and later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from animator import __version__
from animator.errors import AnimatorError
from animator.jobs.store import JobStore
from animator.jobs.webhook import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    check_address,
    check_host,
    host_of,
    signature,
)
from animator.values import without_users
from worker import metrics
from worker.logs import about_job
from worker.loop import start_loop
from worker.outbox import Event, Outbox

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
TRY_SECONDS = 15.0
"""How long one try may take in all, however slowly the receiver answers."""
TAKEN_SECONDS = 60.0
"""How long an event is this worker's; longer than a try."""
AT_ONCE = 16
"""Tries that one worker makes at the same time, so that a slow receiver does not hold up others."""
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
"""Seconds before the second try, doubled from try to try, and their cap."""
PARTING_SECONDS = 5.0
"""How long a worker that ends still waits for receivers."""
MAX_TRIES = 20
"""Tries before an event is given up: about ten hours."""


class Deliverer:
    """A thread that sends what is due.

    Args:
        store: the jobs, and the outbox.
        secret: what messages are signed with.
        hosts: where messages may go, as `animator.jobs.webhook.check_host` takes them.
        first_wait: seconds before the second try.
        try_seconds: how long a try may take.
        taken_seconds: how long an event is this worker's.
    """

    def __init__(
        self,
        store: JobStore,
        secret: str,
        hosts: Sequence[str],
        *,
        first_wait: float = FIRST_WAIT,
        try_seconds: float = TRY_SECONDS,
        taken_seconds: float = TAKEN_SECONDS,
    ) -> None:
        self._store = store
        self._outbox = Outbox(store.client)
        self._secret = secret
        self._hosts = tuple(hosts)
        self._first_wait = first_wait
        self._try_seconds = try_seconds
        self._taken_seconds = taken_seconds
        self._reachable = True
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = start_loop("webhooks", lambda: asyncio.run(self._run()), self._ended)

    def stop(self, seconds: float = PARTING_SECONDS) -> None:
        """Send what is due now and end; what that leaves over, others will send."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(seconds)

    async def _run(self) -> None:
        tries: set[asyncio.Task[None]] = set()
        # One connection for each message, verified against the system's certificates. Proxies and
        # passwords that the environment may name are not for addresses that strangers choose.
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._try_seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            # One more round after the end: jobs of this worker may have ended just before.
            last = False
            while not last:
                last = self._ended.is_set()
                # The client of Redis blocks; so it gets a thread.
                events = await asyncio.to_thread(self._take, AT_ONCE - len(tries))
                tries |= {asyncio.create_task(self._try(client, event)) for event in events}
                if last and tries:
                    await asyncio.wait(tries)
                await asyncio.sleep(0 if events else POLL_SECONDS)
                tries = {task for task in tries if not task.done()}

    def _take(self, limit: int) -> list[Event]:
        try:
            waits = (self._first_wait, LONGEST_WAIT)
            events = self._outbox.take(limit, self._taken_seconds, *waits) if limit else []
        except AnimatorError as error:
            if self._reachable:
                logger.warning("webhooks wait for the store: %s", error)
            self._reachable = False
            return []
        self._reachable = True
        return events

    async def _try(self, client: httpx.AsyncClient, event: Event) -> None:
        """Send one event and write down what came of it."""
        about_job(event.job, event.attempt)  # a task has a context of its own
        try:
            problem, final = await self._send(client, event)
            if problem is None:
                outcome = "delivered"
            else:
                outcome = "given_up" if final or event.tries >= MAX_TRIES else "retried"
            await asyncio.to_thread(self._settle, event, outcome, problem)
        except AnimatorError as error:  # the store is away; the event will be due again
            logger.warning("webhook: %s", error)
        except Exception:
            # Whatever it is, it must not end the thread; the event will be due again.
            logger.exception("webhook: a fault in the animator")

    async def _send(self, client: httpx.AsyncClient, event: Event) -> tuple[str | None, bool]:
        """Why the receiver did not take it, None if it did; and whether to try no more."""
        try:
            check_host(event.url, self._hosts)
        except AnimatorError as error:
            return error.message, True
        body = await asyncio.to_thread(self._body, event)
        try:
            async with asyncio.timeout(self._try_seconds):
                status = await self._post(client, event, body)
        except AnimatorError as error:
            return error.message, False  # a name's address may change
        except TimeoutError:
            return f"no answer within {self._try_seconds:g} s", False
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {without_users(str(error))}", False
        if 200 <= status < 300:
            return None, False
        # 410 Gone: the receiver wants no more.
        return f"the answer was status {status}", status == 410

    async def _post(self, client: httpx.AsyncClient, event: Event, body: bytes) -> int:
        """Send to the address that the name has now, and that was looked at; gives the status."""
        parts, host = urlsplit(event.url), host_of(event.url)
        # Resolved and checked here, and this address is used: a name that is asked for
        # twice may answer with another one.
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        for address in addresses:
            check_address(host, address, self._hosts)
        timestamp = int(time.time())
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": f"animator/{__version__}",
            DELIVERY_HEADER: event.id,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: signature(self._secret, timestamp, body),
        }
        for address in addresses:
            try:
                async with client.stream(
                    "POST",
                    httpx.URL(event.url).copy_with(host=address),
                    content=body,
                    headers=headers,
                    # The certificate is that of the name, not that of the address.
                    extensions={"sni_hostname": host},
                ) as answer:
                    return answer.status_code
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
        raise AssertionError("a name without addresses is an error of getaddrinfo")

    def _body(self, event: Event) -> bytes:
        """The message: the event, and the job's record unless the job has gone on since."""
        job = {"id": event.job, "state": event.state, "attempt": event.attempt}
        try:
            record = self._store.get(event.job)
            if (record.state.value, record.attempt) == (event.state, event.attempt):
                job = record.as_dict()
        except AnimatorError as error:
            if error.code not in ("no_such_job", "record_unreadable"):
                raise
        message = {"event": f"job.{event.state}", "delivery": event.id, "job": job}
        return json.dumps(message).encode()

    def _settle(self, event: Event, outcome: str, problem: str | None) -> None:
        metrics.observe_webhook(outcome)
        if outcome == "retried":
            wait = min(self._first_wait * 2 ** (event.tries - 1), LONGEST_WAIT)
            wait *= random.uniform(0.8, 1.2)  # so that many do not come back at once
            self._outbox.postpone(event, wait)
            logger.info("webhook, try %d: %s", event.tries, problem)
            return
        self._outbox.remove(event)
        if problem is None:
            line = "webhook delivered"
            logger.info(line)
        else:
            line = f"webhook given up: {problem}"
            logger.warning(line)
        self._store.log(event.job, line)
