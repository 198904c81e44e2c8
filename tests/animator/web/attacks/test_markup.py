"""Markup, scripts and templates in whatever is shown again stay text."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from animator.record import JobError
from tests.animator.web.attacks.tools import (
    MARKUP,
    send,
    signed_in,
)
from tests.animator.web.inhabited import Inhabited


def assert_harmless(answer: httpx.Response) -> None:
    """Nothing of what was sent is markup, a template or a script in what comes back."""
    kind, text = answer.headers["content-type"], answer.text
    assert answer.status_code < 500
    if not kind.startswith("text/html"):
        assert kind.startswith(("application/", "image/", "text/css", "text/event-stream")), kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        return
    assert "8642039" not in text, "a template was filled in"
    for sign in ("<script>alert", "<img src=x", "<svg/onload", "onerror=alert(1)>", "root:x:0"):
        assert sign not in text, sign
    assert not re.search(r"(?i)(href|src|action)\s*=\s*[\"']?\s*javascript:", text)
    scripts = re.findall(r"(?i)<script\b[^>]*>", text)
    assert all(
        re.fullmatch(r'<script type="module" src="/static/page\.js\?v=\w+">', s) for s in scripts
    )
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy


@pytest.mark.slow
@pytest.mark.parametrize("text", MARKUP, ids=range(len(MARKUP)))
def test_markup_stays_text_wherever_it_is_shown(
    site: Inhabited, ann: httpx.Client, text: str
) -> None:
    page = {"Accept": "text/html"}
    # In names of files, and the jobs made of them
    content = site.source.read_bytes() + text.encode()
    file = site.server.taken(send(ann, content, text + ".png"))
    job = site.server.submit(file["id"], site.files["driving"], key=re.sub(r"\s", "", text))["id"]
    failed = site.job("running")
    fail(site, failed, text)
    shown = ["/", "/jobs", f"/jobs/{job}", f"/jobs/{failed}", f"/?source={file['id']}", "/workers"]
    shown += [f"/?again={job}", f"/v1/jobs/{job}", f"/v1/jobs/{failed}/logs", "/v1/files"]
    for path in shown:
        assert_harmless(ann.get(path, headers=page))
    seen = ann.get(f"/jobs/{failed}", headers=page).text
    assert text in html.unescape(seen)
    # In addresses
    for path in (
        "/", "/jobs", "/login", "/workers", "/v1/jobs", "/v1/files", "/v1/events",
        "/static/style.css",
    ):  # fmt: skip
        for name in (
            "source", "driving", "again", "state", "cursor", "next", "size", "weights", "webhook",
            "key", "told", "why", "done", "left", "look", "last_event_id", "v", text,
        ):  # fmt: skip
            if path == "/v1/events" and name == "last_event_id":
                continue
            with ann.stream("GET", path, params={name: text}, headers=page) as answer:
                if not answer.headers["content-type"].startswith("text/event-stream"):
                    answer.read()
                    assert_harmless(answer)
    for path in (
        "/{}",
        "/jobs/{}",
        "/v1/jobs/{}",
        "/v1/files/{}",
        "/static/{}",
        "/jobs/{}/picture",
    ):
        quoted = httpx.URL(path="/" + text).raw_path[1:].decode().replace("/", "%2F")
        assert_harmless(ann.get(path.format(quoted), headers=page))
        assert_harmless(ann.get(path.format(quoted)))


def fail(site: Inhabited, job: str, message: str) -> None:
    """Have a running job fail for a reason that somebody made up, with a log that is no better."""
    attempt = site.store.get(job).attempt
    assert site.store.fail(job, attempt, JobError("no_face", message, False))


@pytest.mark.slow
@pytest.mark.parametrize("text", MARKUP, ids=range(len(MARKUP)))
def test_markup_in_forms_stays_text(site: Inhabited, text: str) -> None:
    with signed_in(site, "root") as (browser, csrf):
        names = (
            "source",
            "driving",
            "size",
            "start",
            "weights",
            "webhook",
            "key",
            "face",
            "device",
        )
        for name in names:
            answer = browser.post("/jobs", files={"csrf": (None, csrf), name: (None, text)})
            assert answer.status_code in (403, 404, 422), (name, answer.status_code)
            assert_harmless(answer)
        fields = {"csrf": csrf, "action": text, "job": text, "state": text}
        assert_harmless(browser.post("/jobs/actions", data=fields, follow_redirects=True))
        assert_harmless(
            browser.post(f"/jobs/{site.jobs['failed']}/{httpx.QueryParams(a=text)}", data=fields)
        )
        wrong = {"csrf": csrf, "token": text, "next": text}
        assert_harmless(browser.post("/login", data=wrong))
