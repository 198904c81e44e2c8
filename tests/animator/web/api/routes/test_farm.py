"""The farm over HTTP: the queue, workers, weights, and whether jobs will be done."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.backlog import look
from animator.jobs.store import JobStore, WorkerInfo, connect
from animator.settings import Settings
from animator.web.api.schemas import Queue, Weights, Worker
from animator.weights.library import list_weights
from tests.animator.web.job_server import JobServer, job_server


def beat(store: JobStore, *jobs: str, consuming: bool = True) -> None:
    """A sign of a worker's life."""
    store.heartbeat(WorkerInfo("w", "host", 1, "2026", 2, consuming, "0", jobs=jobs), 60)


def test_the_queue_is_as_the_command_prints_it(server: JobServer, store: JobStore) -> None:
    with server.http() as http:
        Queue.model_validate_json(http.get("/v1/queue").content)
        server.finish(server.begin(server.submit()["id"]))
        server.begin(server.submit(priority="high")["id"])
        server.submit(device="cpu")
        answer = http.get("/v1/queue")
    Queue.model_validate_json(answer.content)
    shown = answer.json()
    expected = json.loads(json.dumps(look(store).as_dict()))
    assert {**shown, "eta": None} == {**expected, "eta": None}
    assert (shown["queued"], shown["running"], shown["kinds"]["cpu"]) == (1, 1, 1)


def test_workers_are_listed_with_the_jobs_that_one_may_see(
    shared_server: JobServer, store: JobStore
) -> None:
    jobs = {owner: shared_server.submit(owner)["id"] for owner in ("ann", "bob")}
    beat(store, *jobs.values())
    seen = {}
    for owner in ("ann", "bob", "root"):
        with shared_server.http(owner) as http:
            answer = http.get("/v1/workers")
        (worker,) = TypeAdapter(list[Worker]).validate_json(answer.content)
        assert (worker.slots, worker.since, worker.consuming) == (2, "2026", True)
        seen[owner] = set(worker.jobs)
    assert seen == {"ann": {jobs["ann"]}, "bob": {jobs["bob"]}, "root": {*jobs.values()}}


def test_weights_are_listed_without_their_places(server: JobServer) -> None:
    settings = server.context.settings
    settings.weights_dir.mkdir(parents=True)
    (settings.weights_dir / "broken.safetensors").write_bytes(b"no weights")
    with server.http() as http:
        answer = http.get("/v1/weights")
    shown = TypeAdapter(list[Weights]).validate_json(answer.content)
    assert [entry.name for entry in shown] == [one.name for one in list_weights(settings)]
    assert shown[0].name == "default" and shown[0].problem is None
    assert shown[1].problem is not None
    assert str(settings.state_dir) not in answer.text


def test_it_is_ready_while_somebody_takes_jobs(shared_server: JobServer, store: JobStore) -> None:
    # Without a token
    with httpx.Client(base_url=shared_server.address) as http:
        assert http.get("/livez").json() == {"status": "alive"}
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
        assert "worker" in answer.json()["detail"]
        beat(store, consuming=False)
        assert http.get("/readyz").status_code == 503
        beat(store)
        assert http.get("/readyz").json() == {"status": "ready"}


def test_it_is_alive_and_not_ready_without_redis(state_dir: Path, tmp_path: Path) -> None:
    redis = EmbeddedRedis(state_dir)
    redis.start()
    store = JobStore(connect(redis.url))
    beat(store)
    with job_server(Settings.from_environment(), store, tmp_path / "server") as server:
        with server.http() as http:
            assert http.get("/readyz").status_code == 200
            redis.stop()
            assert http.get("/livez").status_code == 200
            for path in ("/readyz", "/v1/queue", "/v1/workers", "/v1/jobs", "/v1/events"):
                answer = http.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")


@pytest.mark.parametrize("path", ["/v1/queue", "/v1/workers", "/v1/weights", "/v1/jobs"])
def test_the_rest_needs_a_token(shared_server: JobServer, path: str) -> None:
    with httpx.Client(base_url=shared_server.address) as http:
        assert http.get(path).status_code == 401
