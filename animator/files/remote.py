"""Operations on remote stores: the file system behind a URL, and trying until it works.

Every back end has errors of its own. Here they become one of three things: something to try again,
an `AnimatorError` that says what the user got wrong, or `storage_unavailable`.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar
from urllib.parse import urlsplit

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.values import shown_url, without_users
from gfla.files import DISK_FULL

T = TypeVar("T")

TRIES = 6
"""How often an operation on a remote store is tried, over some ten seconds."""
GIVE_UP_SECONDS = 60.0
"""After this time a failure is the last, however few they were: a store that does not even refuse
connections takes long for each."""
POLL_SECONDS = 0.25
_FIRST_WAIT = 0.2
_MISSING = (FileNotFoundError, NotADirectoryError)
_PERMANENT = (*_MISSING, PermissionError, IsADirectoryError)
_ENVIRONMENT = ("AWS_", "FSSPEC_", "GOOGLE_", "GCLOUD_", "STORAGE_EMULATOR_", "AZURE_")
_S3 = {
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 30,
        # Parts of a large upload are tried again one by one; a store that is away is not waited
        # for here and in `try_remote`.
        "retries": {"mode": "standard", "total_max_attempts": 3},
    }
}
_S3_RETRIES = 2
_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3, "s3a": _S3}

_known: dict[object, tuple[Any, str]] = {}
_lock = threading.Lock()


def file_system(url: str, settings: Settings) -> tuple[Any, str]:
    """What reads and writes under a URL, and what it calls the place.

    A file system is made once in a process, however many threads use it, and again when the
    environment names another server or other credentials.

    Raises:
        AnimatorError: `missing_package`, `invalid_option`.
    """
    if urlsplit(url).scheme in ("http", "https"):
        from animator.files.web import HttpFiles

        return HttpFiles(settings), url
    about = {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}
    # By process: connections do not survive a fork.
    key = (os.getpid(), url, tuple(sorted(about.items())))
    with _lock:
        if key not in _known:
            # URLs come from users, so there may be any number.
            if len(_known) >= 256:
                _known.clear()
            _known[key] = _open(url, about)
        return _known[key]


def _open(url: str, about: dict[str, str]) -> tuple[Any, str]:
    import fsspec

    scheme = urlsplit(url).scheme
    options: dict[str, Any] = {} if scheme == "memory" else {"use_listings_cache": False}
    options |= _OPTIONS.get(scheme, {})
    if scheme in _OPTIONS:
        # fsspec shares what was made with the same options, and the environment is none of them.
        options |= {"endpoint_url": _s3_endpoint(about)}
        options |= {name: about.get(variable) for name, variable in _S3_CREDENTIALS.items()}
        options = {name: value for name, value in options.items() if value}
    try:
        system, root = fsspec.core.url_to_fs(url, **options)
        if scheme in _OPTIONS:
            system.retries = _S3_RETRIES  # s3fs's own, around those of botocore
        return system, root
    except ImportError as error:
        message = f"{scheme}:// needs a package that is not installed: {error}."
        raise AnimatorError("missing_package", message) from error
    except ValueError as error:
        raise AnimatorError("invalid_option", f"{shown_url(url)!r} cannot be used.") from error


_S3_CREDENTIALS = {
    "key": "AWS_ACCESS_KEY_ID",
    "secret": "AWS_SECRET_ACCESS_KEY",
    "token": "AWS_SESSION_TOKEN",
}


def _s3_endpoint(about: dict[str, str]) -> str | None:
    return about.get("AWS_ENDPOINT_URL_S3") or about.get("AWS_ENDPOINT_URL")


def try_remote(where: str, operation: Callable[[], T], *, writing: bool = False) -> T:
    """Try an operation on a remote store until it succeeds or has failed often enough.

    Args:
        where: the URL, for messages.
        operation: what is tried; it must do no harm if it is done twice.
        writing: whether a refusal is about an output.

    Raises:
        AnimatorError: `storage_unavailable`, retryable, if it keeps failing; `no_such_file` or
            `unreadable_file`, or `output_not_writable` for writing, if it is refused;
            `invalid_option` for a name that the store cannot have; `disk_full`.
    """
    began = time.monotonic()
    for attempt in itertools.count(1):
        try:
            return operation()
        except AnimatorError:
            raise
        except Exception as error:
            if refusal := _refusal(where, error, writing):
                raise refusal from error
            if attempt >= TRIES or time.monotonic() - began > GIVE_UP_SECONDS:
                message = f"{where!r} cannot be reached: {say(error)}."
                raise AnimatorError("storage_unavailable", message, retryable=True) from error
        # 0.2 s, then twice as long each time; at random, so that not all come back at once.
        time.sleep(_FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1))
    raise AssertionError("the last try returns or raises")


def _refusal(where: str, error: Exception, writing: bool) -> AnimatorError | None:
    """The error for what no further try would change."""
    if isinstance(error, _PERMANENT):
        return refused(where, error, writing=writing)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        message = f"{where!r} cannot be kept on this machine: {say(error)}."
        return AnimatorError("disk_full", message, retryable=True)
    if type(error).__name__ == "ParamValidationError":  # botocore's, which may not be installed
        return AnimatorError("invalid_option", f"{where!r} cannot be used: {say(error)}.")
    return None


def refused(where: str, error: OSError, *, writing: bool = False) -> AnimatorError:
    """The error for a file that is not there, or may not be used."""
    if writing:
        message = f"{where!r} cannot be written: {say(error)}."
        return AnimatorError("output_not_writable", message)
    if isinstance(error, _MISSING):
        return AnimatorError("no_such_file", f"There is no file {where!r}.")
    return AnimatorError("unreadable_file", f"{where!r} may not be used: {say(error)}.")


def say(error: BaseException) -> str:
    """An error as part of a sentence."""
    lines = str(error).strip().splitlines()
    return without_users(lines[0])[:300].rstrip(".") if lines else type(error).__name__


def polled(operation: Callable[[], T], check: Callable[[], object], *, finish: bool = False) -> T:
    """Do something that takes long, and look meanwhile at whether it is still wanted.

    Args:
        operation: it runs in a thread of its own.
        check: called a few times a second; what it raises is raised here.
        finish: whether to wait for the operation even then; what it did counts, and what the
            check said is left for the next one to say.
    """
    done: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            done.set_result(operation())
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who is waiting for it
            done.set_exception(error)

    # A daemon: an operation that hangs does not keep the process from ending.
    threading.Thread(target=run, name="transfer", daemon=True).start()
    while not futures.wait([done], POLL_SECONDS).done:
        try:
            check()
        except BaseException:
            if not finish:
                raise
    return done.result()
