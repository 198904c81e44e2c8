"""Files on web servers: read only, and every redirection is checked like the URL itself.

The methods that `animator.files.storage.Storage` needs are called as fsspec calls them. What can be
tried again is raised as `OSError` or an error of httpx; what cannot, as `FileNotFoundError` or
`PermissionError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

import httpx

from animator.files.urls import check_url
from animator.settings import Settings

MAX_REDIRECTS = 5
CHUNK = 1 << 16
_TIMEOUT = httpx.Timeout(30, connect=5)
_GONE = (404, 410)
_AGAIN = (408, 409, 423, 425, 429)
"""Refusals that are only for now, as all from 500 on."""
_NO_HEAD = (400, 403, 405, 501)
"""What servers, and addresses that are signed for reading only, answer to a question for the head
of a file."""


class HttpFiles:
    """Reads from web servers.

    Args:
        settings: which URLs are allowed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def info(self, url: str) -> dict[str, Any]:
        """Size and validators of a file: `size`, `ETag`, `LastModified`; None if not told.

        Raises:
            FileNotFoundError, PermissionError, OSError, httpx.HTTPError: as the server answers.
            AnimatorError: `url_refused` after a redirection.
        """
        try:
            with self.answer("HEAD", url) as answer:
                return file_info(answer.headers)
        except _Refused as refused:
            if refused.status not in _NO_HEAD:
                raise
        with self.answer("GET", url) as answer:
            return file_info(answer.headers)

    def cat_file(self, url: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of a file, or of a part of it; errors as in `info`."""
        first = start or 0
        if end is not None and end <= first:
            return b""
        # HTTP counts the last byte in.
        span = f"bytes={first}-{'' if end is None else end - 1}"
        headers = {} if start is None and end is None else {"Range": span}
        with self.answer("GET", url, headers) as answer:
            # The part begins after the end of the file.
            if answer.status_code == 416:
                return b""
            if answer.status_code == 206:
                return b"".join(answer.iter_raw())
            # A server that cannot cut sends all of it; what is after the end is not waited for.
            content = bytearray()
            for data in answer.iter_raw(CHUNK):
                content += data
                if end is not None and len(content) >= end:
                    break
        return bytes(content[first:end])

    def get_file(self, url: str, path: str) -> None:
        """Write the content of a file into a local one; errors as in `info`."""
        with open(path, "wb") as file, self.answer("GET", url) as answer:
            for data in answer.iter_raw(CHUNK):
                file.write(data)

    @contextmanager
    def answer(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer to a request, after redirections; its body has not been read.

        Compressed content is neither asked for nor taken: a small answer may unpack to any size.

        Yields:
            One with the status 200, 206, or 416 if the part that was asked for is not there.

        Raises:
            As in `info`.
        """
        # Each address is checked before it is asked: a redirection may lead into our network.
        for _ in range(MAX_REDIRECTS + 1):
            check_url(url, self._settings)
            asked = {"Accept-Encoding": "identity", **(headers or {})}
            with _client().stream(method, url, headers=asked) as answer:
                if target := _redirection(answer):
                    url = urljoin(url, target)
                    continue
                _require(answer)
                yield answer
                return
        raise _Refused(f"more than {MAX_REDIRECTS} redirections", 0)


class _Refused(PermissionError):
    """The server refuses, and will refuse again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    return httpx.Client(
        follow_redirects=False,
        timeout=_TIMEOUT,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
        headers={"User-Agent": "animator"},
    )


def _redirection(answer: httpx.Response) -> str | None:
    if answer.status_code in (301, 302, 303, 307, 308):
        return answer.headers.get("Location")
    return None


def _require(answer: httpx.Response) -> None:
    status = answer.status_code
    said = f"HTTP {status} {answer.reason_phrase}".rstrip()
    if status in _GONE:
        raise FileNotFoundError(said)
    if status >= 500 or status in _AGAIN:
        raise OSError(said)
    if status >= 300 and status != 416:
        raise _Refused(said, status)
    if status < 300 and status not in (200, 206):
        raise OSError(said)
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("it is sent compressed although that was not asked for", status)


def file_info(headers: httpx.Headers) -> dict[str, Any]:
    """What the headers of an answer say of a file, as `HttpFiles.info` returns it."""
    modified = headers.get("Last-Modified")
    try:
        time = None if modified is None else parsedate_to_datetime(modified)
    except ValueError:
        time = None
    return {"size": _size(headers), "ETag": headers.get("ETag"), "LastModified": time}


def _size(headers: httpx.Headers) -> int | None:
    """The length of the whole file, also if only a part of it was sent."""
    text = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None
