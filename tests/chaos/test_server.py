"""A server that is killed in the middle of an upload and of a job, and its Redis too."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.settings import Settings
from tests.serving import Server, import_narrow_weights, serving
from tests.worker.workers import until

pytestmark = pytest.mark.slow


@pytest.fixture
def weights(state_dir: Path) -> str:
    """The name of small weights."""
    return import_narrow_weights(Settings.from_environment())


@pytest.fixture
def job(samples: tuple[Path, Path], weights: str) -> dict[str, Any]:
    """What is asked for: some seconds of rendering."""
    return {"weights": weights, "size": 512, "end": "2.5"}


def started(server: Server, samples: tuple[Path, Path], options: dict[str, Any]) -> str:
    """The id of a job that renders."""
    source, driving = (server.upload(path) for path in samples)
    job = str(server.submit(source, driving, **options)["id"])
    until(lambda: stage(server, job) == "generate", 60)
    return job


def stage(server: Server, job: str) -> str | None:
    record = server.record(job)
    assert record["state"] in ("queued", "running"), record
    return (record["progress"] or {}).get("stage")


def events(
    server: Server, job: str, last: str | None = None, most: int = 10**6
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Events of a job: id, kind, data; ends when the stream does."""
    headers = {"Last-Event-ID": last} if last else {}
    path = f"/v1/jobs/{job}/events"
    with server.http.stream("GET", path, headers=headers, timeout=60) as answer:
        if answer.status_code == 204:
            return
        assert answer.status_code == 200, answer.read()
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(":")
            if line:
                fields[name] = value.strip()
            elif "data" in fields:
                yield fields["id"], fields.get("event", ""), json.loads(fields["data"])
                fields = {}
                most -= 1
                if not most:
                    return


def key(event_id: str) -> tuple[int, int]:
    first, _, second = event_id.partition("-")
    return int(first), int(second)


def test_a_killed_server_finds_its_job_again_and_streams_go_on(
    samples: tuple[Path, Path], job: dict[str, Any]
) -> None:
    with serving() as server:
        name = started(server, samples, job)
        seen = list(events(server, name, most=3))
        port = server.port
        server.kill()
        # On the same address, as a supervisor would start it again
        with serving("--port", str(port)) as again:
            rest = list(events(again, name, last=seen[-1][0]))
            ids = [key(one[0]) for one in (*seen, *rest)]
            assert ids == sorted(set(ids))
            assert rest[-1][2]["state"] == "succeeded"
            record = again.record(name)
            assert record["state"] == "succeeded" and record["attempt"] == 1
            assert again.http.get(f"/jobs/{name}").status_code == 200
            video = again.http.get(f"/v1/jobs/{name}/result")
            assert video.content == Path(record["output"]).read_bytes()
            # What has ended is not streamed again.
            assert list(events(again, name, last=rest[-1][0])) == []


def test_half_an_upload_of_a_killed_server_is_gone_in_time(
    samples: tuple[Path, Path], state_dir: Path
) -> None:
    folder = state_dir / "server" / "uploads"
    with serving("--no-worker") as server:
        whole = server.upload(samples[0])
        head = (
            "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + os.urandom(4 << 20))
            until(lambda: len([*folder.iterdir()]) > 1)
            server.kill()
    (half,) = [one for one in folder.iterdir() if one.name != whole["id"]]
    with serving("--no-worker") as server:
        assert server.http.get(f"/v1/files/{half.name}").status_code == 404
        assert [one["id"] for one in server.http.get("/v1/files").json()["items"]] == [whole["id"]]
    # Later, by the clock of the file system
    for path in (half, *half.iterdir()):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    with serving("--no-worker"):
        until(lambda: not half.exists(), 30)
        assert (folder / whole["id"]).is_dir()


def test_a_killed_redis_comes_back_and_nothing_is_lost(
    samples: tuple[Path, Path], state_dir: Path, job: dict[str, Any]
) -> None:
    with serving() as server:
        name = started(server, samples, job)
        pid = EmbeddedRedis(state_dir).status().pid
        assert pid is not None
        stream = events(server, name)
        first = next(stream)
        os.kill(pid, signal.SIGKILL)
        rest = list(stream)  # the stream outlives it
        ids = [key(one[0]) for one in (first, *rest)]
        assert ids == sorted(set(ids)) and rest[-1][2]["state"] == "succeeded"
        record = server.ended(name)
        assert record["state"] == "succeeded"
        assert server.http.get(f"/v1/jobs/{name}/result").status_code == 200
        assert EmbeddedRedis(state_dir).status().pid not in (None, pid)


def test_a_server_without_its_redis_says_so_and_lives(
    samples: tuple[Path, Path], redis_url: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = EmbeddedRedis(state_dir / "other")
    shared.start()
    monkeypatch.setenv("ANIMATOR_BROKER_URL", shared.url)
    with serving("--no-worker") as server:
        assert server.http.get("/v1/jobs").status_code == 200
        shared.stop()
        answer = server.http.get("/v1/jobs", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
        assert server.http.get("/livez").status_code == 200
        assert server.http.get("/readyz").status_code == 503
        shared.start()
        until(lambda: httpx.get(f"{server.url}/v1/jobs").status_code == 200, 30)
        shared.stop()
