"""The API of jobs: submitting, looking, cancelling, trying again, removing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from animator.animation.motion.file import pack_motion
from animator.jobs.store import JobStore
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.web.api.schemas import Job, JobPage, LogLine
from animator.web.upkeep import inputs_in_use
from tests.animator.motions import motion
from tests.animator.web.job_server import PLAN, PORTRAIT, JobServer, job_server

NOBODY = "0" * 12


@pytest.fixture
def http(server: JobServer) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code and problem["detail"]
    return answer.status_code, problem["code"]


def test_a_job_is_submitted_with_links_to_all_of_it(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    wanted = server.new_job(
        size="auto", margin=2, motion="absolute", face=2, start="0.5", extras=["frames"]
    )
    answer = http.post("/v1/jobs", json=wanted)
    assert answer.status_code == 202
    job = answer.json()
    record = store.get(job["id"])
    assert (record.spec.size, record.spec.margin) == ("auto", 2)
    assert (record.spec.motion, record.spec.face) == ("absolute", 2)
    assert (record.spec.start, record.spec.extras) == ("0.5", ("frames",))
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{record.id}"
    assert "idempotency-replayed" not in answer.headers
    # The record is what `--json` prints, and the document describes all of it
    for name, value in json.loads(json.dumps(record.as_dict())).items():
        assert job[name] == value
    Job.model_validate_json(answer.content)
    assert job["files"] == {name: wanted[name] for name in ("source", "driving")}
    assert job["links"]["extras"] == {"frames": f"/v1/jobs/{record.id}/extras/frames"}
    # The server has chosen a place of its own for the video
    assert server.context.results.owns(record.spec.output.path)
    assert record.spec.output.path.name == "me--clip.mp4"
    assert http.get(job["links"]["self"]).json() == job


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"source": "0" * 20}, 404, "no_such_upload"),
        ({"source": "/etc/passwd"}, 422, "invalid_option"),
        ({"source": "../../etc/passwd"}, 422, "invalid_option"),
        ({"source": "https://elsewhere.example/a.png"}, 403, "url_refused"),
        ({"source": "file:///etc/passwd"}, 403, "url_refused"),
        ({"source": None}, 422, "invalid_option"),
        ({"driving": 1}, 422, "invalid_option"),
        ({"output": "/tmp/mine.mp4"}, 422, "invalid_option"),
        ({"owner": "root"}, 422, "invalid_option"),
        ({"overwrite": True}, 422, "invalid_option"),
        ({"keep_result": True}, 422, "invalid_option"),
        ({"size": 127}, 422, "invalid_option"),
        ({"size": "256"}, 422, "invalid_option"),
        ({"size": True}, 422, "invalid_option"),
        ({"size": "large"}, 422, "invalid_option"),
        ({"margin": 4.5}, 422, "invalid_option"),
        ({"margin": "wide"}, 422, "invalid_option"),
        ({"smoothing": 1.5}, 422, "invalid_option"),
        ({"face": 0}, 422, "invalid_option"),
        ({"motion": "sideways"}, 422, "invalid_option"),
        ({"weights": "/etc/passwd"}, 422, "invalid_option"),
        ({"weights": "../default"}, 422, "invalid_option"),
        ({"weights": "mine.safetensors"}, 422, "invalid_option"),
        ({"weights": "nobody"}, 404, "no_such_weights"),
        ({"start": "2", "end": "1"}, 422, "invalid_option"),
        ({"end": "soon"}, 422, "invalid_option"),
        ({"extras": ["flows", "flows"]}, 422, "invalid_option"),
        ({"webhook": "https://elsewhere.example/"}, 403, "webhook_refused"),
        ({"webhook": "javascript:alert(1)"}, 422, "invalid_option"),
        ({"key": "two words"}, 422, "invalid_option"),
    ],
)
def test_what_is_not_allowed_is_refused_and_leaves_nothing(
    server: JobServer, http: httpx.Client, store: JobStore, changes: dict[str, Any], status: int,
    code: str,
) -> None:  # fmt: skip
    answer = http.post("/v1/jobs", json=server.new_job() | changes)
    assert refusal(answer) == (status, code)
    assert not store.list_jobs()
    assert not [*(server.context.server.folder / "results").iterdir()]


def test_faces_have_driving_files_of_their_own(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    one, two = (server.upload({"frames": frames}) for frames in (3, 4))
    source = server.upload(PORTRAIT)
    wanted = {"source": source.id, "face": f"1={one.id};2={two.id}", "ending": "loop"}
    job = http.post("/v1/jobs", json=wanted)
    assert job.status_code == 202, job.text
    spec = store.get(job.json()["id"]).spec
    assert spec.face == f"1={one.path};2={two.path}" and spec.ending == "loop"
    assert spec.drivings == {"driving": str(one.path), "driving 2": str(two.path)}
    Job.model_validate_json(job.content)
    # All of them are needed until it has ended.
    assert {str(source.path), str(one.path), str(two.path)} <= inputs_in_use(store)
    for upload in (source, one, two):
        assert refusal(http.delete(f"/v1/files/{upload.id}")) == (409, "wrong_state")
    # One request, said twice.
    again = {**wanted, "face": f"1={server.upload({'frames': 3}).id};2={two.id}"}
    made = [http.post("/v1/jobs", json=body, headers={"Idempotency-Key": '"one"'})
            for body in (wanted, again)]  # fmt: skip
    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json()["id"] == made[1].json()["id"]


def test_faces_whose_files_are_not_allowed(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    clip, other, picture = (server.upload(one).id for one in (PLAN, {"frames": 5}, PORTRAIT))
    for face, status, code in (
        ("1=/etc/passwd", 422, "invalid_option"),
        ("all;1=/etc/passwd", 422, "invalid_option"),
        ("1=file:///etc/passwd", 403, "url_refused"),
        ("1=https://elsewhere.example/a.mp4", 403, "url_refused"),
        (f"1={'0' * 20}", 404, "no_such_upload"),
        (f"1={clip};2={picture}", 415, "unsupported_format"),
        (f"1={clip};1={clip}", 422, "invalid_option"),
        ("largest;1=x", 422, "invalid_option"),
        ("all", 422, "invalid_option"),
    ):
        answer = http.post("/v1/jobs", json={"source": picture, "face": face})
        assert refusal(answer) == (status, code), face
    for body in (
        {"source": picture, "driving": other, "face": f"1={clip}"},
        {"source": picture, "driving": clip, "face": "all", "output_mode": "side-by-side"},
        {"source": picture, "driving": clip, "face": "all", "source_face": 1},
    ):
        assert refusal(http.post("/v1/jobs", json=body)) == (422, "invalid_option"), body
    assert not store.list_jobs()


def test_the_file_of_another_owner_moves_no_face(shared_server: JobServer) -> None:
    hers, mine = (shared_server.upload(PLAN, owner).id for owner in ("ann", "bob"))
    source = shared_server.upload(PORTRAIT, "bob").id
    with shared_server.http("bob") as http:
        answer = http.post("/v1/jobs", json={"source": source, "face": f"1={mine};2={hers}"})
    assert refusal(answer) == (404, "no_such_upload")


def test_a_motion_file_drives_and_is_no_portrait(server: JobServer, http: httpx.Client) -> None:
    content = pack_motion(motion())
    wanted = {**server.new_job(), "driving": server.upload(content).id}
    job = http.post("/v1/jobs", json=wanted)
    assert job.status_code == 202, job.text
    assert job.json()["spec"]["driving"].endswith(".motion")
    fetched = http.get(f"/v1/jobs/{job.json()['id']}/driving")
    assert fetched.content == content and "attachment" in fetched.headers["content-disposition"]
    refused = http.post("/v1/jobs", json={**wanted, "source": wanted["driving"]})
    assert refused.status_code == 415 and "no pictures" in refused.json()["detail"]


def test_the_driving_file_has_to_be_a_video(server: JobServer, http: httpx.Client) -> None:
    portrait = server.upload(PORTRAIT)
    answer = http.post("/v1/jobs", json={"source": portrait.id, "driving": portrait.id})
    assert refusal(answer) == (415, "unsupported_format")


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 422, "invalid_option"),
        (b'{"size": 1e400}', "application/json", 422, "invalid_option"),
        (b"\xff\xfe", "application/json", 400, "bad_request"),
        (b"[" * 10_000, "application/json", 400, "bad_request"),
        (b"{}", "text/plain", 400, "bad_request"),
        (b"", "", 400, "bad_request"),
        (b" " * 300_000, "application/json", 413, "upload_too_large"),
    ],
)
def test_a_body_that_is_no_job_is_refused(
    http: httpx.Client, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = http.post("/v1/jobs", content=content, headers={"Content-Type": kind})
    assert refusal(answer) == (status, code)


def test_one_form_brings_both_files_and_the_options(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    form = {
        "size": "128", "smoothing": "0.25", "face": "1", "measure": "on", "key": "",
        "extras": ["frames", "flows"], "driving_face": "largest",
    }  # fmt: skip
    files = {
        "source": ("../../e\u0301 \u202egnp.png", PORTRAIT),
        "driving": ("clip.mp4", json.dumps(PLAN).encode()),
    }
    answer = http.post("/v1/jobs", data=form, files=files)
    assert answer.status_code == 202, answer.text
    record = store.get(answer.json()["id"])
    spec = record.spec
    assert (spec.size, spec.smoothing, spec.face, spec.measure) == (128, 0.25, 1, True)
    assert (spec.extras, spec.driving_face, record.options.key) == (
        ("frames", "flows"), "largest", None,
    )  # fmt: skip
    assert spec.source.path.read_bytes() == PORTRAIT
    assert answer.json()["files"]["source"] == spec.source.path.parent.name
    assert spec.output.path.name == "e-gnp--clip.mp4"


def test_a_form_is_checked_before_its_files_come(server: JobServer, http: httpx.Client) -> None:
    files = {"source": ("a.png", PORTRAIT), "driving": ("b.mp4", b"{}")}
    for form in ({"size": "1"}, {"nonsense": "1"}, {"weights": "/etc/passwd"}):
        answer = http.post("/v1/jobs", data=form, files=files)
        assert refusal(answer) == (422, "invalid_option")
    wrong = http.post("/v1/jobs", files=files | {"weights": ("w.pth", b"w")})
    assert refusal(wrong) == (400, "bad_request")
    assert not server.context.uploads.list() or len(server.context.uploads.list()) <= 2


def test_an_idempotency_key_makes_one_job_however_often_it_is_sent(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    wanted = server.new_job(size=128)
    headers = {"Idempotency-Key": "order 17"}
    first = http.post("/v1/jobs", json=wanted, headers=headers)
    again = http.post("/v1/jobs", json=wanted, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    # The same content as a form, with the files once more, is the same request
    form = {"size": "128"}
    files = {"source": ("x.png", PORTRAIT), "driving": ("y.mp4", json.dumps(PLAN).encode())}
    sent = http.post("/v1/jobs", data=form, files=files, headers=headers)
    assert sent.json()["id"] == first.json()["id"]
    # Another content is a mistake; another key another job
    other = http.post("/v1/jobs", json=wanted | {"size": 256}, headers=headers)
    assert refusal(other) == (422, "idempotency_mismatch")
    third = http.post("/v1/jobs", json=wanted, headers={"Idempotency-Key": "order 18"})
    assert third.json()["id"] != first.json()["id"]
    assert len(store.list_jobs()) == 2
    assert len([*(server.context.server.folder / "results").iterdir()]) == 2


def test_a_key_is_free_again_after_a_mistake(server: JobServer, http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    wanted = server.new_job()
    wrong = http.post("/v1/jobs", json=wanted | {"weights": "nobody"}, headers=headers)
    assert refusal(wrong) == (404, "no_such_weights")
    assert http.post("/v1/jobs", json=wanted, headers=headers).status_code == 202


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\xe9"])
def test_what_is_no_idempotency_key_is_refused(
    server: JobServer, http: httpx.Client, key: str
) -> None:
    raw = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = http.post("/v1/jobs", json=server.new_job(), headers=raw)
    assert refusal(answer)[0] in (400, 422)


def test_twenty_requests_at_once_make_one_job(
    server: JobServer, store: JobStore, settings: Settings
) -> None:
    """Through two servers that share the queue and the folder."""
    wanted = server.new_job()
    headers = {"Idempotency-Key": "together"}
    folder = server.context.server.folder
    with job_server(settings, store, folder, rate=10_000) as second, ThreadPoolExecutor(20) as pool:
        start = threading.Barrier(20)

        def send(number: int) -> httpx.Response:
            with (server, second)[number % 2].http() as http:
                start.wait()
                return http.post("/v1/jobs", json=wanted, headers=headers)

        answers = [*pool.map(send, range(20))]
    assert [answer.status_code for answer in answers] == [202] * 20
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(store.list_jobs()) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 19
    assert len([*(folder / "results").iterdir()]) == 1


def test_an_idempotency_key_outlives_the_server(
    settings: Settings, store: JobStore, tmp_path: Path
) -> None:
    made = []
    for _ in range(2):
        with job_server(settings, store, tmp_path / "server") as server, server.http() as http:
            headers = {"Idempotency-Key": "k"}
            made.append(http.post("/v1/jobs", json=server.new_job(), headers=headers).json()["id"])
    assert made[0] == made[1]


def test_a_key_of_one_owner_is_nothing_to_another(
    shared_server: JobServer, store: JobStore
) -> None:
    server, made = shared_server, {}
    for owner in ("ann", "bob"):
        with server.http(owner) as http:
            for name, extra in (("key", {"key": "k"}), ("auto", {"key": "auto"}), ("sent", {})):
                headers = {"Idempotency-Key": "k"} if name == "sent" else {}
                wanted = server.new_job(owner, size=128) | extra
                first = http.post("/v1/jobs", json=wanted, headers=headers)
                again = http.post("/v1/jobs", json=wanted, headers=headers)
                assert first.json()["id"] == again.json()["id"], name
                assert again.headers["idempotency-replayed"] == "true"
                made[owner, name] = first.json()["id"]
    assert len({*made.values()}) == 6
    assert store.get(made["ann", "key"]).options.owner == "ann"


def test_a_key_that_looks_like_anothers_shows_no_job(
    shared_server: JobServer, store: JobStore
) -> None:
    spec = JobSpec("/a.png", "/b.mp4", "/c.mp4")
    store.create(spec, options=JobOptions(key="ann:k"))  # by the command
    with shared_server.http("ann") as http:
        answer = http.post("/v1/jobs", json=shared_server.new_job("ann", key="k"))
    assert refusal(answer) == (422, "idempotency_mismatch")


def test_the_key_auto_is_made_of_the_content(server: JobServer, http: httpx.Client) -> None:
    first = http.post("/v1/jobs", json=server.new_job(key="auto")).json()
    again = http.post("/v1/jobs", json=server.new_job(key="auto")).json()
    other = http.post("/v1/jobs", json=server.new_job(key="auto", size=128)).json()
    assert first["id"] == again["id"] != other["id"]
    assert first["key"].startswith("sha256:")


def test_prefer_wait_answers_when_the_job_has_ended(server: JobServer, http: httpx.Client) -> None:
    def work() -> None:
        while not (jobs := server.context.client.store.list_jobs()):
            time.sleep(0.01)
        time.sleep(0.3)
        server.finish(server.begin(jobs[0].id))

    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    answer = http.post("/v1/jobs", json=server.new_job(), headers={"Prefer": "wait=20"})
    took = time.monotonic() - began
    thread.join()
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=20"
    assert 0.3 <= took < 5


def test_prefer_wait_has_an_end(server: JobServer, http: httpx.Client) -> None:
    began = time.monotonic()
    headers = {"Prefer": "respond-async, wait=1"}
    answer = http.post("/v1/jobs", json=server.new_job(), headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert 1 <= time.monotonic() - began < 3
    assert answer.headers["preference-applied"] == "wait=1"
    for prefer in ("wait=0", "wait=-1", "wait", "wait=soon", "return=minimal"):
        answer = http.post("/v1/jobs", json=server.new_job(), headers={"Prefer": prefer})
        assert answer.status_code == 202 and "preference-applied" not in answer.headers


@pytest.mark.slow
def test_those_who_wait_hold_nobody_up(server: JobServer) -> None:
    """More of them than there are threads."""
    wanted = server.new_job()

    def wait(number: int) -> int:
        with server.http() as http:
            return http.post("/v1/jobs", json=wanted, headers={"Prefer": "wait=3"}).status_code

    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(wait, number) for number in range(60)]
        while len(server.context.client.store.list_jobs(limit=100)) < 60:
            time.sleep(0.05)
        with server.http() as http:
            began = time.monotonic()
            assert http.get("/v1/jobs").status_code == 200
            assert time.monotonic() - began < 1
        assert {one.result() for one in waiting} == {202}


def test_pages_of_jobs_stay_while_new_ones_come(server: JobServer, http: httpx.Client) -> None:
    ids = [server.submit()["id"] for _ in range(7)][::-1]
    first = http.get("/v1/jobs", params={"limit": 3})
    JobPage.model_validate_json(first.content)
    server.submit()
    second = http.get("/v1/jobs", params={"limit": 3, "cursor": first.json()["next"]}).json()
    server.submit()
    third = http.get("/v1/jobs", params={"limit": 3, "cursor": second["next"]}).json()
    shown = [job["id"] for page in (first.json(), second, third) for job in page["items"]]
    assert shown == ids
    assert third["next"] is None


def test_jobs_of_the_same_microsecond_are_on_one_page_each(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    ids = {server.submit()["id"] for _ in range(6)}
    store.client.zadd("animator:jobs", dict.fromkeys(ids, 1_700_000_000_000_000))
    shown, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/jobs", params=params).json()
        shown += [job["id"] for job in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert sorted(shown) == sorted(ids)


def test_jobs_are_filtered(server: JobServer, http: httpx.Client) -> None:
    one, two = server.submit()["id"], server.submit()["id"]
    moment = server.context.client.store.get(two).created
    server.finish(server.begin(one))

    def listed(**params: Any) -> list[str]:
        return [job["id"] for job in http.get("/v1/jobs", params=params).json()["items"]]

    assert listed() == [two, one]
    assert listed(state="succeeded") == [one]
    assert listed(state="queued") == [two]
    assert listed(since="2100-01-01") == []
    assert two in listed(since=moment)
    assert listed(until="2000-01-01T00:00:00Z") == []
    for wrong in (
        {"state": "lost"}, {"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": "x"},
        {"since": "yesterday"}, {"until": "2026-13-01"}, {"nonsense": "1"},
    ):  # fmt: skip
        assert refusal(http.get("/v1/jobs", params=wrong)) == (422, "invalid_option"), wrong


def test_a_record_that_cannot_be_read_is_listed_as_such(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    job = server.submit()["id"]
    store.client.hset(f"animator:job:{job}", "spec", "{")
    (shown,) = http.get("/v1/jobs").json()["items"]
    assert (shown["id"], shown["error"]["code"]) == (job, "record_unreadable")
    assert refusal(http.get(f"/v1/jobs/{job}")) == (500, "record_unreadable")


def test_a_job_that_is_not_there(http: httpx.Client) -> None:
    paths = ["", "/logs", "/events", "/result", "/extras/frames", "/driving", "/preview.jpg"]
    for path in [*paths, "/poster.jpg"]:
        answer = http.get(f"/v1/jobs/{NOBODY}{path}")
        assert refusal(answer) == (404, "no_such_job"), path
    for path in ("/cancel", "/retry"):
        assert refusal(http.post(f"/v1/jobs/{NOBODY}{path}")) == (404, "no_such_job")
    assert refusal(http.delete(f"/v1/jobs/{NOBODY}")) == (404, "no_such_job")
    for wrong in ("x", "A" * 12, "..%2f..%2fetc", "0" * 13, "%00" * 12):
        assert http.get(f"/v1/jobs/{wrong}").status_code in (404, 422), wrong


def test_logs_tell_what_happened(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()["id"]
    server.finish(server.begin(job))
    answer = http.get(f"/v1/jobs/{job}/logs")
    lines = [LogLine.model_validate(line) for line in answer.json()]
    assert "attempt 1 begins" in lines[0].text and "succeeded" in lines[-1].text


def test_cancelling_twice_is_cancelling_once(server: JobServer, http: httpx.Client) -> None:
    waits, runs, done = (server.submit()["id"] for _ in range(3))
    server.begin(runs)
    server.finish(server.begin(done))
    for _ in range(2):
        assert http.post(f"/v1/jobs/{waits}/cancel").json()["state"] == "cancelled"
        assert http.post(f"/v1/jobs/{runs}/cancel").json()["state"] == "running"
        assert http.post(f"/v1/jobs/{done}/cancel").json()["state"] == "succeeded"
    assert server.context.client.store.get(runs).cancel_requested


def test_retrying_twice_is_retrying_once(server: JobServer, http: httpx.Client) -> None:
    job, done = server.submit()["id"], server.submit()["id"]
    assert http.post(f"/v1/jobs/{job}/retry").json()["state"] == "queued"
    http.post(f"/v1/jobs/{job}/cancel")
    for _ in range(2):
        assert http.post(f"/v1/jobs/{job}/retry").json()["state"] == "queued"
    server.begin(job)
    assert http.post(f"/v1/jobs/{job}/retry").json()["state"] == "running"
    server.finish(server.begin(done))
    assert refusal(http.post(f"/v1/jobs/{done}/retry")) == (409, "wrong_state")


def test_a_job_is_removed_with_its_video_once_it_has_ended(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    job = server.submit()["id"]
    assert refusal(http.delete(f"/v1/jobs/{job}")) == (409, "wrong_state")
    record = server.begin(job)
    assert refusal(http.delete(f"/v1/jobs/{job}")) == (409, "wrong_state")
    output = server.finish(record)
    output.with_suffix(".frames.tar").write_bytes(b"frames")
    assert http.delete(f"/v1/jobs/{job}").status_code == 204
    assert not output.parent.exists() and not store.list_jobs()
    assert refusal(http.get(f"/v1/jobs/{job}")) == (404, "no_such_job")
    assert http.delete(f"/v1/jobs/{job}").status_code == 204


def test_a_video_elsewhere_stays_when_its_job_is_removed(
    server: JobServer, http: httpx.Client, store: JobStore, tmp_path: Path
) -> None:
    record = store.create(JobSpec("/a.png", "/b.mp4", str(tmp_path / "mine" / "v.mp4")))
    (tmp_path / "mine").mkdir()
    output = server.finish(server.begin(record.id))
    assert http.delete(f"/v1/jobs/{record.id}").status_code == 204
    assert output.exists()


def test_a_job_of_another_owner_is_none(shared_server: JobServer) -> None:
    server = shared_server
    job, done = server.submit("ann")["id"], server.submit("ann")["id"]
    server.finish(server.begin(done))
    requests = [("GET", path) for path in (
        "", "/logs", "/events", "/result", "/extras/frames", "/driving", "/preview.jpg",
        "/poster.jpg",
    )]  # fmt: skip
    requests += [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")]
    with server.http("bob") as bob:
        for method, path in requests:
            for one in (job, done):
                answer = bob.request(method, f"/v1/jobs/{one}{path}")
                assert refusal(answer) == (404, "no_such_job"), (method, path)
        assert bob.get("/v1/jobs").json() == {"items": [], "next": None}
        ann = server.new_job("ann")
        assert refusal(bob.post("/v1/jobs", json=ann)) == (404, "no_such_upload")
    with server.http("ann") as ann_http, server.http("root") as root:
        for http in (ann_http, root):
            assert {one["id"] for one in http.get("/v1/jobs").json()["items"]} == {job, done}
            assert http.get(f"/v1/jobs/{job}").json()["owner"] == "ann"
        assert ann_http.delete(f"/v1/jobs/{done}").status_code == 204
    # Who removed it is told so again; anybody else learns nothing
    with server.http("bob") as bob, server.http("ann") as ann_http:
        assert refusal(bob.delete(f"/v1/jobs/{done}")) == (404, "no_such_job")
        assert ann_http.delete(f"/v1/jobs/{done}").status_code == 204


def test_an_owner_with_few_jobs_among_many_gets_them_all(
    shared_server: JobServer, store: JobStore
) -> None:
    server = shared_server
    mine = [server.submit("ann")["id"]]
    specs = [JobSpec("/a.png", "/b.mp4", f"/{number}.mp4") for number in range(450)]
    for spec in specs:
        store.create(spec, options=JobOptions(owner="bob"))
    mine.append(server.submit("ann")["id"])
    shown, cursor = [], None
    with server.http("ann") as http:
        while True:
            params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = http.get("/v1/jobs", params=params).json()
            shown += [job["id"] for job in page["items"]]
            if (cursor := page["next"]) is None:
                break
    assert shown == mine[::-1]


def test_links_have_what_a_proxy_puts_before_them(
    settings: Settings, store: JobStore, tmp_path: Path
) -> None:
    with job_server(settings, store, tmp_path / "server", root_path="/animator") as server:
        with server.http() as http:
            # The proxy takes it away again.
            answer = http.post("/v1/jobs", json=server.new_job())
            job = answer.json()
            assert job["links"]["events"] == f"/animator/v1/jobs/{job['id']}/events"
            assert answer.headers["location"] == f"/animator/v1/jobs/{job['id']}"
            assert http.get(f"/v1/jobs/{job['id']}").json()["links"] == job["links"]
