"""Paths, addresses and links that would lead elsewhere lead nowhere."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.animator.web.attacks.tools import (
    answers,
    refused,
    request,
    send,
)
from tests.animator.web.inhabited import Inhabited


def test_inputs_and_weights_are_never_paths(site: Inhabited, ann: httpx.Client) -> None:
    ok = {"source": site.files["source"], "driving": site.files["driving"]}
    for url in (
        "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://localhost:6379/",
        "http://127.0.0.1:8420/v1/jobs", "https://[::1]/a.png", "s3://bucket/key", "gopher://a/b",
        "ftp://a/b", "concat:///etc/passwd", "pipe://0", "data://text/plain,a", "memory://a",
        "local:///etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd",
        "/etc/passwd", "../../etc/passwd", "etc/passwd", f"{site.files['source']}/../x",
        "simplecache::file:///etc/passwd", "", "-", ".", "\u0000",
    ):  # fmt: skip
        for name in ("source", "driving"):
            for path in ("/v1/jobs", "/v1/check"):
                answer = ann.post(path, json={**ok, name: url})
                refused(answer, (403, 404, 422), "url_refused", "invalid_option", "no_such_upload")
    for weights in (
        "/etc/passwd", "../default", "..", ".", "a/b", "a\\b", "default\0", "%2e%2e", "file:///a",
        str(site.source), "x" * 65, "no-such-weights",
    ):  # fmt: skip
        answer = ann.post("/v1/jobs", json={**ok, "weights": weights})
        refused(answer, (404, 422), "invalid_option", "no_such_weights")
        fields = {name: (None, text) for name, text in {**ok, "weights": weights}.items()}
        answer = ann.post("/v1/jobs", files=fields)
        refused(answer, (404, 422), "invalid_option", "no_such_weights")
    for webhook in (
        "http://127.0.0.1/", "http://localhost:6379/", "http://169.254.169.254/", "http://[::1]/",
        "http://0x7f000001/", "http://2130706433/", "http://a@127.0.0.1/", "http://evil.example/",
        "file:///etc/passwd", "javascript:alert(1)", "gopher://127.0.0.1:6379/_FLUSHALL",
    ):  # fmt: skip
        answer = ann.post("/v1/jobs", json={**ok, "webhook": webhook})
        refused(answer, (403, 422), "webhook_refused", "invalid_option")


def test_tricks_with_paths_lead_nowhere(site: Inhabited) -> None:
    file, job = site.files["source"], site.jobs["succeeded"]
    for path in (
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py",
        "/static/..%5cserver.py", "/static/%2e%2e%2f%2e%2e%2fsettings.py", "/static//etc/passwd",
        "/static/%00", "/static/style.css%00.png", "/static/page.js/", "/static/", "/static/.",
        "/static/....//server.py", "/static/%252e%252e%252fserver.py", "//static/style.css",
        f"/v1/files/{file}/../../../etc/passwd", "/v1/files/..%2f..%2fetc%2fpasswd",
        f"/v1/files/{file}%00/content", f"/v1/files/{file}%2f%2fcontent",
        f"/v1/files/{file.upper()}",
        f"/v1/files/{file}/content/", "/v1/files/%2e%2e/content", f"/v1//files/{file}",
        f"/v1/jobs/{job}%00", f"/v1/jobs/{job}%0a", f"/v1/jobs/{job.upper()}X",
        f"/v1/jobs/..%2f{job}", f"/v1/jobs/{job}/extras/..%2fresult",
        f"/v1/jobs/{job}/extras/%2e%2e", f"/jobs/{job}/../../etc", f"/jobs/..%5c{job}",
        "/%2e%2e/%2e%2e/etc/passwd", "/\\etc\\passwd", "/v1/jobs/%ff%fe", "/v1/jobs/" + "a" * 5000,
    ):  # fmt: skip
        head = f"GET {path} HTTP/1.1\nConnection: close\nAccept: text/html"
        answer = answers(site, request(site, head))
        assert re.match(rb"HTTP/1\.1 (400|404|405|422|307) ", answer), (path, answer[:300])
        assert b"root:" not in answer and b"import " not in answer and b"Traceback" not in answer


@pytest.mark.slow
def test_a_result_that_is_replaced_by_a_link_is_not_sent(
    site: Inhabited, ann: httpx.Client, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    places: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(secret),
        "folder": lambda path: path.mkdir(),
        "pipe": lambda path: os.mkfifo(path),
        "nothing": lambda path: None,
    }
    for name, put in places.items():
        job = site.job("succeeded")
        path = Path(site.server.record(job)["output"])
        path.unlink()
        put(path)
        began = time.monotonic()
        refused(ann.get(f"/v1/jobs/{job}/result"), 404, "no_result")
        for picture in ("poster.jpg", "preview.jpg"):
            answer = ann.get(f"/v1/jobs/{job}/{picture}")
            assert answer.status_code != 200, (name, picture)
            refused(answer, (404, 415, 422))
        assert ann.get(f"/jobs/{job}", headers={"Accept": "text/html"}).status_code == 200
        assert time.monotonic() - began < 30
        assert ann.delete(f"/v1/jobs/{job}").status_code == 204
        assert secret.read_text() == "hidden"


@pytest.mark.slow
def test_files_that_a_job_needs_stay_and_may_vanish(site: Inhabited, ann: httpx.Client) -> None:
    content = site.source.read_bytes() + b"another"
    source = site.server.taken(send(ann, content))["id"]
    job = site.server.submit(source, site.files["driving"])["id"]
    refused(ann.delete(f"/v1/files/{source}"), 409, "wrong_state")
    # Somebody cleans up behind the server's back.
    shutil.rmtree(site.server_folder / "uploads" / source)
    record = site.server.record(job)
    assert record["state"] == "queued" and record["files"]["source"] == source
    refused(ann.get(f"/v1/files/{source}/content"), 404, "no_such_upload")
    refused(ann.get(f"/v1/jobs/{job}/poster.jpg"), 404, "no_preview")
    for page in (f"/jobs/{job}", "/jobs", f"/?again={job}"):
        assert ann.get(page, headers={"Accept": "text/html"}).status_code == 200
    refused(ann.post("/v1/jobs", json={"source": source, "driving": source}), 404)
    assert ann.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"


def test_parts_of_files_are_asked_for_in_vain_ways(site: Inhabited, ann: httpx.Client) -> None:
    path = f"/v1/jobs/{site.jobs['succeeded']}/result"
    size = len(ann.get(path).content)
    for wanted in (
        "bytes=" + ",".join(f"{n}-{n}" for n in range(3000)),
        "bytes=" + ",".join(["0-"] * 5000),
        "bytes=0-,-1", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-5", "bytes 0-5", "bytes=--5",
        "bytes=0x0-0x5", "bytes=" + "9" * 5000 + "-", "bytes=\u00b2-", "", "bytes=",
    ):  # fmt: skip
        answer = ann.get(path, headers={"Range": wanted.encode()})
        assert answer.status_code in (200, 416), wanted[:40]
        assert len(answer.content) <= size
    refused(ann.get(path, headers={"Range": f"bytes={size}-"}), 416, "bad_request")
    refused(ann.get(path, headers={"Range": "bytes=999999999999999999-"}), 416, "bad_request")
    assert len(ann.get(path, headers={"Range": "bytes=-999999999999999999"}).content) == size
    for junk in ("*junk", '"', ",,,,", "W/", '"a"' * 5000, "\u00e9", "{{7*7}}", '"a\\"'):
        for name in ("If-None-Match", "If-Range", "If-Modified-Since", "If-Match"):
            answer = ann.get(path, headers={name: junk.encode()})
            assert answer.status_code in (200, 304), (name, junk[:20])
