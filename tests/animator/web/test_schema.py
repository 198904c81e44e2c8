"""The server against its own description: Schemathesis sends what it allows and what it does not.

All of its checks are on: no 5xx, no answer that the document lacks, wrong data refused, right data
taken, other methods refused, tokens asked for. `ANIMATOR_LONG_TESTS=1` runs the long form: 2,000
cases at least.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.animator.web import schema_hooks
from tests.animator.web.inhabited import Inhabited, inhabit

LONG = bool(os.environ.get("ANIMATOR_LONG_TESTS"))
CASES = 2000 if LONG else 100
OWNERS = {"ann": False, "bob": False}

CONFIG = """\
hooks = {hooks}
max-stream-events = 1
request-timeout = 180
workers = 2
warnings = false
[cache]
enabled = false
[generation]
max-examples = {examples}
database = "none"
no-shrink = true
[checks]
enabled = true
[phases]
coverage.enabled = {long}
stateful.enabled = {long}

# Not everything is asked of what is not there.
[dictionaries]
jobs.values = {jobs}
files.values = {files}
videos.values = {videos}
[parameters]
"path.job_id" = {{ dictionary = "jobs", probability = 0.8 }}
"path.file_id" = {{ dictionary = "files", probability = 0.8 }}
"body.source" = {{ dictionary = "files", probability = 0.8 }}
"body.driving" = {{ dictionary = "videos", probability = 0.8 }}

# Nobody consumes here, which this route answers with 503.
[[operations]]
include-path = "/readyz"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]

# That bytes are no picture or video is nothing that a schema could say; to look takes a process.
[[operations]]
include-name = "POST /v1/files"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 415, 422]
checks.max_response_time = 60

[[operations]]
include-name = "POST /v1/jobs"
# Nor that a picture drives nothing, nor which faces go with which files.
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 415, 422]
checks.max_response_time = 60

# A job that is new has no picture yet, and is there all the same.
[[operations]]
include-name = "GET /v1/jobs/{{job_id}}/preview.jpg"
checks.ensure_resource_availability.enabled = false

# Half a minute the first time.
[[operations]]
include-name = "POST /v1/sample"
enabled = {long}
checks.max_response_time = 120

# Seconds each, for a process that looks at real files.
[[operations]]
include-name = "POST /v1/check"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 415, 422]
generation.max-examples = {few}
checks.max_response_time = 120
"""


def configuration(inhabited: Inhabited, path: Path) -> Path:
    examples = 40 if LONG else 6
    text = CONFIG.format(
        hooks=json.dumps(schema_hooks.__file__),
        examples=examples,
        few=max(examples // 6, 2),
        long=json.dumps(LONG),
        jobs=json.dumps(list(inhabited.jobs.values())),
        files=json.dumps(list(inhabited.files.values())),
        videos=json.dumps([inhabited.files["driving"]]),
    )
    path.write_text(text)
    return path


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("owners", [None, OWNERS] if LONG else [OWNERS])
def test_the_server_keeps_to_its_description(
    state_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owners: dict[str, bool] | None,
) -> None:
    monkeypatch.setenv("ANIMATOR_SERVE_RATE", "1000000")
    monkeypatch.setenv(schema_hooks.FOLDER, str(tmp_path))
    inhabited = inhabit(tmp_path, owners=owners)
    server, report = inhabited.server, tmp_path / "report.json"
    try:
        token = ["-H", server.http.headers["authorization"]] if owners else []
        if token:
            token[1] = f"Authorization: {token[1]}"
        ended = subprocess.run(
            [
                Path(sys.executable).with_name("st"),
                "--config-file", configuration(inhabited, tmp_path / "schemathesis.toml"),
                "run", f"{server.url}/openapi.json",  "--continue-on-failure",
                f"--report-json-path={report}", *([] if LONG else ["--seed=1"]), *token,
            ],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told = json.loads(report.read_text())
        print(told["test_cases"], told["running_time"])  # noqa: T201 - with -s
        assert told["operations"]["tested"] == told["operations"]["selected"] >= 26
        assert told["test_cases"]["generated"] >= CASES
        assert "Traceback" not in server.log()
    finally:
        server.end()


def test_every_address_tells_its_methods(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inhabited = inhabit(tmp_path)
    try:
        http = inhabited.server.http
        for path, item in http.get("/openapi.json").json()["paths"].items():
            address = path.format(
                job_id=inhabited.jobs["succeeded"],
                file_id=inhabited.files["driving"],
                extra="landmarks",
            )
            answer = http.request("PROPFIND", address)
            assert answer.status_code == 405, path
            allowed = set(answer.headers["allow"].split(", "))
            assert allowed - {"HEAD"} == {verb.upper() for verb in item}, path
            assert ("HEAD" in allowed) == ("get" in item), path
            if "get" in item:
                assert_same_head(http, address)
    finally:
        inhabited.server.end()


def assert_same_head(http: httpx.Client, address: str) -> None:
    """What is told of running jobs and of times may change in between, so there are many tries."""
    for _ in range(50):
        with http.stream("GET", address) as answer:
            status, headers = answer.status_code, dict(answer.headers)
        head = http.head(address)
        assert (head.status_code, head.content) == (status, b""), address
        headers.pop("date", None)
        told = {name: head.headers.get(name) for name in headers}
        if told == headers:
            return
    assert told == headers, address
