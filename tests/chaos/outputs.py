"""What is published in a folder, and what videos hold."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from pathlib import Path
from typing import Self

import av

LOOK_SECONDS = 0.05


def content(path: Path) -> str:
    """SHA-256 of a video's decoded frames, its sound, and the times of both."""
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            digest.update(f"{frame.pts * frame.time_base} {frame.width}x{frame.height}".encode())
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
    with av.open(str(path)) as container:
        for sound in container.decode(audio=0) if container.streams.audio else ():
            digest.update(f"{sound.pts * sound.time_base} {sound.sample_rate}".encode())
            digest.update(sound.to_ndarray().tobytes())
    return digest.hexdigest()


class Outputs:
    """Watches in a thread which files appear under the names in a folder.

    Args:
        folder: the folder; hidden names in it are left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._versions: set[tuple[str, int, int]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def seen(self) -> dict[str, set[str]]:
        """By name, the hashes of all the files that had it so far."""
        return {name: set(hashes) for name, hashes in self._seen.items()}

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for path in self._folder.glob("[!.]*"):
                with path.open("rb") as file:
                    status = path.stat()
                    version = (path.name, status.st_ino, status.st_mtime_ns)
                    if version not in self._versions:
                        self._versions.add(version)
                        self._seen[path.name].add(hashlib.file_digest(file, "sha256").hexdigest())
