"""Claims of submitters on shards, so that several of them can share a run.

A claim is a key in Redis that a thread prolongs (`animator.broker.held_keys`). One whose submitter
was killed or cut off is another's to take. A submitter that comes back late does no harm: jobs are
the same by their keys, and a shard's files by their bytes.
"""

from __future__ import annotations

import logging
import threading

from animator.broker.held_keys import HeldKey
from animator.errors import AnimatorError
from animator.jobs.store import JobStore

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 20.0


class Claims:
    """The claims of one submitter.

    Args:
        store: whose Redis holds them.
        run: name of the run.
        seconds: how long a claim lasts without a word from its submitter.
    """

    def __init__(self, store: JobStore, run: str, seconds: float = CLAIM_SECONDS) -> None:
        self._client, self._run, self._seconds = store.client, run, seconds
        self._held: dict[str, HeldKey] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="claims", daemon=True)

    def __enter__(self) -> Claims:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Release all."""
        self._end.set()
        self._thread.join()
        for name in [*self._held]:
            try:
                self.release(name)
            except AnimatorError as error:  # it runs out by itself
                logger.warning("the claim on %s is not released: %s", name, error)

    def take(self, name: str) -> bool:
        """Claim something; false while another submitter has it.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        with self._lock:
            key = self._held.get(name)
            key = key or HeldKey(self._client, f"dataset:{self._run}:{name}", self._seconds)
            if key.take():
                self._held[name] = key
            else:
                self._held.pop(name, None)
        return self.holds(name)

    def holds(self, name: str) -> bool:
        """Whether a claim is still held, as far as is known."""
        return name in self._held

    def release(self, name: str) -> None:
        """Let go of a claim.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        with self._lock:
            if key := self._held.pop(name, None):
                key.release()

    def _keep(self) -> None:
        while not self._end.wait(self._seconds / 3):
            for name in [*self._held]:
                try:
                    self._prolong(name)
                except AnimatorError as error:
                    logger.warning("the claim on %s is not prolonged: %s", name, error)

    def _prolong(self, name: str) -> None:
        with self._lock:
            key = self._held.get(name)  # it may have been released meanwhile
            # Redis may have been away for longer than the claim lasts.
            if key and not key.prolong() and not key.take():
                logger.warning("another submitter has %s now", name)
                del self._held[name]
