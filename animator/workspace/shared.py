"""Finished segments of a job whose output is elsewhere, kept where other machines find them.

The workspace of such a job is a folder of one machine. Where machines share storage
(`Settings.storage`), its finished files are copied there while the job runs:

    segments/JOB/plan.npz   00000.mp4 00001.mp4   00001.npz 00002.npz

so that another machine goes on after the last segment that had arrived. Copies save work and never
fail a job: without them it begins anew. They are checked as those on this machine are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from animator.errors import AnimatorError, LeaseLost
from animator.files.storage import Storage
from animator.settings import Settings
from animator.workspace.attempt import Workspace

LOOK_SECONDS = 2.0
"""Time between two looks at what is finished."""

logger = logging.getLogger(__name__)


class SharedSegments:
    """The copies of one job.

    Args:
        workspace: of the attempt that runs here.
        job_id: the job.
        settings: of this process, with storage that machines share.
    """

    def __init__(self, workspace: Workspace, job_id: str, settings: Settings) -> None:
        self._workspace, self._folder = workspace, _folder(job_id)
        self._storage = _storage(settings)
        self._copied: set[str] = set()

    def restore(self) -> None:
        """Bring what another machine has finished, if it is more than what is here."""
        try:
            names = {name.rpartition("/")[2]: name for name in self._storage.names(self._folder)}
            self._copied = set(names)
            # What is here is nearer; only more segments than that are worth the download.
            if _segments(names) <= _segments(self._workspace.finished()):
                return
            self._workspace.clear()
            # In the order of copying, so that what breaks off is a shorter but sound beginning.
            for name, place in sorted(names.items(), key=lambda pair: _place(pair[0])):
                self._storage.get(place, self._workspace.path / name)
            logger.info("%d files of another machine are taken over", len(names))
        except AnimatorError as error:
            logger.warning("what other machines have finished is not known: %s", error)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Copy what is finished for as long as the block runs."""
        end = threading.Event()
        thread = threading.Thread(target=self._keep, args=[end], name="segments", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def discard(self) -> None:
        """Remove the copies."""
        if self._copied:
            _remove(self._storage, self._folder)

    def _keep(self, end: threading.Event) -> None:
        # A thread of its own: copying must not hold up the rendering.
        while not end.wait(LOOK_SECONDS):
            try:
                self._copy(end)
            except AnimatorError as error:
                logger.warning("what is finished is not kept for other machines: %s", error)
                return
            except LeaseLost:
                return

    def _copy(self, end: threading.Event) -> None:
        there = set(self._workspace.finished())
        for name in sorted(there - self._copied, key=_place):
            if end.is_set():
                return
            with suppress(FileNotFoundError):  # a state that a later one has made needless
                content = (self._workspace.path / name).read_bytes()
                self._storage.close_folder(self._folder)
                self._copied.add(name)
                self._storage.write(f"{self._folder}/{name}", content)
        # States that later ones have replaced.
        needless = self._copied - there
        self._storage.delete(f"{self._folder}/{name}" for name in needless)
        self._copied -= needless


def discard(job_id: str, settings: Settings) -> None:
    """Remove the copies of a job that nobody runs; errors are left to the next one who tries."""
    with suppress(AnimatorError):
        _remove(_storage(settings), _folder(job_id))


def _remove(storage: Storage, folder: str) -> None:
    try:
        storage.delete(storage.names(folder))
        storage.remove_folder(folder)
    except AnimatorError as error:
        logger.warning("segments stay in the storage that machines share: %s", error)


def _storage(settings: Settings) -> Storage:
    assert settings.storage is not None
    return Storage.open(settings.storage, settings)


def _folder(job_id: str) -> str:
    return f"segments/{job_id}"


def _segments(names: Iterable[str]) -> int:
    return sum(name.endswith(".mp4") for name in names)


def _place(name: str) -> tuple[bool, bool, str]:
    """Order in which files are copied: the plan first, a state after the segments before it."""
    return name != "plan.npz", name.endswith(".npz"), name
