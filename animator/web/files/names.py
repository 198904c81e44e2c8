"""Names of files: the server's own, and those that strangers give, made harmless."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from urllib.parse import quote

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIME_DIGITS, _RANDOM_DIGITS = 9, 11
ID_PATTERN = "^[0-9a-z]{20}$"
"""How the id of an upload looks."""
_ID = re.compile(r"[0-9a-z]{20}", re.ASCII)
MOST_CHARACTERS = 120
"""Of a name that is shown."""
_MOST_IN_FILE_NAME = 100
_MOST_SUFFIX = 12
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of control characters, marks of direction, halves, and line ends."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def new_id() -> str:
    """An id of 20 letters and digits; a later one sorts behind those of earlier milliseconds."""
    moment, digits = time.time_ns() // 1_000_000, ""
    for _ in range(_TIME_DIGITS):
        moment, digit = divmod(moment, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_DIGITS))


def is_id(text: str) -> bool:
    """Whether a text could be an id."""
    return _ID.fullmatch(text) is not None


def clean_name(name: str, instead: str = "file") -> str:
    """A name that can be shown: one line without folders, and without what would turn it around.

    Args:
        name: what somebody called a file.
        instead: the name if nothing is left of it.
    """
    # Long ones are cut first: what follows takes time.
    name = unicodedata.normalize("NFC", name[-4096:])
    name = re.split(r"[/\\]", name)[-1]
    kept = (" " if char.isspace() else char for char in name)
    shown = "".join(char for char in kept if unicodedata.category(char) not in _UNSHOWN)
    shown = " ".join(shown.split()).strip(" .")
    if len(shown) > MOST_CHARACTERS:
        # The suffix is worth more than the end of a long name.
        stem, dot, suffix = shown.rpartition(".")
        if not dot or len(suffix) > _MOST_SUFFIX:
            stem, dot, suffix = shown, "", ""
        shown = stem[: MOST_CHARACTERS - len(dot + suffix)].rstrip(" .") + dot + suffix
    return shown or instead


def safe_stem(*names: str) -> str:
    """A file's name without suffix of ASCII letters, digits, hyphens, points and underscores.

    Args:
        names: what the parts of it are called, each with its suffix, which is left out.
    """
    parts = []
    for name in names:
        shown = clean_name(name)
        stem = shown.rpartition(".")[0] or shown
        plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
        plain = _UNSAFE.sub("-", plain).strip("-._")
        parts.append(plain[: _MOST_IN_FILE_NAME // max(len(names), 1) - 2].strip("-._") or "file")
    return "--".join(parts) or "file"


def disposition(name: str, *, inline: bool) -> str:
    """The header that says what a file is called and whether it is shown or kept (RFC 6266).

    Args:
        name: as `clean_name` gives it; anything else is cleaned.
        inline: whether it may be shown within a page.
    """
    shown = clean_name(name)
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", plain).strip(" .") or "file"
    kind = "inline" if inline else "attachment"
    value = f'{kind}; filename="{plain}"'
    # Browsers take the second form, whose letters are of any language.
    return value if plain == shown else f"{value}; filename*=UTF-8''{quote(shown, safe='')}"
