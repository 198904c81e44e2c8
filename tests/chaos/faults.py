"""What happens to a farm's Redis: fail-overs, garbage, clocks that are set, damaged records."""

from __future__ import annotations

import time

import redis

from animator.jobs.client import Client
from animator.spec import JobSpec

QUEUE_KEY = "animator:celery:animator.any.normal"
GARBAGE = (b"\xff garbage", b"", b"null", b"[]", b"{}", b'{"properties": {}, "headers": {}}')
HOUR = 3_600_000


def fail_over(client: redis.Redis, seconds: float) -> None:
    """Have Redis take no writes for a while, as a replica of nobody."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    time.sleep(seconds)
    client.execute_command("REPLICAOF", "NO", "ONE")


def put_garbage(client: redis.Redis) -> int:
    """Put messages that nobody can read among the others; gives how many."""
    for message in GARBAGE:
        client.lpush(QUEUE_KEY, message)
    return len(GARBAGE)


def move_times(client: redis.Redis, hours: int) -> None:
    """Move the leases and reminders on record, as if the clock of Redis had been set."""
    for key in (b"animator:leases", *client.scan_iter("animator:waiting:*")):
        for name, _ in client.zscan_iter(key):
            client.zadd(key, {name: hours * HOUR}, xx=True, incr=True)


def damaged_job(client: Client, spec: JobSpec) -> str:
    """The id of a job that nobody can read: it fails, and nobody else is held up."""
    job = client.store.create(spec)
    client.store.client.hset(f"animator:job:{job.id}", "spec", '{"unknown": true}')
    client.queue.enqueue(job.id)
    return job.id
