"""The token file: who may use the server, with a hash of each token.

A line is a name, the token's hash, and perhaps the word `all`:

    studio-a sha256:5e88...
    operator sha256:9c1f... all

A token is 32 random bytes, so that a plain hash of it cannot be turned round.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from animator.errors import AnimatorError
from animator.web.access.callers import Caller

PREFIX = "anim_"
"""What tokens begin with, so that they are known where they should not be."""
MAX_TOKEN = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})(\s+all)?", re.ASCII)
_LOOK_SECONDS = 1.0
"""Time between two looks at whether the file has changed."""


@dataclass(frozen=True)
class Token:
    """A line of the file."""

    name: str
    digest: str
    """SHA-256 of the token, in hexadecimal digits."""
    sees_all: bool


class Tokens:
    """The tokens of a file, read again when it changes.

    Args:
        path: of the file.

    Raises:
        AnimatorError: `unreadable_file`, or `invalid_option` for a file that has no token, a line
            that is none, or that others may write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version = self._version_now()
        self._tokens = read_tokens(path)
        self._looked = time.monotonic()
        if not self._tokens:
            message = f"{str(path)!r} has no token; make one with: animator token NAME"
            raise AnimatorError("invalid_option", message)

    def caller_of(self, token: str, address: str) -> Caller | None:
        """Whose token it is; every line is compared, in the same time whatever it holds."""
        digest = digest_of(token[: MAX_TOKEN + 1])
        return self._caller(lambda one: hmac.compare_digest(one.digest, digest), address)

    def caller_named(self, name: str, digest: str, address: str) -> Caller | None:
        """The caller of a session, if its token is still in the file."""
        return self._caller(lambda one: one.name == name and one.digest == digest, address)

    def _caller(self, matches: Callable[[Token], bool], address: str) -> Caller | None:
        tokens = self._current()
        found = [one for one in tokens if matches(one)]
        if not found:
            return None
        # Whoever is alone with the server has nobody to hide anything from.
        alone = len({one.name for one in tokens}) == 1
        return Caller(found[0].name, alone or found[0].sees_all, address)

    def _current(self) -> list[Token]:
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._looked = time.monotonic()
                version = self._version_now()
                if version != self._version:
                    # Half a file, or none, lets nobody in.
                    try:
                        self._tokens = read_tokens(self._path)
                    except AnimatorError:
                        self._tokens = []
                    self._version = version
            return self._tokens

    def _version_now(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)


def digest_of(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file; empty lines and those that begin with # are left out.

    Raises:
        AnimatorError: `unreadable_file`, `invalid_option`.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise AnimatorError("unreadable_file", f"{str(path)!r} cannot be read: {why}.") from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"Others may write {str(path)!r}, and so let themselves in; use: chmod 600"
        raise AnimatorError("invalid_option", message)
    tokens = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            message = f"Line {number} of {str(path)!r} is not: NAME sha256:HASH [all]"
            raise AnimatorError("invalid_option", message)
        tokens.append(Token(found[1], found[2], bool(found[3])))
    return tokens


def add_token(path: Path, name: str, *, sees_all: bool = False) -> str:
    """Make a token, and put its hash into the file, which is made if it is not there.

    Args:
        path: of the file.
        name: whose it is; a name may have several tokens.
        sees_all: whether it shows what others own, too.

    Returns:
        The token, which is nowhere else.

    Raises:
        AnimatorError: `invalid_option` for a name that is none; `output_not_writable`; as
            `read_tokens`.
    """
    if not _NAME.fullmatch(name):
        allowed = "1 to 64 letters, digits, dots, hyphens and underscores"
        raise AnimatorError("invalid_option", f"The name is {name!r}; allowed is {allowed}.")
    if path.exists():
        read_tokens(path)
    token = PREFIX + secrets.token_urlsafe(32)
    line = f"{name} sha256:{digest_of(token)}{' all' if sees_all else ''}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One write at the end of the file: two commands at once lose neither line.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror}."
        raise AnimatorError("output_not_writable", message) from error
    return token
