"""Heartbeats: the workers' signs of life in Redis."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any, cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors
from animator.errors import AnimatorError
from animator.values import load_fields, plain

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerInfo:
    """A worker's last sign of life."""

    id: str
    host: str
    pid: int
    started: str
    """When it began: UTC, ISO 8601."""
    concurrency: int
    consuming: bool
    """Whether it takes new jobs; a worker that is shutting down does not."""
    version: str
    device: str = ""
    """Where it runs the networks: "cpu" or "cuda:N"; empty until that is known."""
    device_name: str = ""
    """What that device calls itself."""
    kind: str = "cpu"
    """Which jobs it can run besides those for any worker: "cpu" or "cuda"."""
    jobs: tuple[str, ...] = ()
    """Ids of the jobs that it runs."""
    fps: float = 0.0
    """Frames that it makes a second, lately and of all its jobs together."""
    memory_mb: float = 0.0
    """Memory that its process holds, in MiB."""
    queues: tuple[str, ...] = ()
    """Names of the queues that it takes jobs from."""

    def to_json(self) -> str:
        """The sign of life as one line of JSON."""
        return json.dumps(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """The sign of life for `--json`."""
        values = asdict(self)
        slots, since = values.pop("concurrency"), values.pop("started")
        return {**values, "slots": slots, "since": since}

    @classmethod
    def from_json(cls, text: str | bytes) -> WorkerInfo:
        """The sign of life from JSON, which a worker of another version may have written.

        Raises:
            AnimatorError: `invalid_option` if it cannot be read.
        """
        values = load_fields(cls, text, "sign of life")
        try:
            for name in ("jobs", "queues"):
                values[name] = tuple(map(str, values.get(name, ())))
            found = cls(**values)
            texts = (found.id, found.host, found.started, found.version, found.kind)
            valid = all(isinstance(text, str) for text in texts)
            numbers = (found.pid, found.concurrency, found.fps, found.memory_mb)
            valid = valid and all(isinstance(number, int | float) for number in numbers)
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise AnimatorError("invalid_option", "The sign of life has no such fields.")
        return found


class WorkerRegistry(RedisBase):
    """Which workers live."""

    def heartbeat(self, info: WorkerInfo, seconds: float, *, enrol: bool = False) -> None:
        """Say that a worker lives; holds for the given time.

        Args:
            info: what it says.
            seconds: how long it holds.
            enrol: whether its id is written, too, although it should be on the list already.
        """
        key = f"{PREFIX}worker:{info.id}"
        with queue_errors():
            before = self.client.set(key, info.to_json(), px=int(seconds * 1000), get=True)
            # A silence of that length may have taken it off the list.
            if enrol or before is None:
                self.client.sadd(f"{PREFIX}workers", info.id)

    def forget(self, worker_id: str) -> None:
        """Remove the sign of life of a worker that ends."""
        with queue_errors():
            pipeline = self.client.pipeline()
            pipeline.delete(f"{PREFIX}worker:{worker_id}")
            pipeline.srem(f"{PREFIX}workers", worker_id)
            pipeline.execute()

    def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        with queue_errors():
            ids = sorted(cast("set[bytes]", self.client.smembers(f"{PREFIX}workers")))
            if not ids:
                return []
            found = cast(
                "list[bytes | None]",
                self.client.mget([f"{PREFIX}worker:".encode() + worker for worker in ids]),
            )
            # Killed workers: their key has expired, their id is still in the set.
            if gone := [worker for worker, text in zip(ids, found, strict=True) if text is None]:
                self.client.srem(f"{PREFIX}workers", *gone)
        alive = []
        for worker, text in zip(ids, found, strict=True):
            if text is not None:
                try:
                    alive.append(WorkerInfo.from_json(text))
                except AnimatorError as error:  # the others live all the same
                    logger.warning("the sign of life of %s is left out: %s", plain(worker), error)
        return alive
