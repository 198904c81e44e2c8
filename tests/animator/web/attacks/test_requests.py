"""Requests that are wrong, lie or can be read in two ways: each is refused plainly."""

from __future__ import annotations

import json
import re
import socket

import httpx
import pytest

from tests.animator.web.attacks.tools import (
    MEBIBYTE,
    answers,
    form,
    refused,
    request,
)
from tests.animator.web.inhabited import Inhabited

JSON_BODIES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "deep": (b"[" * 200_000, (400, 422)),
    "deep objects": (b'{"source":' * 20_000, (400, 422)),
    "NaN": (b'{"source":"%s","driving":"%s","smoothing":NaN}', (400, 422)),
    "infinite": (b'{"source":"%s","driving":"%s","smoothing":Infinity}', (400, 422)),
    "huge": (b'{"source":"%s","driving":"%s","smoothing":1e999999}', (400, 422)),
    "long": (b'{"source":"%s","driving":"%s","size":' + b"9" * 100_000 + b"}", (400, 422)),
    "text": (b"\xff\xfe{}", (400, 422)),
    "halves": (b'{"source":"\\ud800","driving":"\\udfff"}', (400, 422)),
    "nothing": (b"", (400, 422)),
    "null": (b"null", (400, 422)),
    "list": (b"[]", (400, 422)),
    "proto": (b'{"source":"%s","driving":"%s","__proto__":{"a":1}}', (422,)),
    "owner": (b'{"source":"%s","driving":"%s","owner":"root"}', (422,)),
    "output": (b'{"source":"%s","driving":"%s","output":"/etc/cron.d/a"}', (422,)),
    "large": (b'{"source":"%s","driving":"%s","key":"' + b"a" * 10 * MEBIBYTE + b'"}', (413,)),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/check"])
@pytest.mark.parametrize("which", JSON_BODIES)
def test_json_that_is_none_is_refused(
    site: Inhabited, ann: httpx.Client, path: str, which: str
) -> None:
    body, statuses = JSON_BODIES[which]
    for name in ("source", "driving"):
        body = body.replace(b"%s", site.files[name].encode(), 1)
    headers = {"Content-Type": "application/json"}
    answer = ann.post(path, content=body, headers=headers)
    refused(answer, statuses, "bad_request", "invalid_option", "upload_too_large")


def test_the_last_of_two_equal_keys_counts(site: Inhabited, ann: httpx.Client) -> None:
    body = {"source": site.files["source"], "driving": site.files["driving"]}
    twice = json.dumps(body)[:-1] + ', "priority": "high", "priority": "low"}'
    headers = {"Content-Type": "application/json"}
    told = site.server.taken(ann.post("/v1/jobs", content=twice, headers=headers))
    assert told["priority"] == "low"


def test_forms_with_too_much_in_them_are_refused(site: Inhabited, ann: httpx.Client) -> None:
    part = b'Content-Disposition: form-data; name="f%d"'
    many = form(*((part % number, b"") for number in range(100_000)))
    for path in ("/v1/files", "/v1/jobs"):
        refused(ann.post(path, **many), (400, 413), "bad_request", "upload_too_large")
    file = b'Content-Disposition: form-data; name="file"; filename="a"'
    forms = {
        "a long field": form((part % 1, bytes(MEBIBYTE))),
        "a long name": form((b'Content-Disposition: form-data; name="' + b"n" * 3000 + b'"', b"")),
        "many headers": form((b"\r\n".join([part % 1] + [b"A: b"] * 100), b"")),
        "a long header": form((part % 1 + b"\r\nA: " + b"b" * 10_000, b"")),
        "no name": form((b"Content-Disposition: form-data", b"")),
        "two files": form(*[(file, b"x")] * 3),
        "a wrong field": form((b'Content-Disposition: form-data; name="evil"; filename="a"', b"x")),
    }  # fmt: skip
    for path in ("/v1/files", "/v1/jobs"):
        for what, given in forms.items():
            answer = ann.post(path, **given)
            assert answer.status_code in (400, 422), (path, what)
            refused(answer, (400, 422), "bad_request", "invalid_option")
    broken = form((part % 1, b"x"))
    broken["content"] = broken["content"][:-10]
    refused(ann.post("/v1/files", **broken), 400, "bad_request")
    broken["headers"] = {"Content-Type": "multipart/form-data; boundary=" + "b" * 500}
    refused(ann.post("/v1/files", **broken), 400, "bad_request")


def test_requests_that_can_be_read_in_two_ways_are_refused(site: Inhabited) -> None:
    inner = b"GET /v1/queue HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for extra in (
        "Content-Length: 5\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 5",
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5, 5, 6",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Content-Length: -1",
    ):
        head = request(site, f"POST /v1/files HTTP/1.1\n{extra}")
        answer = answers(site, head + b"0\r\n\r\n" + inner)
        assert re.match(rb"HTTP/1\.1 (400|501) ", answer), (extra, answer)
        assert answer.count(b"HTTP/1.1 ") == 1, (extra, answer)


def test_chunks_that_lie_are_refused(site: Inhabited) -> None:
    head = request(site, "POST /v1/files HTTP/1.1\nTransfer-Encoding: chunked")
    for chunks in (
        b"5\r\nab\r\n0\r\n\r\n",
        b"zz\r\nab\r\n0\r\n\r\n",
        b"-1\r\nab\r\n0\r\n\r\n",
        b"ffffffffffffffffffffffff\r\nab\r\n",
        b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as connection:
            connection.sendall(head + chunks)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1 << 16)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), (chunks[:20], answer)


def test_odd_ways_of_http_are_answered_plainly(site: Inhabited) -> None:
    old = answers(site, b"GET /livez HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200") and old.endswith(b'{"status": "alive"}')
    assert answers(site, b"GET /livez HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400")
    # One after the other, in order
    head = request(site, "GET /livez HTTP/1.1") + request(site, "GET /v1/nowhere HTTP/1.1")
    both = answers(site, head + request(site, "GET /livez HTTP/1.1\nConnection: close"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", both) == [b"200", b"404", b"200"]
    for junk in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ):
        answer = answers(site, junk + b"\r\n" * 2)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), (junk[:30], answer[:100])
    upgrade = "GET /livez HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade, close"
    assert answers(site, request(site, upgrade)).startswith(b"HTTP/1.1 200")


def test_methods_are_what_they_are(site: Inhabited, ann: httpx.Client) -> None:
    job = site.jobs["failed"]
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        ann.get(f"/v1/jobs/{job}", headers={name: "DELETE"})
        refused(ann.post(f"/v1/jobs/{job}", headers={name: "DELETE"}), 405, "method_not_allowed")
    ann.get(f"/v1/jobs/{job}?_method=DELETE")
    assert ann.get(f"/v1/jobs/{job}").status_code == 200
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PUT"):
        answer = ann.request(method, f"/v1/jobs/{job}")
        assert answer.status_code in (400, 405), method
        assert site.tokens["ann"] not in answer.text
