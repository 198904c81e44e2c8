"""The settings of the server: where it listens, who may use it, and how much of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from animator.errors import AnimatorError
from animator.settings import Settings

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*", re.ASCII)
_FLAGS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


@dataclass(frozen=True)
class ServerSettings:
    """The settings of one server.

    Raises:
        AnimatorError: `invalid_option` for a value that is not allowed, naming its variable.
    """

    folder: Path
    """Where uploads and results lie (`ANIMATOR_SERVE_FOLDER`); with workers on other machines, one
    that all of them have under this path."""
    host: str = "127.0.0.1"
    """Address to listen on (`ANIMATOR_SERVE_HOST`)."""
    port: int = 8420
    """Port to listen on (`ANIMATOR_SERVE_PORT`); 0 is any that is free."""
    token_file: Path | None = None
    """Who may use it (`ANIMATOR_SERVE_TOKEN_FILE`); None is everybody on this machine."""
    worker: bool = True
    """Whether a worker is started while no other takes jobs (`ANIMATOR_SERVE_WORKER`)."""
    root_path: str = ""
    """What a proxy in front puts before all paths (`ANIMATOR_SERVE_ROOT_PATH`)."""
    hosts: tuple[str, ...] = ()
    """Names by which it is reached, beside that of `host` (`ANIMATOR_SERVE_HOSTS`)."""
    max_upload_bytes: int = 2 * 1024**3
    """Largest file that is taken (`ANIMATOR_SERVE_MAX_UPLOAD_BYTES`)."""
    quota_bytes: int = 20 * 1024**3
    """Most bytes of uploads that an owner may have (`ANIMATOR_SERVE_QUOTA_BYTES`)."""
    upload_days: int = 7
    """Days that an upload is kept after its last use (`ANIMATOR_SERVE_UPLOAD_DAYS`)."""
    rate: int = 120
    """Jobs that one caller may submit in a minute, and files that one may upload
    (`ANIMATOR_SERVE_RATE`)."""
    streams: int = 256
    """Event streams that one caller may have open (`ANIMATOR_SERVE_STREAMS`)."""

    def __post_init__(self) -> None:
        """Check what the environment or a command may have got wrong."""
        if not self.folder.is_absolute():
            raise _refuse("FOLDER", str(self.folder), "an absolute path")
        if not _HOST.fullmatch(self.host):
            raise _refuse("HOST", self.host, "an address or a name")
        if not 0 <= self.port <= 65535:
            raise _refuse("PORT", self.port, "0 to 65535")
        if not _ROOT_PATH.fullmatch(self.root_path):
            raise _refuse("ROOT_PATH", self.root_path, "a path such as /animator")
        for name in self.hosts:
            if not _HOST.fullmatch(name):
                raise _refuse("HOSTS", name, "names such as animator.example, without port")
        for number in ("max_upload_bytes", "quota_bytes", "upload_days", "rate", "streams"):
            if getattr(self, number) < 1:
                raise _refuse(number.upper(), getattr(self, number), "a whole number from 1")

    @classmethod
    def from_environment(
        cls, settings: Settings, environment: Mapping[str, str] | None = None, **given: Any
    ) -> ServerSettings:
        """The settings that the environment asks for; empty variables count as not set.

        Args:
            settings: of the process; by default the folder is in its state folder.
            environment: the variables.
            given: what a command was told, which goes before; None is nothing.
        """
        env = os.environ if environment is None else environment
        values: dict[str, Any] = {"folder": settings.state_dir / "server"}
        for item in fields(cls):
            text = env.get(f"ANIMATOR_SERVE_{item.name.upper()}")
            if text:
                values[item.name] = _read(item.name, str(item.type), text)
        values |= {name: value for name, value in given.items() if value is not None}
        return cls(**values)


def _read(name: str, kind: str, text: str) -> Any:
    """A variable's value as its field has it."""
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise _refuse(name.upper(), text, "a whole number") from None
    if kind == "bool":
        if text.lower() not in _FLAGS:
            raise _refuse(name.upper(), text, "yes or no")
        return _FLAGS[text.lower()]
    if kind.startswith("Path"):
        return Path(text).expanduser().absolute()
    if kind.startswith("tuple"):
        return tuple(text.replace(",", " ").split())
    return text


def _refuse(name: str, got: object, allowed: str) -> AnimatorError:
    return AnimatorError("invalid_option", f"ANIMATOR_SERVE_{name} is {got!r}; allowed: {allowed}.")
