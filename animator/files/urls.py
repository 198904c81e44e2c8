"""URLs: which are allowed, and names of files that stay in their folder."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.values import is_url, shown_url

_NAME = re.compile(r"[^/\0\\]+(/[^/\0\\]+)*")
_WEB = ("http", "https")
_UNQUOTED = 8
"""How often quoting is undone to look for steps up: some servers do so more than once."""
_DISGUISED = re.compile(r"%(c0|e0%80|f0%80%80)%(2e|2f|5c|ae|af|9c)|%u(00|ff)(2e|2f|5c|0e|0f)", re.I)
"""Dots and slashes in UTF-8 that is longer than allowed, or as some servers of old quote them."""


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
    """Whether a step of a path is `.` or `..`, however it is written, or something is hidden in it.

    Quoted as `%2e`, after a backslash, or with what servers cut off before they look: parameters
    after a semicolon, spaces, and control characters, which are refused anywhere.
    """
    for _ in range(_UNQUOTED):
        if _DISGUISED.search(path) or any(unicodedata.category(letter) == "Cc" for letter in path):
            return True
        plain = unicodedata.normalize("NFKC", path).replace("\\", "/")
        if any(step.partition(";")[0].strip() in (".", "..") for step in plain.split("/")):
            return True
        path, before = unquote(path), path
        if path == before:
            return False
    return True


def _is_under(url: str, prefix: str) -> bool:
    if not is_url(prefix):
        return False
    ours, theirs = urlsplit(url), urlsplit(prefix)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        return False
    # Whole steps: `/data` does not allow `/database`.
    folder = theirs.path.rstrip("/")
    return ours.path == folder or ours.path.startswith(f"{folder}/")
