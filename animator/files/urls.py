"""URLs: which are allowed, and names of files that stay in their folder."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.values import is_url, shown_url

_NAME = re.compile(r"[^/\0\\]+(/[^/\0\\]+)*")
_WEB = ("http", "https")
_UNQUOTED = 4
"""How often quoting is undone to look for steps up: some servers do so more than once."""


def check_url(url: str, settings: Settings) -> None:
    """Refuse a URL that is not under one of those that are allowed.

    Raises:
        AnimatorError: `url_refused`.
    """
    allowed = [*settings.allowed_urls, *([settings.storage] if settings.storage else [])]
    if not _is_plain(url) or not any(_is_under(url, prefix) for prefix in allowed):
        names = ", ".join(shown_url(prefix) for prefix in allowed if is_url(prefix)) or "none"
        where = "allowed (ANIMATOR_ALLOWED_URLS) is what is under"
        message = f"{shown_url(url)!r} is not allowed; {where}: {names}."
        raise AnimatorError("url_refused", message)


def check_name(name: str) -> None:
    """Refuse a name that would lead out of its folder.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if not _NAME.fullmatch(name) or _leads_up(name):
        message = f"{name!r} is not a name of a file in a folder."
        raise AnimatorError("invalid_option", message)


def _is_plain(url: str) -> bool:
    """Whether a URL means what it seems to: no user, no steps up, no chain of file systems."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for nonsense
    except ValueError:
        return False
    # To an object store, a question mark is a letter of the name.
    path = parts.path if parts.scheme in _WEB else url.partition("://")[2].partition("/")[2]
    return (
        url.isprintable()
        and "::" not in url
        and "@" not in parts.netloc
        and bool(parts.netloc)
        and not _leads_up(path)
        and (parts.scheme in _WEB or "//" not in path)
    )


def _leads_up(path: str) -> bool:
    """Whether a step of a path is `.` or `..`, also as `%2e` or after a backslash."""
    for _ in range(_UNQUOTED):
        if {".", ".."} & set(path.replace("\\", "/").split("/")):
            return True
        path = unquote(path)
    return False


def _is_under(url: str, prefix: str) -> bool:
    if not is_url(prefix):
        return False
    ours, theirs = urlsplit(url), urlsplit(prefix)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        return False
    # Whole steps: `/data` does not allow `/database`.
    folder = theirs.path.rstrip("/")
    return ours.path == folder or ours.path.startswith(f"{folder}/")
