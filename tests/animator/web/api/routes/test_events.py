"""Event streams: what they begin with, what they bring, how they end and go on."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.store import JobStore, connect
from animator.settings import Settings
from animator.web.api.routes import events
from animator.web.api.schemas import News
from tests.animator.web.job_server import JobServer, job_server
from tests.animator.web.streams import Stream, stream


@pytest.fixture
def http(server: JobServer) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


def told(stream: Stream) -> list[tuple[str, str]]:
    """Kinds and states of a stream's events."""
    return [(event.kind, event.data["state"]) for event in stream.events]


def test_a_job_is_followed_from_how_it_is_to_its_end(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()["id"]
    with stream(http, f"/v1/jobs/{job}/events") as seen:
        headers = seen.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
        seen.wait(1)
        assert seen.retry == "2000"
        record = server.begin(job)
        seen.wait(2)
        for frame in (1, 2):
            server.progress(record, frame)
            seen.wait(2 + frame)
        server.finish(record)
        seen.wait_end()
    assert told(seen) == [
        ("state", "queued"), ("state", "running"), ("progress", "running"),
        ("progress", "running"), ("state", "succeeded"),
    ]  # fmt: skip
    ids = [event.id for event in seen.events]
    assert len({*ids}) == len(ids)
    for event in seen.events:
        News.model_validate(event.data)
    progress = seen.events[3].data
    assert {name: progress[name] for name in ("stage", "frame", "frames", "fps", "eta")} == {
        "stage": "generate", "frame": 2, "frames": 10, "fps": 5.0, "eta": 1.0,
    }  # fmt: skip
    # Coming back is answered so that a browser stays away
    answer = http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": seen.last_id})
    assert (answer.status_code, answer.content) == (204, b"")


def test_what_was_missed_comes_first_and_nothing_twice(
    server: JobServer, http: httpx.Client
) -> None:
    job, other = server.submit()["id"], server.submit()["id"]
    record = server.begin(job)
    with stream(http, f"/v1/jobs/{job}/events") as first:
        first.wait(1)
        server.progress(record, 1)
        first.wait(2)
    server.progress(record, 2)
    server.begin(other)
    server.progress(record, 3)
    for last_id, frames in ((first.last_id, [2, 3]), (first.events[0].id, [1, 2, 3])):
        with stream(http, f"/v1/jobs/{job}/events", last_id) as again:
            again.wait(len(frames))
            assert [event.data["frame"] for event in again.events] == frames
        path = f"/v1/jobs/{job}/events?last_event_id={last_id}"
        with stream(http, path) as again:
            again.wait(len(frames))
            assert [event.data["frame"] for event in again.events] == frames
    server.finish(record)
    with stream(http, f"/v1/jobs/{job}/events", first.last_id) as again:
        again.wait_end()
    assert [event.data["frame"] for event in again.events] == [2, 3, None]


@pytest.mark.parametrize(
    "last_id", ["1-1", "99999999999999-0", "x", "0-0", "'; DROP", "-", "9" * 90]
)
def test_an_id_that_is_not_known_gets_how_the_job_is(
    server: JobServer, http: httpx.Client, last_id: str
) -> None:
    job = server.submit()["id"]
    server.progress(server.begin(job), 7)
    with stream(http, f"/v1/jobs/{job}/events", last_id) as seen:
        (event,) = seen.wait(3)[-1:] if last_id == "0-0" else seen.wait(1)
    assert (event.data["state"], event.data["frame"]) == ("running", 7)


def test_a_job_that_has_ended_is_told_once(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()["id"]
    record = server.begin(job)
    server.finish(record)
    with stream(http, f"/v1/jobs/{job}/events") as seen:
        seen.wait_end()
    assert told(seen) == [("state", "succeeded")]
    headers = {"Last-Event-ID": seen.last_id}
    assert http.get(f"/v1/jobs/{job}/events", headers=headers).status_code == 204


def test_a_failed_job_says_why_and_one_that_is_tried_again_goes_on(
    server: JobServer, http: httpx.Client
) -> None:
    from animator.record import JobError

    job = server.submit()["id"]
    with stream(http, f"/v1/jobs/{job}/events") as seen:
        seen.wait(1)
        record = server.begin(job)
        server.context.client.store.fail(job, record.attempt, JobError("no_face", "There is none."))
        seen.wait_end()
    assert seen.events[-1].data["error"] == "no_face"
    http.post(f"/v1/jobs/{job}/retry")
    with stream(http, f"/v1/jobs/{job}/events", seen.events[0].id) as again:
        again.wait(3)
        server.begin(job)
        again.wait(4)
    assert told(again)[-2:] == [("state", "queued"), ("state", "running")]


def test_a_job_that_is_removed_ends_its_stream(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()["id"]
    http.post(f"/v1/jobs/{job}/cancel")
    with stream(http, "/v1/events") as every:
        every.wait(0)
        assert http.delete(f"/v1/jobs/{job}").status_code == 204
        every.wait(1)
        assert told(every) == [("removed", "cancelled")]
    answer = http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": every.last_id})
    assert answer.status_code == 404


def test_all_jobs_are_followed(server: JobServer, http: httpx.Client) -> None:
    ids = [server.submit()["id"] for _ in range(3)]
    record = server.begin(ids[0])
    with stream(http, "/v1/events") as seen:
        seen.wait(3)
        assert {event.data["job"] for event in seen.events} == {*ids}
        # Only who has got all of it has an id to go on from
        assert [event.id for event in seen.events[:-1]] == ["", ""] and seen.events[-1].id
        server.progress(record, 1)
        ids.append(server.submit()["id"])
        seen.wait(5)
        assert told(seen)[3:] == [("progress", "running"), ("state", "queued")]
    server.progress(record, 2)
    with stream(http, "/v1/events", seen.last_id) as again:
        (event,) = again.wait(1)
        assert event.data["frame"] == 2


def test_a_page_goes_on_from_where_it_was_made(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()["id"]
    with stream(http, "/v1/events") as seen:
        seen.wait(1)
    position = server.context.events.position
    assert position == seen.last_id
    server.begin(job)
    with stream(http, f"/v1/events?last_event_id={position}") as again:
        assert [event.data["state"] for event in again.wait(1)] == ["running"]


def test_owners_are_told_of_their_own_jobs_alone(shared_server: JobServer) -> None:
    server, names = shared_server, ("ann", "bob", "root")
    with ExitStack() as stack:
        clients = {name: stack.enter_context(server.http(name)) for name in names}
        early = server.submit("ann")["id"]
        seen = {
            name: stack.enter_context(stream(http, "/v1/events")) for name, http in clients.items()
        }
        seen["ann"].wait(1)
        seen["root"].wait(1)
        jobs = {name: server.submit(name)["id"] for name in ("ann", "bob")}
        server.progress(server.begin(early), 1)
        assert clients["ann"].post(f"/v1/jobs/{jobs['ann']}/cancel").status_code == 200
        assert clients["ann"].delete(f"/v1/jobs/{jobs['ann']}").status_code == 204
        last = server.submit("bob")["id"]
        seen["root"].wait(8)
        seen["bob"].wait(2)
        seen["ann"].wait(6)
        assert {event.data["job"] for event in seen["ann"].events} == {early, jobs["ann"]}
        assert [event.data["job"] for event in seen["bob"].events] == [jobs["bob"], last]
        assert told(seen["ann"])[-1] == ("removed", "cancelled")
        # What was missed is shown to its owner alone, too
        path = f"/v1/events?last_event_id={seen['root'].events[0].id}"
        with stream(clients["bob"], path) as again:
            assert [event.data["job"] for event in again.wait(2)] == [jobs["bob"], last]


def test_a_stream_says_something_now_and_then(
    server: JobServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert events.BEAT_SECONDS == 15
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.1)
    job = server.submit()["id"]
    with stream(http, f"/v1/jobs/{job}/events") as seen:
        time.sleep(1)
        assert 5 <= seen.comments <= 11
        assert len(seen.events) == 1


def test_only_so_many_streams_are_open(settings: Settings, store: JobStore, tmp_path: Path) -> None:
    with job_server(settings, store, tmp_path / "server", streams=3) as server:
        job = server.submit()["id"]
        with server.http() as http:
            paths = ("/v1/events", f"/v1/jobs/{job}/events", "/v1/events")
            answers = [http.send(http.build_request("GET", path), stream=True) for path in paths]
            refused = http.get("/v1/events")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
            assert refused.headers["retry-after"]
            # One that is closed makes room, at once
            answers[0].close()
            deadline = time.monotonic() + 30
            while server.context.events._open.total() == 3:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            with stream(http, "/v1/events") as again:
                again.wait(1)
            for answer in answers:
                answer.close()


def test_a_server_that_ends_ends_its_streams(
    settings: Settings, store: JobStore, tmp_path: Path
) -> None:
    with job_server(settings, store, tmp_path / "server") as server, server.http() as http:
        job = server.submit()["id"]
        with stream(http, "/v1/events") as every, stream(http, f"/v1/jobs/{job}/events") as one:
            every.wait(1)
            one.wait(1)
            loop = server.context.events._loop
            assert loop is not None
            loop.call_soon_threadsafe(server.context.events.close)
            every.wait_end(3)
            one.wait_end(3)


def test_a_client_that_reads_nothing_costs_no_memory(server: JobServer, http: httpx.Client) -> None:
    """Its progress is replaced, and of other events there are at most so many."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    job = server.submit()["id"]
    record = server.begin(job)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect((host, int(port)))
        deaf.sendall(f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        with stream(http, f"/v1/jobs/{job}/events") as seen:
            seen.wait(1)
            loop = server.context.events._loop
            assert loop is not None
            for frame in range(300):
                server.progress(record, frame % 10 + 1)
            server.finish(record)
            seen.wait_end(20)
        (every,) = server.context.events._watching[None]
        assert len(every._waiting) <= 100
        # Those who read have seen the end, and the newest progress before it
        assert told(seen)[-1] == ("state", "succeeded")


@pytest.mark.slow
def test_a_redis_that_is_killed_and_comes_back_is_followed_further(
    state_dir: Path, tmp_path: Path
) -> None:
    settings = Settings.from_environment()
    redis = EmbeddedRedis(state_dir)
    redis.start()
    store = JobStore(connect(redis.url))
    with job_server(settings, store, tmp_path / "server") as server, server.http() as http:
        job = server.submit()["id"]
        record = server.begin(job)
        with stream(http, f"/v1/jobs/{job}/events") as one, stream(http, "/v1/events") as every:
            server.progress(record, 1)
            one.wait(2)
            every.wait(2)
            time.sleep(1.2)  # until it is on the disk
            pid = redis.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
            answer = http.get(f"/v1/jobs/{job}/events")
            assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
            redis.start()
            server.progress(record, 2)
            server.progress(record, 3)
            server.finish(record)
            one.wait_end(20)
            every.wait(5, 20)
        frames = [event.data["frame"] for event in one.events if event.kind == "progress"]
        assert frames == [1, 2, 3]
        assert told(one)[-1] == ("state", "succeeded")
        assert len({event.id for event in one.events}) == len(one.events)
        assert [event.id for event in every.events][1:] == [event.id for event in one.events][1:]


@pytest.mark.slow
def test_a_redis_that_has_lost_its_memory_is_looked_at_anew(
    state_dir: Path, tmp_path: Path
) -> None:
    settings = Settings.from_environment()
    redis = EmbeddedRedis(state_dir)
    redis.start()
    store = JobStore(connect(redis.url))
    with job_server(settings, store, tmp_path / "server") as server, server.http() as http:
        kept = server.submit()["id"]
        with stream(http, f"/v1/jobs/{kept}/events") as one, stream(http, "/v1/events") as every:
            one.wait(1)
            every.wait(1)
            # As if it had come back with an older state: the newest events are gone
            store.client.delete("animator:events")
            store.client.hset(f"animator:job:{kept}", "state", "running")
            new = server.submit()["id"]
            every.wait(3, 10)
            one.wait(2, 10)
        # How the jobs are now, and then what happens
        assert told(one)[-1] == ("state", "running")
        assert {event.data["job"] for event in every.events[1:]} == {kept, new}


@pytest.mark.slow
def test_two_hundred_idle_streams_cost_next_to_nothing(server: JobServer) -> None:
    jobs = [server.submit()["id"] for _ in range(2)]

    def opened(number: int) -> httpx.Response:
        http = server.http()
        path = "/v1/events" if number % 2 else f"/v1/jobs/{jobs[0]}/events"
        return http.send(http.build_request("GET", path, timeout=60), stream=True)

    with ThreadPoolExecutor(20) as pool:
        answers = [*pool.map(opened, range(200))]
    assert {answer.status_code for answer in answers} == {200}
    time.sleep(1)
    before = time.process_time()
    time.sleep(5)
    used = time.process_time() - before
    for answer in answers:
        answer.close()
    assert used < 0.25, f"{used:.2f} s of 5 s"


def test_streams_of_many_clients_are_told_the_same(server: JobServer) -> None:
    job = server.submit()["id"]
    with ExitStack() as stack:
        seen = []
        for _ in range(30):
            http = stack.enter_context(server.http())
            seen.append(stack.enter_context(stream(http, f"/v1/jobs/{job}/events")))
        for one in seen:
            one.wait(1)
        record = server.begin(job)
        threading.Thread(target=server.finish, args=(record,)).start()
        for one in seen:
            one.wait_end()
            assert told(one) == [("state", "queued"), ("state", "running"), ("state", "succeeded")]
