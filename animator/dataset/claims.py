"""Which submitter works on which shard, so that several of them can share a run.

A claim is a key in Redis with a time to live, prolonged by a thread. One that runs out, because its
submitter was killed or cut off, is another's to take; on the same machine at once, as it is seen
there that the process is gone. A submitter that comes back late does no
harm: jobs are the same by their keys, and a shard's files by their bytes.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from functools import cache
from pathlib import Path
from typing import cast

from animator.errors import AnimatorError
from animator.redis_base import PREFIX, queue_errors
from animator.store import JobStore

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 20.0
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class Claims:
    """The claims of one submitter.

    Args:
        store: whose Redis holds them.
        run: name of the run.
        seconds: how long a claim lasts without a word from its submitter.
    """

    def __init__(self, store: JobStore, run: str, seconds: float = CLAIM_SECONDS) -> None:
        self._client, self._run = store.client, run
        self._milliseconds = round(1000 * seconds)
        self._token = f"{_machine()} {os.getpid()} {secrets.token_hex(8)}"
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._renew = store.client.register_script(_RENEW)
        self._release = store.client.register_script(_RELEASE)
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
            if self._set(name):
                self._held.add(name)
        return self.holds(name)

    def holds(self, name: str) -> bool:
        """Whether a claim is still held, as far as is known."""
        return name in self._held

    def release(self, name: str) -> None:
        """Let go of a claim.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        with self._lock, queue_errors():
            self._held.discard(name)
            self._release(keys=[self._key(name)], args=[self._token])

    def _set(self, name: str) -> bool:
        key = self._key(name)
        with queue_errors():
            for _ in range(2):
                if self._client.set(key, self._token, nx=True, px=self._milliseconds):
                    return True
                holder = cast("bytes | None", self._client.get(key)) or b""
                if holder == self._token.encode():
                    return True  # the answer was lost, and the command sent twice
                if not _is_gone(holder.decode()):
                    return False
                self._release(keys=[key], args=[holder])
            return False

    def _key(self, name: str) -> str:
        return f"{PREFIX}dataset:{self._run}:{name}"

    def _keep(self) -> None:
        while not self._end.wait(self._milliseconds / 3000):
            for name in [*self._held]:
                try:
                    with self._lock:
                        self._prolong(name)
                except AnimatorError as error:
                    logger.warning("the claim on %s is not renewed: %s", name, error)

    def _prolong(self, name: str) -> None:
        if name not in self._held:  # released meanwhile
            return
        with queue_errors():
            ours = self._renew(keys=[self._key(name)], args=[self._token, self._milliseconds])
        # Redis may have been away for longer than the claim lasts.
        if not ours and not self._set(name):
            logger.warning("another submitter has %s now", name)
            self._held.discard(name)


@cache
def _machine() -> str:
    """This machine since it was started, and what sees the same processes on it; or nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_gone(token: str) -> bool:
    """Whether a claim's submitter was a process here that has ended."""
    machine, _, rest = token.partition(" ")
    pid = rest.partition(" ")[0]
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
