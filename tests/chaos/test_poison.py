"""Jobs that crash, hang and eat memory among good ones: these succeed, those end with their reason.

The pipeline is a fake, the workers are real; a small supervisor starts those again that die.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobState
from tests.worker.conftest import queue, submit
from tests.worker.workers import Submit, ended, supervised, until

pytestmark = pytest.mark.slow

__all__ = ["queue", "submit"]

GOOD = 40
BAD: dict[str, tuple[dict[str, int], str, str]] = {
    "crash": ({"abort": 5}, "worker_crashed", "SIGABRT (Aborted)"),
    "hang": ({"hang": 1000}, "stalled", "no progress for 8 seconds"),
    "memory": ({"memory_mb": 300}, "out_of_memory", "not enough memory"),
}
"""What the job does, and the code and a part of the sentence that it ends with."""


def test_bad_jobs_end_with_their_reason_and_good_ones_succeed(
    store: JobStore, queue: Queue, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "2")
    # A busy machine takes some to start the process in which a suspect job is tried alone
    monkeypatch.setenv("ANIMATOR_STALL_SECONDS", "8")
    monkeypatch.setenv("ANIMATOR_JOB_MEMORY_MB", "200")
    with supervised(queue, 2, "-c", "4") as deaths:
        good = [submit(frames=20, seconds=0.5, segment=5) for _ in range(10)]
        bad = {}
        for name, (plan, _, _) in BAD.items():
            bad[name] = submit(**plan)
            good += [submit(frames=20, seconds=0.5, segment=5) for _ in range(10)]
        assert len(good) == GOOD
        for job in good:
            record = ended(store, job, 60)
            assert (record.state, record.crashes) == (JobState.SUCCEEDED, 0), record
            made = Path(job.spec.output).read_text()
            assert made.endswith(": 4 9 14 19 ")
        for name, (_, code, part) in BAD.items():
            record = ended(store, bad[name], 60)
            assert record.state is JobState.FAILED and record.error is not None
            assert record.error.code == code, name
            assert part in record.error.message
            assert record.crashes == 2
        assert deaths  # it was not for nothing
        folder = Path(good[0].spec.output).parent
        until(lambda: not [*folder.glob(".*")])
