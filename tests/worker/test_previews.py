"""Previews of jobs that real workers run: they appear while somebody looks, and change."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from PIL import Image

from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobState
from tests.worker.workers import Submit, ended, until, worker

pytestmark = pytest.mark.slow


def shade(picture: bytes | None) -> int:
    """Of the grey JPEG that the fake pipeline draws; it grows from frame to frame."""
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.size) == ("JPEG", (60, 40))
        found: int = image.convert("L").getpixel((0, 0))
        return found


@contextmanager
def looking(store: JobStore, job: str) -> Iterator[None]:
    """Somebody looks, as a server does that renews the wish."""
    over = Event()

    def renew() -> None:
        while not over.is_set():
            store.want_preview(job)
            over.wait(1)

    thread = Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("alone", [False, True])
def test_a_frame_appears_and_changes_while_somebody_looks(
    store: JobStore, queue: Queue, submit: Submit, alone: bool
) -> None:
    with worker(queue, "--concurrency", "2"):
        job = submit(tell=False, frames=250, seconds=12)
        if alone:
            store.client.hset(f"animator:job:{job.id}", "suspect", "1")
        unwatched = submit(frames=20, seconds=2)
        queue.enqueue(job.id)
        until(lambda: store.get(job.id).progress)
        assert ended(store, unwatched).state is JobState.SUCCEEDED
        # Nobody has looked so far, so nothing was drawn or stored.
        assert store.client.keys("animator:preview:*") == []
        assert store.get(job.id).suspect == alone

        began = time.monotonic()
        with looking(store, job.id):
            first = until(lambda: store.preview(job.id), 30)
            assert time.monotonic() - began < 3
            # It is the newest frame, or was so a second ago.
            progress = store.get(job.id).progress
            assert progress is not None
            assert abs(shade(first) - 255 * progress.frame / 250) < 255 * 2.5 / 12
            second = until(lambda: (now := store.preview(job.id)) != first and now, 30)
            assert shade(second) > shade(first)

        # Some seconds after the last look no more is drawn.
        until(lambda: not store.client.exists(f"animator:preview:wanted:{job.id}"), 30)
        time.sleep(0.6)
        last = store.preview(job.id)
        record = ended(store, job, 30)
        assert record.state is JobState.SUCCEEDED and store.preview(job.id) == last
        assert 30 < store.client.ttl(f"animator:preview:{job.id}") <= 60
        assert not store.client.exists(f"animator:preview:{unwatched.id}")


def test_a_redis_that_is_away_holds_up_no_job_that_is_looked_at(
    store: JobStore, queue: Queue, submit: Submit, tmp_path: Path
) -> None:
    with worker(queue):
        job = submit(frames=40, seconds=4)
        with looking(store, job.id):
            until(lambda: store.preview(job.id), 30)
            began = time.monotonic()
            # It answers nobody for some seconds.
            store.client.execute_command("CLIENT", "PAUSE", 6000, "ALL")
            # The video is there while Redis is still away: the frames went on.
            until(lambda: len([*tmp_path.glob(".*.parts/*/*.mp4")]) == 4, 6)
            assert time.monotonic() - began < 5.5
        assert ended(store, job).state is JobState.SUCCEEDED
