"""Files over HTTP, sent, fetched and removed by real requests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.web.settings import ServerSettings
from tests.animator.media_files import noise, write_video
from tests.animator.web.small_app import client_of, left_in, make_app

OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.fixture
def server(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path / "server", max_upload_bytes=4_000_000, quota_bytes=9_000_000)


@pytest.fixture
def client(settings: Settings, server: ServerSettings, store: JobStore) -> Iterator[httpx.Client]:
    with client_of(make_app(settings, server, Client.connect(settings))) as client:
        yield client


def png(shade: int = 128, size: tuple[int, int] = (40, 30)) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((*size[::-1], 3), shade, np.uint8)).save(content, format="PNG")
    return content.getvalue()


BEHIND = b'\r\n--b\r\nContent-Disposition: form-data; name="more"\r\n\r\nx'
"""A field that follows a file in `raw_form`."""


def code(answer: object) -> str:
    assert answer.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    return answer.json()["code"]  # type: ignore[attr-defined]


@pytest.fixture
def sent(client: httpx.Client) -> dict:
    answer = client.post("/v1/files", files={"file": ("my face.png", png())})
    assert answer.status_code == 201
    return answer.json()


@pytest.mark.slow
def test_a_picture_is_sent_and_described(client: httpx.Client, server: ServerSettings) -> None:
    answer = client.post("/v1/files", files={"file": ("my face.png", png())})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == made["links"]["self"] == f"/v1/files/{made['id']}"
    assert (made["kind"], made["media_type"]) == ("picture", "image/png")
    assert (made["width"], made["height"]) == (40, 30)
    assert made["name"] == "my face.png" and made["owner"] == "ann" and made["faces"] == []
    assert [finding["code"] for finding in made["findings"]] == ["no_face"]
    assert made["bytes"] == len(png()) and made["created"] < made["expires"]
    assert client.get(made["links"]["self"]).json() == made
    (folder,) = left_in(server.folder)
    assert {path.name for path in folder.iterdir()} == {"about.json", "file.png", "thumbnail.jpg"}
    assert (folder / "file.png").read_bytes() == png()


@pytest.mark.slow
def test_a_face_is_found(client: httpx.Client, samples: tuple[Path, Path]) -> None:
    with samples[0].open("rb") as file:
        made = client.post("/v1/files", files={"file": ("a.png", file)}).json()
    (face,) = made["faces"]
    box, crop = face["box"], face["crop"]
    assert 150 < box["left"] < box["right"] < 300 and 50 < box["top"] < box["bottom"] < 220
    assert crop["x"] < box["left"] and crop["x"] + crop["side"] > box["right"]


@pytest.mark.slow
def test_a_video_with_sound_is_one_whatever_it_is_called(
    client: httpx.Client, tmp_path: Path
) -> None:
    path = write_video(
        tmp_path / "v.mp4", range(25), Fraction(1, 25), sound=noise(1.0, 48000), rotation=90
    )
    answer = client.post("/v1/files", files={"file": ("portrait.png", path.read_bytes())})
    made = answer.json()
    assert answer.status_code == 201, made
    assert (made["kind"], made["media_type"]) == ("video", "video/mp4")
    assert made["frames"] == 25 and made["seconds"] == pytest.approx(1, abs=0.05)
    assert made["has_audio"] and (made["width"], made["height"]) == (96, 160)
    thumbnail = client.get(made["links"]["thumbnail"])
    assert Image.open(io.BytesIO(thumbnail.content)).size == (96, 160)


@pytest.mark.usefixtures("looks_here")
def test_a_body_without_a_form_is_a_file(client: httpx.Client) -> None:
    answer = client.post("/v1/files", content=png(), headers={"X-File-Name": "%E2%82%ACuro.png"})
    assert answer.status_code == 201 and answer.json()["name"] == "€uro.png"
    header = "attachment; filename*=UTF-8''%C3%A4.png"
    answer = client.post("/v1/files", content=png(3), headers={"Content-Disposition": header})
    assert answer.json()["name"] == "ä.png"
    assert client.post("/v1/files", content=png(4)).json()["name"] == "file"


@pytest.mark.usefixtures("looks_here")
def test_the_same_content_of_one_caller_is_one_file(client: httpx.Client, sent: dict) -> None:
    again = client.post("/v1/files", files={"file": ("other.png", png())})
    assert again.status_code == 200 and again.json()["id"] == sent["id"]
    other = client.post("/v1/files", files={"file": ("a.png", png())}, headers={"X-Caller": "bob"})
    assert other.status_code == 201 and other.json()["id"] != sent["id"]


def raw_form(name: str, content: bytes) -> dict:
    """A form as a browser without manners sends it."""
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--b--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


@pytest.mark.usefixtures("looks_here")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd\0.png", "passwd.png"),
        (f"{OVERRIDE}gnp.exe<b>" + "x" * 300 + ".png", "gnp.exe<b>" + "x" * 106 + ".png"),
    ],
)
def test_hostile_names(client: httpx.Client, server: ServerSettings, name: str, shown: str) -> None:
    made = client.post("/v1/files", **raw_form(name, png()))
    assert made.status_code == 201 and made.json()["name"] == shown
    content = client.get(made.json()["links"]["content"])
    header = content.headers["content-disposition"]
    assert header.startswith("inline; filename=") and header.isascii() and header.isprintable()
    assert "/" not in header and "\\" not in header and "<" not in header
    (folder,) = left_in(server.folder)
    assert (folder / "file.png").is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!DOCTYPE html><script>alert(1)</script>", "unsupported_format"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "unsupported_format"),
        (b'<?xml version="1.0"?><svg/>', "unsupported_format"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "unsupported_format"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "unsupported_format"),
        (b"#!/bin/sh\nrm -rf /\n", "unsupported_format"),
        (b"just words, and no picture at all", "unsupported_format"),
        (b"", "unsupported_format"),
        (png()[:60], "unreadable_image"),
        (b"\0\0\0\x20ftypisom" + bytes(200), "unreadable_video"),
    ],
)
def test_what_is_no_media_is_refused_and_removed(
    client: httpx.Client, server: ServerSettings, content: bytes, expected: str
) -> None:
    answer = client.post("/v1/files", files={"file": ("harmless.png", content)})
    assert code(answer) == expected
    assert str(server.folder) not in answer.text
    assert left_in(server.folder) == []


@pytest.mark.usefixtures("looks_here")
def test_too_large_and_too_many(client: httpx.Client, server: ServerSettings) -> None:
    answer = client.post("/v1/files", files={"file": ("a.png", bytes(4_000_001))})
    assert answer.status_code == 413 and code(answer) == "upload_too_large"
    assert left_in(server.folder) == []
    for seed in range(2):
        picture = np.random.default_rng(seed).integers(0, 255, (1100, 1100, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="BMP")
        assert client.post("/v1/files", content=content.getvalue()).status_code == 201
    content.write(b"more")
    answer = client.post("/v1/files", content=content.getvalue())
    assert answer.status_code == 507 and code(answer) == "quota_exceeded"
    assert len(left_in(server.folder)) == 2
    # Another caller's files are another caller's.
    answer = client.post("/v1/files", content=png(), headers={"X-Caller": "bob"})
    assert answer.status_code == 201


@pytest.mark.usefixtures("looks_here")
def test_files_are_listed_by_pages(client: httpx.Client) -> None:
    ids = [client.post("/v1/files", content=png(shade)).json()["id"] for shade in range(3)]
    client.post("/v1/files", content=png(), headers={"X-Caller": "bob"})
    first = client.get("/v1/files?limit=2").json()
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    second = client.get(f"/v1/files?limit=2&cursor={first['next']}").json()
    assert [item["id"] for item in second["items"]] == [ids[0]] and second["next"] is None
    assert len(client.get("/v1/files", headers={"X-Caller": "admin"}).json()["items"]) == 4
    assert client.get("/v1/files?limit=0").status_code == 422
    assert client.get("/v1/files?cursor=..").status_code == 422


@pytest.mark.usefixtures("looks_here")
def test_what_is_another_callers_is_not_there(client: httpx.Client, sent: dict) -> None:
    assert client.delete(sent["links"]["self"], headers={"X-Caller": "bob"}).status_code == 204
    for path in sent["links"].values():
        assert client.get(path).status_code == 200
        answer = client.get(path, headers={"X-Caller": "bob"})
        assert answer.status_code == 404 and code(answer) == "no_such_upload"
        assert client.get(path, headers={"X-Caller": "admin"}).status_code == 200


@pytest.mark.usefixtures("looks_here")
def test_the_content_is_sent_in_parts(client: httpx.Client, sent: dict) -> None:
    path, content = sent["links"]["content"], png()
    whole = client.get(path)
    assert whole.content == content and whole.headers["content-type"] == "image/png"
    assert whole.headers["etag"] == f'"{sent["sha256"]}"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get(path, headers={"Range": "bytes=2-5"})
    assert part.status_code == 206 and part.content == content[2:6]
    assert part.headers["content-range"] == f"bytes 2-5/{len(content)}"
    assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    late = client.get(path, headers={"Range": "bytes=99999-"})
    assert late.status_code == 416 and code(late) == "bad_request"
    head = client.head(path)
    assert head.headers["content-length"] == str(len(content)) and head.content == b""


@pytest.mark.usefixtures("looks_here")
def test_a_file_that_a_job_needs_stays(
    client: httpx.Client, sent: dict, server: ServerSettings, store: JobStore, settings: Settings
) -> None:
    path = str(server.folder / "uploads" / sent["id"] / "file.png")
    farm = Client.connect(settings)
    spec = JobSpec(Location(path), Location(path), Location("/tmp/never.mp4"))
    job = store.create(spec)
    answer = client.delete(sent["links"]["self"])
    assert answer.status_code == 409 and code(answer) == "wrong_state" and job.id in answer.text
    farm.cancel(job.id)
    assert client.delete(sent["links"]["self"]).status_code == 204
    assert client.delete(sent["links"]["self"]).status_code == 204
    assert client.get(sent["links"]["self"]).status_code == 404
    assert left_in(server.folder) == []


@pytest.mark.parametrize("path", ["/v1/files/..%2f..%2fetc", "/v1/files/UPPER", "/v1/files/a%00"])
def test_ids_that_are_none(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (404, 422)
    assert client.delete(path).status_code in (404, 422)


def test_forms_that_are_none(client: httpx.Client, server: ServerSettings) -> None:
    answers = [
        client.post("/v1/files", files={"other": ("a.png", png())}),
        client.post("/v1/files", files=[("file", ("a", png())), ("file", ("b", png()))]),
        client.post("/v1/files", data={"file": "text"}, files={"x": ("", b"")}),
        client.post("/v1/files", data={"more": "x"}, files={"file": ("a", png())}),
        client.post("/v1/files", **raw_form("a", png() + BEHIND)),
        client.post("/v1/files", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    ]
    for answer in answers:
        assert answer.status_code == 400 and code(answer) == "bad_request"
    assert left_in(server.folder) == []
