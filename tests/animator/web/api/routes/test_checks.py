"""Checks over HTTP, of real files in real children, and the sample."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import httpx
import pytest

from animator.settings import Settings
from animator.web.settings import ServerSettings
from tests.animator.media_files import write_video
from tests.animator.web.small_app import client_of, left_in, make_app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    return ServerSettings(tmp_path_factory.mktemp("checks") / "server")


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> Iterator[httpx.Client]:
    with client_of(make_app(Settings(server.folder.parent / "state"), server)) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client: httpx.Client, samples: tuple[Path, Path]) -> dict[str, str]:
    made = {}
    for which, path in zip(("source", "driving"), samples, strict=True):
        answer = client.post("/v1/files", files={"file": (f"my {path.name}", path.read_bytes())})
        made[which] = answer.json()["id"]
    return made


def test_good_files(client: httpx.Client, ids: dict[str, str]) -> None:
    answer = client.post("/v1/check", json={**ids, "device": "cpu", "end": "2"})
    report = answer.json()
    assert answer.status_code == 200 and report["ok"] and report["findings"] == []
    assert report["source"]["width"] == 512 and report["driving"]["duration"] < 2.1
    assert report["driving"]["coverage"]["share"] == 1 and report["estimate"] is None
    (face,) = report["faces"]["source"]
    assert face["crop"] == report["source"]["face"]["crop"]
    assert len(report["faces"]["driving"]) == 1


def test_what_is_wrong_is_a_finding_that_names_no_path(
    client: httpx.Client, ids: dict[str, str], tmp_path: Path, server: ServerSettings
) -> None:
    answer = client.post("/v1/check", json={"source": ids["source"], "driving": ids["source"]})
    report = answer.json()
    assert answer.status_code == 200 and not report["ok"] and report["driving"] is None
    (finding,) = report["findings"]
    assert finding["code"] == "unreadable_video" and "'my source.png'" in finding["message"]
    assert str(server.folder) not in answer.text
    path = write_video(tmp_path / "a.mp4", range(20), Fraction(1, 25))
    empty = client.post("/v1/files", content=path.read_bytes()).json()["id"]
    report = client.post("/v1/check", json={**ids, "driving": empty}).json()
    assert "no_face" in {finding["code"] for finding in report["findings"]}


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"driving": "a" * 20}, 404, "no_such_upload"),
        ({"driving": "/etc/passwd"}, 422, "invalid_option"),
        ({"driving": "file:///etc/passwd"}, 403, "url_refused"),
        ({"driving": "http://127.0.0.1/a.mp4"}, 403, "url_refused"),
        ({"size": 5}, 422, "invalid_option"),
        ({"size": "256"}, 422, "invalid_option"),
        ({"weights": "/etc/passwd"}, 422, "invalid_option"),
        ({"output": "/tmp/x.mp4"}, 422, "invalid_option"),
        ({"key": "auto"}, 422, "invalid_option"),
        ({"estimate": "yes"}, 422, "invalid_option"),
        ({"start": "5", "end": "3"}, 422, "invalid_option"),
    ],
)
def test_requests_that_are_refused(
    client: httpx.Client, ids: dict[str, str], given: dict, status: int, code: str
) -> None:
    answer = client.post("/v1/check", json={**ids, **given})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_files_of_others_are_not_there(client: httpx.Client, ids: dict[str, str]) -> None:
    answer = client.post("/v1/check", json=ids, headers={"X-Caller": "bob"})
    assert answer.status_code == 404


def test_the_sample_is_taken_once(client: httpx.Client, server: ServerSettings) -> None:
    headers = {"X-Caller": "carl"}
    before = len(left_in(server.folder))
    first = client.post("/v1/sample", headers=headers).json()
    assert first["source"]["kind"] == "picture" and first["driving"]["kind"] == "video"
    assert len(first["source"]["faces"]) == 1
    assert (
        client.post("/v1/sample", headers=headers).json()["driving"]["id"] == first["driving"]["id"]
    )
    assert len(left_in(server.folder)) == before + 2
    kept = sorted(path.name for path in server.folder.iterdir() if not path.name.startswith("."))
    assert kept == ["results", "sample", "stills", "uploads"]
