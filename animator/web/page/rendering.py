"""The rendering of templates, and the files that they refer to."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from animator import __version__
from animator.web.page.messages import Messages

_TEMPLATES = Path(__file__).with_name("templates")
_STATIC = Path(__file__).with_name("static")
STATIC: Mapping[str, str] = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "nobody.svg": "image/svg+xml",
}
"""The files that pages refer to, with their media types."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def render(template: str, t: Messages, root_path: str, **values: Any) -> str:
    """A page. Every value is escaped.

    Args:
        template: name of the file.
        t: the sentences.
        root_path: what stands before all paths.
        values: what the template asks for besides.
    """

    def at(path: str) -> str:
        return root_path + path

    def ago(moment: str) -> str:
        return _ago(t, moment)

    def static(name: str) -> str:
        return at(f"/static/{name}?v={static_file(name)[1]}")

    common = {"t": t, "at": at, "ago": ago, "static": static, "version": __version__}
    return _environment().get_template(template).render(**common, root_path=root_path, **values)


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """The content of one of the files in `STATIC`, and a text that changes with it.

    Raises:
        KeyError: if there is no such file.
    """
    if name not in STATIC:
        raise KeyError(name)
    content = (_STATIC / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(amount=amount, clock=clock, rate=rate, moment=moment)
    environment.globals["bdi"] = bdi
    return environment


def bdi(text: str) -> Markup:
    """A name from elsewhere, which does not turn the direction of what stands around it."""
    return Markup("<bdi>{}</bdi>").format(_shown(text))


def clock(seconds: float | None) -> str:
    """A length of time: 0:07, 12:30 or 1:02:03."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(max(round(seconds), 0), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def amount(count: float) -> str:
    """A number of bytes: 640 B, 12 KB, 3.4 MB."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            digits = 1 if count < 10 and unit != "B" else 0
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def rate(value: float) -> str:
    """A speed: 0.42, 7.5 or 31."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def moment(text: str) -> str:
    """A moment of a record as people read it: 2026-02-03 14:05 UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _ago(t: Messages, text: str) -> str:
    """How long ago a moment of a record was."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    if seconds < _MINUTE:
        return t("time.now")
    if seconds < _HOUR:
        return t("time.minutes", n=int(seconds // _MINUTE))
    if seconds < _DAY:
        return t("time.hours", n=int(seconds // _HOUR))
    return t("time.days", n=int(seconds // _DAY))


def _shown(value: Any) -> Any:
    """A value on its way into a page: texts without characters that browsers may not be sent."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" else char
        for char in value
    )
