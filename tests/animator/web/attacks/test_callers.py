"""Whoever comes without right, by another name or from another page gets nothing."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.animator.web.attacks.tools import (
    answers,
    browser_of,
    csrf_of,
    refused,
    request,
    send,
    signed_in,
)
from tests.animator.web.inhabited import Inhabited


def test_other_names_and_other_sites_are_refused(site: Inhabited, ann: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "[::1"):
        for way in ("GET /v1/jobs", "GET /", "GET /livez", "POST /v1/jobs", "GET /login"):
            head = f"{way} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            answer = answers(site, head.encode())
            assert re.match(rb"HTTP/1\.1 (400|403) ", answer), (host, way, answer)
            assert b"evil" not in answer.lower()
    # Nor by what a proxy would say
    told = ann.get("/v1/jobs", headers={"X-Forwarded-Host": "evil.example", "X-Original-URL": "/"})
    assert told.status_code == 200 and "evil" not in told.text
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{site.server.port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused(ann.post("/v1/jobs", json={}, headers=headers), 403, "not_allowed")
        job = site.jobs["queued"]
        refused(ann.delete(f"/v1/jobs/{job}", headers=headers), 403, "not_allowed")
        answer = ann.get("/v1/jobs", headers=headers)
        assert "access-control-allow-origin" not in answer.headers


def test_who_has_no_token_or_a_wrong_one_gets_nothing(site: Inhabited) -> None:
    token = site.tokens["ann"]
    with httpx.Client(base_url=site.server.url) as http:
        for given in (
            "", "Bearer", "Bearer x", f"Bearer {token}x", f"Bearer {token[:-1]}",
            f"Basic {token}", token, f"Bearer {token.upper()}", "Bearer " + "a" * 20_000,
        ):  # fmt: skip
            headers = {"Authorization": given} if given else {}
            for path in ("/v1/jobs", "/v1/files", "/v1/events", "/v1/queue", "/v1/nowhere"):
                answer = http.get(path, headers=headers)
                refused(answer, 401, "not_signed_in")
                assert answer.headers["www-authenticate"] == "Bearer"
            assert token not in answer.text
        for path in ("/", "/jobs", "/workers", "/nowhere"):
            answer = http.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 303 and answer.headers["location"].startswith("/login?")


def test_a_token_in_an_address_is_refused(site: Inhabited) -> None:
    token = site.tokens["ann"]
    with httpx.Client(base_url=site.server.url) as http:
        for query in (f"token={token}", f"access_token={token}", f"x={token}", f"ToKeN={token}"):
            for path in ("/v1/jobs", "/", "/livez", "/login"):
                refused(http.get(f"{path}?{query}"), (400, 401), "bad_request", "not_signed_in")
        for path in ("/livez", "/login"):
            refused(http.get(f"{path}?token={token}"), 400, "bad_request")
    assert token not in site.server.log()


def test_forms_of_other_pages_and_sessions_are_refused(site: Inhabited) -> None:
    job = site.jobs["failed"]
    with signed_in(site) as (browser, csrf), signed_in(site, "bob") as (_, foreign):
        cookie = browser.cookies["animator"]
        for value in (None, "", foreign, csrf[:-1], csrf + "0", csrf.upper(), "\u00e9" * 64):
            fields = {} if value is None else {"csrf": value}
            for path in (
                f"/jobs/{job}/delete", "/jobs/actions", "/sample", "/logout", "/login", "/jobs",
            ):  # fmt: skip
                answer = browser.post(path, data=fields)
                assert answer.status_code in (400, 403), (path, value, answer.status_code)
            headers = {b"Accept": b"application/json"}
            if value is not None:
                headers[b"X-CSRF-Token"] = value.encode()
            answer = browser.post("/v1/jobs", json={}, headers=headers)
            refused(answer, 403, "not_allowed")
            refused(browser.delete(f"/v1/jobs/{job}", headers=headers), 403, "not_allowed")
        # What is signed out is worth nothing, whoever kept it.
        assert browser.post("/logout", data={"csrf": csrf}).status_code == 303
        with httpx.Client(base_url=site.server.url, cookies={"animator": cookie}) as again:
            refused(again.get("/v1/jobs"), 401, "not_signed_in")
            headers = {"X-CSRF-Token": csrf}
            refused(again.post("/v1/jobs", json={}, headers=headers), 401, "not_signed_in")
            assert again.get("/", headers={"Accept": "text/html"}).status_code == 303
    assert site.server.record(job)["state"] == "failed"


def test_nobody_is_sent_elsewhere_after_signing_in(site: Inhabited) -> None:
    for after in (
        "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)",
        "/%09/evil.example", "\t//evil.example", "/\t/evil.example",
        "/\r\nLocation: //evil.example",
        "///evil.example", "\\\\evil.example", "http:evil.example", ".evil.example",
        "@evil.example",
    ):  # fmt: skip
        with browser_of(site) as browser:
            shown = browser.get("/login", params={"next": after})
            fields = {"csrf": csrf_of(shown), "token": site.tokens["ann"], "next": after}
            answer = browser.post("/login", data=fields)
            assert answer.status_code == 303
            place = httpx.URL(site.server.url).join(answer.headers["location"])
            assert place.host == "127.0.0.1" and place.port == site.server.port, after
            assert not re.search(r"^[^/]|^/[/\\\t]", answer.headers["location"]), after
    # Also where the address itself asks for it
    for path in ("//evil.example/", "/%5cevil.example", "/..//evil.example"):
        head = f"GET {path} HTTP/1.1\nAccept: text/html\nConnection: close"
        bare = re.sub(rb"Authorization: [^\r]+\r\n", b"", request(site, head))
        answer = answers(site, bare)
        place = re.search(rb"(?i)\r\nlocation: ([^\r]+)", answer)
        assert place is None or place[1].startswith(b"/login?next="), answer


def test_guesses_of_tokens_are_counted(site: Inhabited) -> None:
    with browser_of(site) as browser:
        csrf = csrf_of(browser.get("/login"))
        fields = {"csrf": csrf, "token": "anim_wrong", "next": ""}
        statuses = [browser.post("/login", data=fields).status_code for _ in range(30)]
        assert statuses == [401] * 10 + [429] * 20


# What belongs to others


def test_what_others_own_is_not_there(
    site: Inhabited, ann: httpx.Client, bob: httpx.Client
) -> None:
    file = site.files["driving"]
    for state, job in site.jobs.items():
        for part in (
            "", "/events", "/logs", "/result", "/preview.jpg", "/poster.jpg", "/driving",
            "/extras/landmarks",
        ):  # fmt: skip
            answer = bob.get(f"/v1/jobs/{job}{part}")
            refused(answer, 404, "no_such_job")
            unknown = bob.get(f"/v1/jobs/{'0' * 12}{part}").text
            assert answer.text.replace(job, "0" * 12) == unknown, (state, part)
        for part in ("cancel", "retry"):
            refused(bob.post(f"/v1/jobs/{job}/{part}"), 404, "no_such_job")
        refused(bob.delete(f"/v1/jobs/{job}"), 404, "no_such_job")
        assert bob.get(f"/jobs/{job}", headers={"Accept": "text/html"}).status_code == 404
        assert bob.get(f"/jobs/{job}/picture").status_code == 404
        assert bob.get(f"/?again={job}", headers={"Accept": "text/html"}).status_code == 404
    for part in ("", "/content", "/thumbnail.jpg"):
        refused(bob.get(f"/v1/files/{file}{part}"), 404, "no_such_upload")
    bob.delete(f"/v1/files/{file}")
    assert ann.get(f"/v1/files/{file}").status_code == 200
    for path in ("/v1/jobs", "/v1/check"):
        body = {"source": file, "driving": file}
        refused(bob.post(path, json=body), 404, "no_such_upload")
    told = bob.get("/v1/jobs").text + bob.get("/v1/files").text + bob.get("/v1/workers").text
    told += bob.get("/jobs").text + bob.get("/").text + bob.get("/workers").text
    for hidden in (*site.jobs.values(), *site.files.values()):
        assert hidden not in told
    with bob.stream("GET", "/v1/events") as stream:
        began = next(stream.iter_bytes()).decode()
        assert not any(job in began for job in site.jobs.values())


@pytest.mark.slow
def test_keys_of_others_lead_to_nothing_of_theirs(
    site: Inhabited, ann: httpx.Client, bob: httpx.Client
) -> None:
    theirs = {"source": site.files["source"], "driving": site.files["driving"], "key": "mine"}
    headers = {"Idempotency-Key": "one"}
    made = site.server.taken(ann.post("/v1/jobs", json=theirs, headers=headers))
    assert site.server.taken(ann.post("/v1/jobs", json=theirs, headers=headers))["id"] == made["id"]
    ids = [
        site.server.taken(send(bob, path.read_bytes(), path.name))["id"]
        for path in (site.source, site.driving)
    ]
    for key in ("mine", "ann:mine", "bob:mine"):
        own = {"source": ids[0], "driving": ids[1], "key": key}
        answer = bob.post("/v1/jobs", json=own, headers={"Idempotency-Key": f"one-{key}"})
        if answer.is_success:
            assert (answer.json()["owner"], answer.json()["id"] == made["id"]) == ("bob", False)
        else:
            assert made["id"] not in answer.text
    other = {"source": ids[0], "driving": ids[1], "size": 512}
    told = site.server.taken(bob.post("/v1/jobs", json=other, headers=headers))
    assert (told["owner"], told["id"] == made["id"]) == ("bob", False)
    changed = {**theirs, "size": 512}
    refused(ann.post("/v1/jobs", json=changed, headers=headers), 422, "idempotency_mismatch")
