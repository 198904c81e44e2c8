"""A job's life through the API, with a real worker process."""

from __future__ import annotations

import pytest

from animator.jobs.queue import load_queue
from animator.jobs.store import JobStore
from animator.settings import Settings
from tests.animator.web.job_server import PORTRAIT, JobServer
from tests.animator.web.streams import stream
from tests.worker.workers import worker


@pytest.mark.slow
def test_from_the_form_to_the_video(server: JobServer, settings: Settings, store: JobStore) -> None:
    plan = {"frames": 30, "seconds": 2}
    with worker(load_queue(settings, store), "--concurrency", "1"), server.http() as http:
        assert http.get("/readyz").status_code == 200
        # Watched to its end
        job = server.submit(plan=plan)
        with stream(http, job["links"]["events"]) as seen:
            seen.wait_end(30)
        states = [one.data["state"] for one in seen.events if one.kind == "state"]
        assert states[-2:] == ["running", "succeeded"]
        frames = [one.data["frame"] for one in seen.events if one.kind == "progress"]
        assert len(frames) >= 2 and frames == sorted(frames)
        assert http.get(job["links"]["result"]).content.startswith(b"made of")
        # Waited for
        wanted = server.new_job(plan=plan | {"seconds": 0.2})
        answer = http.post("/v1/jobs", json=wanted, headers={"Prefer": "wait=30"})
        assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
        # Cancelled while it runs, tried again, cancelled again
        job = server.submit(plan={"frames": 1000, "seconds": 100})
        with stream(http, "/v1/events") as seen:
            for _ in range(2):
                count = len(seen.events)
                seen.wait(count + 3, 20)
                http.post(job["links"]["cancel"])
                while http.get(job["links"]["self"]).json()["state"] != "cancelled":
                    pass
                assert http.post(job["links"]["retry"]).json()["state"] == "queued"
        http.post(job["links"]["cancel"])
        assert PORTRAIT in server.context.uploads.get(job["files"]["source"]).path.read_bytes()
