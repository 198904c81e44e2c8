"""Words and numbers of a report as a person reads them."""

from __future__ import annotations

import json


def printable(text: str) -> str:
    """Text on one line and printable, whatever is in it."""
    return text if text.isprintable() else "".join(map(_printable, text))


def cut(text: str, length: int) -> str:
    """At most so many characters of a text, with an ellipsis where some are left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def as_text(value: object) -> str:
    """A value of an option: a text as it is, anything else as JSON, as far as it goes."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def number(value: float) -> str:
    """A count with its thousands apart, or a measure with three digits that matter."""
    if isinstance(value, int) or (abs(value) >= 100 and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent; never 0 % or 100 % unless it is exactly that."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 clip, 2 clips."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """How long something takes, in the two units that matter."""
    if 0 < seconds < 10:
        return f"{seconds:.1f} s"
    for above, unit, below, part in _UNITS:
        if seconds >= above:
            whole, rest = divmod(round(seconds / part), above // part)
            return f"{whole:,} {unit} {rest} {below}" if rest else f"{whole:,} {unit}"
    return f"{seconds:.0f} s"


def size(count: int) -> str:
    """Bytes in the unit that fits, in powers of 1000 as disks are sold."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{number(value) if unit != 'B' else count} {unit}"
        value /= 1000
    return f"{number(value)} TB"


_UNITS = ((86400, "d", "h", 3600), (3600, "h", "min", 60), (60, "min", "s", 1))


def _printable(character: str) -> str:
    """Line breaks become spaces; what cannot be shown or encoded becomes a mark."""
    if character.isspace():
        return " "
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
