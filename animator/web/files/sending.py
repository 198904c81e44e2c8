"""Files on disk as answers: whole or in part, and only if the caller has not got them yet.

The file is opened once, so that one that is replaced meanwhile is sent as it was.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from animator.errors import CODES, AnimatorError
from animator.web.files.names import disposition
from animator.web.problems import MEDIA_TYPE

_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What goes with everything that strangers have made: it is never taken for a page."""


def send_file(
    request: Request,
    path: Path,
    media_type: str,
    *,
    etag: str | None = None,
    name: str = "",
    inline: bool = False,
    missing: AnimatorError,
    max_age: int = 0,
) -> Response:
    """A file as an answer to GET or HEAD, with Range, If-Range, If-None-Match and their kin.

    Of several ranges none is heeded, as a server may choose: the file then comes whole.

    Args:
        request: whose headers say what is wanted.
        path: the file; a link is not followed.
        media_type: what it is.
        etag: says which content it is, without quotes; None makes one of its time and size.
        name: what it is called, for people.
        inline: whether it may be shown within a page instead of being kept.
        missing: what is raised if it is not there.
        max_age: for how many seconds the caller may keep it without asking again.

    Raises:
        AnimatorError: `missing`.
    """
    file = _open(path, missing)
    status = os.fstat(file.fileno())
    tag = f'"{etag or f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"}"'
    headers = {
        **HEADERS,
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={max_age}" if max_age else "private, no-cache",
        "Content-Disposition": disposition(name or path.name, inline=inline),
        "ETag": tag,
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
    }
    if _has_it(request.headers, tag, status.st_mtime):
        file.close()
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if wanted is None or not _range_holds(request.headers, tag, headers["Last-Modified"]):
        return _FileAnswer(file, 0, status.st_size, media_type, headers)
    part = _part(wanted, status.st_size)
    if part is None:
        return _FileAnswer(file, 0, status.st_size, media_type, headers)
    start, end = part
    if start >= end:
        file.close()
        return _beyond(status.st_size)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{status.st_size}"
    return _FileAnswer(file, start, end, media_type, headers, status_code=206)


def send_bytes(
    request: Request,
    content: bytes,
    media_type: str,
    *,
    etag: str,
    name: str,
    max_age: int = 0,
) -> Response:
    """A small answer with an ETag, shown within a page; arguments as of `send_file`."""
    headers = {
        **HEADERS,
        "Cache-Control": f"private, max-age={max_age}" if max_age else "private, no-cache",
        "Content-Disposition": disposition(name, inline=True),
        "ETag": f'"{etag}"',
    }
    if _has_it(request.headers, headers["ETag"], None):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def _beyond(size: int) -> Response:
    """The answer to a range that lies behind the end."""
    content = {
        "type": "about:blank",
        "title": CODES["bad_request"],
        "status": 416,
        "detail": f"The range lies behind the end of the file, which has {size} bytes.",
        "code": "bad_request",
        "retryable": False,
    }
    return JSONResponse(content, 416, {"Content-Range": f"bytes */{size}"}, MEDIA_TYPE)


class _FileAnswer(Response):
    """A stretch of an open file, which is closed when it was sent."""

    def __init__(
        self,
        file: io.FileIO,
        start: int,
        end: int,
        media_type: str,
        headers: Mapping[str, str],
        status_code: int = 200,
    ) -> None:
        self._file, self._start, self._end = file, start, end
        self.status_code, self.media_type, self.background = status_code, media_type, None
        self.body = b""
        self.init_headers({**headers, "Content-Length": str(end - start)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            place = self._end if scope["method"] == "HEAD" else self._start
            while place < self._end:
                size = min(_BLOCK, self._end - place)
                block = await to_thread.run_sync(os.pread, self._file.fileno(), size, place)
                if not block:
                    # Somebody has cut it: the connection ends with less than was said.
                    raise OSError("a file became shorter while it was sent")
                place += len(block)
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._file.close()


def _open(path: Path, missing: AnimatorError) -> io.FileIO:
    """Open a regular file, no link, and without waiting for anybody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise missing from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise missing
    return io.FileIO(descriptor)


def _has_it(headers: Mapping[str, str], tag: str, changed: float | None) -> bool:
    """Whether the caller has this content by what the headers say (RFC 9110, 13.2.2)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        known = {one.strip().removeprefix("W/") for one in tags.split(",")}
        return tag in known or "*" in known
    since = headers.get("if-modified-since")
    if since is None or changed is None:
        return False
    try:
        return int(changed) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _range_holds(headers: Mapping[str, str], tag: str, changed: str) -> bool:
    """Whether a range is of this content: If-Range names it, or there is none."""
    wanted = headers.get("if-range")
    return wanted is None or wanted in (tag, changed)


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """Start and end of a range; None if it is to be ignored; an empty one if it cannot be met."""
    found = _RANGE.fullmatch(wanted.strip().lower())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        return max(size - int(last), 0), size if int(last) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size
