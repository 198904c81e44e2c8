"""Idempotency keys: a request that is sent again makes no second job.

A key stands for what was asked for with it: a fingerprint in Redis, which all servers of a queue
share. The job itself gets a key that is made of both, of which the store has only one job, however
many requests come at the same moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from animator.broker.connection import PREFIX, queue_errors
from animator.errors import AnimatorError
from animator.jobs.store import JobStore

KEEP_SECONDS = 7 * 24 * 3600
"""How long it is known what a key was used for."""
_LONGEST = 200
"""Characters of a job's key."""


class IdempotencyKey:
    """What a caller calls one request.

    Args:
        store: of the jobs.
        owner: the caller; another one's same key is another key.
        text: the key.
        content: what is asked for, as plain values.
    """

    def __init__(self, store: JobStore, owner: str, text: str, content: Mapping[str, Any]) -> None:
        self._store = store
        self._name = f"{PREFIX}web:idempotency:{_hash([owner, text])}"
        self._fingerprint = _hash(content)
        self.job_key = f"idempotency:{_hash([owner, text, self._fingerprint])}"
        """The key of the job that the request makes."""

    @contextmanager
    def used(self) -> Iterator[None]:
        """Use the key for its request; if the block fails, it is free again.

        Raises:
            AnimatorError: `idempotency_mismatch` if it was used for another request.
        """
        client = self._store.client
        with queue_errors():
            new = client.set(self._name, self._fingerprint, nx=True, ex=KEEP_SECONDS)
            known = cast("bytes | None", client.get(self._name))
        # None: just freed, or expired between the two.
        if known is not None and known.decode() != self._fingerprint:
            message = "This Idempotency-Key was used for another job; choose a new one."
            raise AnimatorError("idempotency_mismatch", message)
        try:
            yield
        except AnimatorError as error:
            # What has failed for a mistake may be sent again, corrected. Whoever uses the key for
            # the same at this moment makes a job that has the fingerprint in its own key.
            if new and error.code != "queue_unavailable":
                with queue_errors():
                    client.delete(self._name)
            raise


def own_key(owner: str, text: str) -> str:
    """A job's key that a caller has chosen, apart from those of others."""
    key = f"{owner}:{text}" if owner else text
    return key if len(key) <= _LONGEST else f"{owner}:{_hash(text)}"


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
