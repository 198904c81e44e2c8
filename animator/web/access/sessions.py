"""Sessions of the page: cookies in place of tokens, and what proves a form to be the page's own."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

import redis

from animator.broker.connection import PREFIX, queue_errors
from animator.files.private import private_folder

SECONDS = 7 * 24 * 3600
"""How long a session lives after its last use."""
_SECRET_BYTES = 32


class Sessions:
    """Sessions of those who signed in, in Redis under a hash of their cookie.

    So a cookie is worth nothing after its owner has signed out, a server that is started again
    knows its sessions, and who reads Redis cannot use them.

    Args:
        client: a Redis client.
        folder: of the server, where the secret of its forms is kept.
    """

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self._client = client
        self._secret = _secret(folder)

    def open(self, name: str, digest: str) -> str:
        """A new session of a token, by the token's name and hash; returns the cookie's value."""
        session = new_session()
        with queue_errors():
            self._client.set(_key(session), json.dumps([name, digest]), ex=SECONDS)
        return session

    def find(self, session: str) -> tuple[str, str] | None:
        """Name and hash of a session's token; None if there is no such session any more."""
        with queue_errors():
            found = self._client.getex(_key(session), ex=SECONDS)
        with suppress(ValueError, TypeError):
            name, digest = json.loads(found)  # type: ignore[arg-type]
            return str(name), str(digest)
        return None

    def close(self, session: str) -> None:
        """End a session."""
        with queue_errors():
            self._client.delete(_key(session))

    def csrf(self, session: str) -> str:
        """What the forms of a session carry, which another site cannot know."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: str, given: str) -> bool:
        """Whether a form carries what it should."""
        return hmac.compare_digest(self.csrf(session).encode(), given.encode(errors="replace"))


def new_session() -> str:
    """A cookie's value; without tokens it stands for no session, and only binds forms to it."""
    return secrets.token_urlsafe(32)


def _key(session: str) -> str:
    return f"{PREFIX}web:session:{hashlib.sha256(session.encode()).hexdigest()}"


def _secret(folder: Path) -> bytes:
    """The secret of the servers that share a folder; the first of them makes it."""
    private_folder(folder)
    path = folder / "secret"
    if not path.exists():
        draft = folder / f".secret-{secrets.token_hex(8)}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as new:
            new.write(secrets.token_bytes(_SECRET_BYTES))
        # The link fails where another server was faster, and never shows half a secret.
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()
