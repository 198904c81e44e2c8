"""What comes of a job over HTTP: its video, what lies beside it, and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from animator.jobs.store import JobStore
from animator.spec import JobSpec
from tests.animator.web.job_server import PORTRAIT, JobServer

VIDEO = bytes(range(256)) * 40


@pytest.fixture
def http(server: JobServer) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_the_video_comes_whole_in_parts_and_once(server: JobServer, http: httpx.Client) -> None:
    job = server.submit()
    path = job["links"]["result"]
    answer = http.get(path)
    assert code_of(answer) == (409, "wrong_state") and "queued" in answer.json()["detail"]
    record = server.begin(job["id"])
    assert code_of(http.get(path)) == (409, "wrong_state")
    output = server.finish(record, VIDEO)
    # Whole
    whole = http.get(path)
    assert (whole.status_code, whole.content) == (200, VIDEO)
    headers = whole.headers
    assert (headers["content-type"], headers["accept-ranges"]) == ("video/mp4", "bytes")
    assert headers["content-disposition"] == 'inline; filename="me--clip.mp4"'
    head = http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["content-length"], head.headers["etag"]) == ("10240", headers["etag"])
    # In parts
    for asked, part in (
        ("bytes=0-99", VIDEO[:100]), ("bytes=10200-", VIDEO[10200:]), ("bytes=-7", VIDEO[-7:]),
    ):  # fmt: skip
        answer = http.get(path, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, part)
    assert http.get(path, headers={"Range": "bytes=99999-"}).status_code == 416
    for odd in ("bytes=5-2", "bytes=a-b", "pages=1-2", "bytes=0-1,5-6", "bytes=-"):
        assert http.get(path, headers={"Range": odd}).content == VIDEO
    other = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert http.get(path, headers=other).content == VIDEO
    # Once
    assert http.get(path, headers={"If-None-Match": headers["etag"]}).status_code == 304
    output.unlink()
    assert code_of(http.get(path)) == (404, "no_result")


def test_what_lies_beside_the_video(server: JobServer, http: httpx.Client) -> None:
    job = server.submit(extras=["landmarks", "frames"])
    assert {*job["links"]["extras"]} == {"landmarks", "frames"}
    path = job["links"]["extras"]["landmarks"]
    assert code_of(http.get(path)) == (409, "wrong_state")
    output = server.finish(server.begin(job["id"]))
    output.with_name("me--clip.landmarks.npz").write_bytes(b"points")
    answer = http.get(path)
    assert (answer.status_code, answer.content) == (200, b"points")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert code_of(http.get(job["links"]["extras"]["frames"])) == (404, "no_result")
    for wrong in ("secrets", "%2e%2e", "..%2f..%2ftokens"):
        assert http.get(f"/v1/jobs/{job['id']}/extras/{wrong}").status_code in (404, 422)


def test_a_video_that_is_elsewhere_is_said_to_be(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    from animator.record import Result

    url = "s3://user:secret@bucket/v.mp4"
    record = store.create(JobSpec("/a.png", "/b.mp4", url))
    record = server.begin(record.id)
    store.succeed(record.id, record.attempt, Result(url, 1, 1.0, 1.0))
    answer = http.get(f"/v1/jobs/{record.id}/result")
    assert code_of(answer) == (404, "no_result")
    assert "s3://" in answer.json()["detail"] and "secret" not in answer.text


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_only_a_regular_file_is_a_video(
    server: JobServer, http: httpx.Client, tmp_path: Path, kind: str
) -> None:
    job = server.submit()
    output = server.finish(server.begin(job["id"]))
    output.unlink()
    output.mkdir() if kind == "folder" else output.symlink_to("/etc/passwd")
    assert code_of(http.get(job["links"]["result"])) == (404, "no_result")


def test_the_driving_video_is_shown_if_it_is_an_upload(
    server: JobServer, http: httpx.Client, store: JobStore, tmp_path: Path
) -> None:
    job = server.submit(plan={"frames": 3})
    answer = http.get(job["links"]["driving"], headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, b'{"fr')
    assert answer.headers["content-type"] == "video/mp4"
    server.context.uploads.remove(job["files"]["driving"])
    assert code_of(http.get(job["links"]["driving"])) == (404, "no_such_upload")
    # The server's other files are none of anybody's business
    other = store.create(JobSpec("/etc/passwd", "/etc/passwd", str(tmp_path / "o.mp4")))
    assert code_of(http.get(f"/v1/jobs/{other.id}/driving")) == (404, "no_such_upload")
    assert code_of(http.get(f"/v1/jobs/{other.id}/poster.jpg")) == (404, "no_preview")


def test_a_preview_is_wished_for_by_whoever_looks(
    server: JobServer, http: httpx.Client, store: JobStore
) -> None:
    job = server.submit()
    path = job["links"]["preview"]
    record = server.begin(job["id"])
    assert not store.client.exists(f"animator:preview:wanted:{record.id}")
    assert code_of(http.get(path)) == (404, "no_preview")
    assert store.client.exists(f"animator:preview:wanted:{record.id}")
    store.store_preview(record.id, record.attempt, b"\xff\xd8one")
    answer = http.get(path)
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8one")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "image/jpeg", "no-store",
    )  # fmt: skip
    tag = {"If-None-Match": answer.headers["etag"]}
    assert http.get(path, headers=tag).status_code == 304
    store.store_preview(record.id, record.attempt, b"\xff\xd8two")
    assert http.get(path, headers=tag).content == b"\xff\xd8two"


@pytest.mark.slow
def test_a_poster_is_the_portrait_and_then_a_frame_of_the_video(
    server: JobServer, http: httpx.Client, samples: tuple[Path, Path]
) -> None:
    job = server.submit()
    path = job["links"]["poster"]
    before = http.get(path)
    assert before.content == b"\xff\xd8thumbnail of " + PORTRAIT[:20]
    server.finish(server.begin(job["id"]), samples[1].read_bytes())
    after = http.get(path)
    assert after.headers["content-type"] == "image/jpeg"
    assert after.content[:2] == b"\xff\xd8" and after.headers["etag"] != before.headers["etag"]
    tag = {"If-None-Match": after.headers["etag"]}
    assert http.get(path, headers=tag).status_code == 304
    # Of a job that has succeeded, it is the preview, too
    assert http.get(job["links"]["preview"]).content == after.content


@pytest.mark.parametrize(
    ("format", "suffix", "media_type"),
    [
        ("mp4", ".mp4", "video/mp4"), ("mov", ".mov", "video/quicktime"),
        ("mkv", ".mkv", "video/x-matroska"), ("webm", ".webm", "video/webm"),
        ("gif", ".gif", "image/gif"), ("webp", ".webp", "image/webp"),
        ("apng", ".apng", "image/apng"),
    ],
)  # fmt: skip
def test_a_result_is_sent_as_what_it_is(
    format: str, suffix: str, media_type: str, server: JobServer, http: httpx.Client
) -> None:
    job = server.submit(format=format)
    record = server.begin(job["id"])
    assert record.spec.output.endswith(f"/me--clip{suffix}")
    server.finish(record, VIDEO)
    answer = http.get(job["links"]["result"])
    assert (answer.status_code, answer.content) == (200, VIDEO)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'inline; filename="me--clip{suffix}"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_does_not_go_with_a_format_is_refused(server: JobServer, http: httpx.Client) -> None:
    for options in (
        {"format": "webm", "codec": "h264"}, {"format": "gif", "crf": 3}, {"format": "png"},
        {"codec": "vp9"}, {"crf": 52}, {"crf": "18"}, {"fps": "0"}, {"fps": 25},
        {"audio": "/etc/passwd"}, {"audio": "../x"}, {"audio": "file:///etc/passwd"},
        {"format": "gif", "audio": server.upload({"frames": 3}).id},
    ):  # fmt: skip
        answer = http.post("/v1/jobs", json=server.new_job(**options))
        assert answer.status_code in (403, 422), options
        assert answer.json()["code"] in ("invalid_option", "url_refused"), options


def test_sound_of_another_upload(server: JobServer, http: httpx.Client) -> None:
    sound = server.upload({"frames": 3})
    job = server.submit(audio=sound.id, format="mkv")
    record = server.begin(job["id"])
    assert record.spec.audio_file is not None and record.spec.audio_file.path == sound.path
    # It is needed until the job has ended.
    assert code_of(http.delete(f"/v1/files/{sound.id}")) == (409, "wrong_state")
    for wrong, code in (
        ("0" * 20, "no_such_upload"),
        (server.upload(PORTRAIT).id, "unsupported_format"),
    ):
        answer = http.post("/v1/jobs", json=server.new_job(audio=wrong))
        assert answer.json()["code"] == code
