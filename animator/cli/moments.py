"""Times on the command line: how long ago, or a date, read and shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from animator.errors import AnimatorError

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAYS = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)


def moment(option: str, text: str) -> datetime:
    """The moment that a text names: 90s, 15m, 2h, 3d or 1w ago, or an ISO date or time.

    Dates without a zone are UTC, as all times that the animator prints.

    Args:
        option: what the user gave it to, for the sentence of the error.
        text: what the user gave.

    Raises:
        AnimatorError: `invalid_option`.
    """
    text = text.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise AnimatorError(
            "invalid_option",
            f"{option} is {text!r}; allowed is a time ago such as 90s, 15m, 2h, 3d or 1w, or a "
            "date such as 2026-03-01 or 2026-03-01T12:30.",
        ) from None


def moment_before(option: str, text: str) -> datetime:
    """The same where a bare number means days.

    Raises:
        AnimatorError: `invalid_option`.
    """
    return moment(option, f"{text.strip()}d" if _DAYS.fullmatch(text.strip()) else text)


def age(since: str) -> str:
    """How long ago a time of a record was: 12 s, 5 min, 3.4 h or 2.0 days."""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
