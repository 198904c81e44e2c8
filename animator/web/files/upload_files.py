"""Uploads on the disk: what lies in the folder of one, and what a killed server left of one."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from animator.checks.report import UploadFacts
from animator.web.files.looking import read_facts
from animator.web.files.media_types import MEDIA_TYPES, MediaType
from animator.web.files.names import clean_name

ABOUT, INCOMING, THUMBNAIL, PART = "about.json", "incoming.json", "thumbnail.jpg", "incoming"
"""What lies in the folder of an upload, or of one that is on its way."""
_MOST_ABOUT = 1 << 20
_HALF_SECONDS = 3600.0
"""Age of the last byte from which a half upload is given up, also of a server that runs."""
_ORPHAN_SECONDS = 300.0
"""The same where the process that received it is gone."""


@dataclass(frozen=True)
class Upload:
    """A file that somebody has sent.

    Attributes:
        id: 20 letters and digits; it sorts by time.
        owner: the name of the caller.
        name: what the caller called it, made harmless; for people only.
        sha256: of its content, 64 hexadecimal digits.
        bytes: its size.
        created: when it was there.
        facts: what it is and shows.
        path: where it lies.
    """

    id: str
    owner: str
    name: str
    sha256: str
    bytes: int
    created: datetime
    facts: UploadFacts
    path: Path

    @property
    def media_type(self) -> MediaType:
        """What such a file is called."""
        return MEDIA_TYPES[self.facts.format]

    @property
    def thumbnail(self) -> Path:
        """Where its thumbnail lies."""
        return self.path.with_name(THUMBNAIL)


def read_upload(folder: Path, about: dict[str, Any]) -> Upload | None:
    """An upload from its `about.json`; None if that makes no sense."""
    try:
        facts = read_facts(about["facts"])
        path = folder / f"file{MEDIA_TYPES[facts.format].suffix}"
        return Upload(
            id=folder.name,
            owner=str(about["owner"]),
            name=clean_name(str(about["name"])),
            sha256=str(about["sha256"]),
            bytes=int(about["bytes"]),
            created=datetime.fromisoformat(about["created"]),
            facts=facts,
            path=path,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a small file; an empty one if there is none."""
    try:
        with open(path, "rb") as file:
            values = json.loads(file.read(_MOST_ABOUT))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def idle_seconds(folder: Path) -> float:
    """How long an upload was not used."""
    try:
        return time.time() - os.stat(folder / ABOUT).st_mtime
    except OSError:
        return 0.0


def remove_if_left(folder: Path) -> bool:
    """Remove a half upload if it is old, or younger but nobody is at it any more."""
    newest = 0.0
    for name in (".", INCOMING, PART):
        with suppress(OSError):
            newest = max(newest, os.stat(folder / name).st_mtime)
    idle = time.time() - newest
    incoming = read_object(folder / INCOMING)
    pid = incoming.get("pid")
    gone = isinstance(pid, int) and began(pid) != incoming.get("began")
    if idle > _HALF_SECONDS or (idle > _ORPHAN_SECONDS and gone):
        shutil.rmtree(folder, ignore_errors=True)
        return True
    return False


def began(pid: int) -> str | None:
    """When a process of this machine began, by which it is told from a later one of its number."""
    try:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"
    except (OSError, IndexError):
        return None
