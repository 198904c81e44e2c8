"""The folder of an attempt at a job: what is finished of its video, for the next to take over.

Frames are rendered in segments. Each is a file in a hidden folder beside the output, where every
worker that can write the output finds it, with the state of the rollout after it. Within the job's
folder, what is finished lies in a folder that is called as the attempt is numbered, and taking the
job over means renaming that: from then on no path of the earlier attempt exists, so that it can
neither add to the video nor publish it.

    .out.mp4.JOB.parts/3/plan.npz            the third attempt's
                         00000.mp4 00001.mp4  finished segments
                         00001.npz 00002.npz  the state after one segment, and after two
                       published             which files this job has given the output's name

A job may be told not to replace a file that it finds there in the end. One that an attempt before
it published, whose worker died before it could say so, is its own.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from animator.errors import AnimatorError, AttemptRepeated, LeaseLost
from animator.files.output import coded_errors, refuse_other_files, write_whole
from animator.files.private import ordinary_mode
from animator.files.sequence import name_expression
from animator.formats import PATTERN, is_pattern
from gfla.files import sync_folder

_FINISHED = re.compile(r"plan\.npz|\d{5,}\.(mp4|npz)", re.ASCII)
_PUBLISHED = "published"
_PICTURES = "pictures by a pattern"
_ATTRIBUTE = "user.animator.job"
"""Extended attribute of a video that may not replace another: the job that made it."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""What file systems without hard links answer."""
_TRIES = 20


def appeared(output: str | Path) -> AnimatorError:
    """The error of a job that finds a file where it was to write, and may not replace it."""
    return AnimatorError(
        "output_exists",
        f"{str(output)!r} appeared while the job was at work, and was not replaced. What was "
        "rendered is kept for a week: move that file away, or retry the job with --force.",
    )


class Workspace:
    """The folder of one attempt at a job.

    `animator.animation.pipeline.animate` fills it and leaves it as it is: whoever took it removes
    it once the job's record says how the job ended, and keeps it where another attempt is to go on.

    Attributes:
        path: the folder.
        output: where the video is going to be, symbolic links followed.
        attempt: whose it is.
        replaces: whether the output may replace a file that is not the job's own.
    """

    def __init__(self, output: Path, job_id: str, attempt: int, *, replaces: bool = True) -> None:
        self.output, self.attempt, self.replaces = output, attempt, replaces
        self._job_id = job_id.encode()
        self.path = _job_folder(output, job_id) / str(attempt)

    @classmethod
    def take(cls, output: str | Path, job_id: str, attempt: int, *, replaces: bool = True) -> Self:
        """The folder of an attempt, with what the latest attempt before it had finished.

        Raises:
            AttemptRepeated: if it was taken before.
            LeaseLost: if a later attempt has begun.
            AnimatorError: output_not_writable, disk_full.
        """
        with coded_errors(Path(output)):
            place = Path(os.path.realpath(output))
            workspace = cls(place, job_id, attempt, replaces=replaces)
            # A loser of a race finds other folders the next time.
            for _ in range(_TRIES):
                # Another attempt may take over or remove at the same time.
                with suppress(FileNotFoundError, FileExistsError):
                    workspace._take()
                    return workspace
            workspace._take()
            return workspace

    @classmethod
    def temporary(cls, output: str | Path, *, replaces: bool = True) -> Self:
        """A folder that nobody else knows of; errors as in `take`."""
        return cls.take(output, secrets.token_hex(4), 1, replaces=replaces)

    def write(self, name: str, content: bytes) -> None:
        """Write a file into the folder, whole or not at all; errors as in `owned`."""
        with self.owned():
            write_whole(self.path / name, content)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Tell a failure to write into the folder from the loss of the folder.

        Raises:
            LeaseLost: for whatever goes wrong in the block, if the folder is gone.
        """
        try:
            yield
        except (AnimatorError, OSError) as error:
            if not self.path.is_dir():
                raise LeaseLost(f"{self.path} was taken over") from error
            raise

    def publish(self, name: str, beside: Mapping[str, Path] | None = None) -> None:
        """Give a file of the folder the output's name.

        A folder of pictures takes the output's place as a whole; where the output is a pattern,
        its pictures get there one by one, and older ones of the pattern go.

        Args:
            name: of the file.
            beside: other files of the folder and where they go, which is beside the output. They
                get there first; none of them stays if the output cannot follow.

        Raises:
            LeaseLost: if the folder is gone.
            AnimatorError: output_not_writable, disk_full; output_exists if there is a file that
                may not be replaced.
        """
        done: list[Path] = []
        with self.owned(), coded_errors(self.output):
            if not self.replaces:
                # Before anything is put beside a video that is not ours.
                self._refuse_other()
                self._note(self.path / name)
            try:
                # The video last: who sees it finds the files beside it.
                for file, place in (beside or {}).items():
                    os.replace(self.path / file, place)
                    done.append(place)
                if (self.path / name).is_dir():
                    self._name_pictures(self.path / name)
                else:
                    self._name(self.path / name)
            except (OSError, AnimatorError):
                for place in done:
                    place.unlink(missing_ok=True)
                raise
            sync_folder(self.output.parent)

    def publish_beside(self, name: str) -> Path:
        """Give a file of the folder a free name like the output's, such as ``out-1.mp4``.

        Raises:
            AnimatorError: output_not_writable, disk_full.
        """
        made = self.path / name
        stem = self.output.stem
        if is_pattern(self.output.name):
            stem = PATTERN.sub("", stem) or "pictures"
        with coded_errors(self.output):
            for number in itertools.count(1):
                place = self.output.with_stem(f"{stem}-{number}")
                with suppress(FileExistsError):
                    if made.is_dir():
                        place = place.with_suffix("")
                        place.mkdir()
                    else:
                        place.touch(exist_ok=False)
                    os.replace(made, place)
                    break
            sync_folder(place.parent)
        return place

    def _name(self, file: Path) -> None:
        """Give a file the output's name."""
        if not self.replaces and not self.output.exists():
            try:
                os.link(file, self.output)  # which, unlike renaming, never replaces
            except FileExistsError:
                raise appeared(self.output) from None
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                file.unlink(missing_ok=True)
                return
            self._refuse_other()
        os.replace(file, self.output)

    def _name_pictures(self, folder: Path) -> None:
        """Give pictures one by one the output's name, or names by its pattern."""
        if is_pattern(self.output.name):
            self._name_each(folder)
            return
        _open_to_all(folder)
        try:
            os.replace(folder, self.output)  # which only replaces an empty folder
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if not self.replaces:
            self._refuse_other()
        refuse_other_files(self.output)
        old = self.output.parent / f".{self.output.name[:40]}.{secrets.token_hex(4)}.old"
        os.replace(self.output, old)
        os.replace(folder, self.output)
        _remove_tree(old)

    def _name_each(self, folder: Path) -> None:
        names = sorted(path.name for path in folder.iterdir())
        older = [path for path in self._older_pictures() if path.name not in names]
        for name in names:
            os.replace(folder / name, self.output.parent / name)
        for path in older:
            path.unlink(missing_ok=True)

    def _older_pictures(self) -> list[Path]:
        """The pictures that are there already by the output's pattern."""
        known = name_expression(self.output.name)
        return [path for path in self.output.parent.iterdir() if known.fullmatch(path.name)]

    def _refuse_other(self) -> None:
        """Refuse to go on if the output is there, and is not what this job published."""
        if is_pattern(self.output.name) and not self.output.exists():
            begun = self._marks().exists() and _PICTURES in self._marks().read_text().splitlines()
            if not begun and self._older_pictures():
                raise appeared(self.output)
            return
        with suppress(OSError):
            if not os.listdir(self.output):
                return  # an empty folder, which pictures may fill
        try:
            there = _mark(self.output)
            own = self._marks().read_text().splitlines() if self._marks().exists() else []
        except FileNotFoundError:
            return
        # After its end the folder is gone. A Redis that was killed may have forgotten that end.
        with suppress(OSError, AttributeError):
            if os.getxattr(self.output, _ATTRIBUTE) == self._job_id:
                return
        if there not in own:
            raise appeared(self.output)

    def _note(self, file: Path) -> None:
        """Note that a file is about to get the output's name."""
        # Not all systems and file systems have such attributes; the other note is for those.
        with suppress(OSError, AttributeError):
            os.setxattr(file, _ATTRIBUTE, self._job_id)
        by_pattern = file.is_dir() and is_pattern(self.output.name)
        with self._marks().open("a") as marks:
            marks.write((_PICTURES if by_pattern else _mark(file)) + "\n")
            marks.flush()
            os.fsync(marks.fileno())

    def _marks(self) -> Path:
        return self.path.parent / _PUBLISHED

    def finished(self) -> list[str]:
        """Names of the files that are whole and that another attempt goes on from.

        Raises:
            LeaseLost: if the folder is gone.
        """
        return [path.name for path in self._files() if _FINISHED.fullmatch(path.name)]

    def clear(self) -> None:
        """Start anew: remove what is in the folder."""
        for path in self._files():
            path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            for folder in list(self.path.iterdir()):
                _remove_tree(folder)

    def remove(self) -> None:
        """Remove the folder, and those of earlier attempts; a later attempt's stays."""
        for attempt, path in _attempts(self.path.parent).items():
            if attempt <= self.attempt:
                _remove_tree(path)
        with suppress(OSError):
            if not _attempts(self.path.parent):
                self._marks().unlink(missing_ok=True)
            self.path.parent.rmdir()

    @staticmethod
    def discard(output: str | Path, job_id: str) -> None:
        """Remove all folders of a job that nobody runs."""
        _remove_tree(_job_folder(Path(os.path.realpath(output)), job_id))

    def _take(self) -> None:
        # Frames of somebody's face are nobody else's business before they are published.
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        found = _attempts(self.path.parent)
        latest = max(found, default=None)
        # The first attempt, unless another came in between: then look again.
        if latest is None:
            self.path.mkdir(mode=0o700)
            if len(_attempts(self.path.parent)) > 1:
                self.path.rmdir()
                raise FileNotFoundError("another attempt was being renamed while it was looked for")
        elif latest > self.attempt:
            raise LeaseLost(f"attempt {latest} has begun after attempt {self.attempt}")
        elif latest == self.attempt:
            raise AttemptRepeated(f"attempt {latest} has begun before")
        else:
            # Atomic: either this attempt has all that was finished, or another attempt has it.
            os.rename(found[latest], self.path)
        # Older folders, and what a late twin may have put where the renamed one was.
        for attempt, path in found.items():
            if attempt < self.attempt:
                _remove_tree(path)
        for path in self._files():
            if not _FINISHED.fullmatch(path.name):
                path.unlink(missing_ok=True)  # what the earlier attempt was writing

    def _files(self) -> list[Path]:
        try:
            return [path for path in self.path.iterdir() if not path.is_dir()]
        except FileNotFoundError:
            raise LeaseLost(f"{self.path} was taken over") from None


def _job_folder(output: Path, job_id: str) -> Path:
    return output.parent / f".{output.name[:40]}.{job_id}.parts"


def _mark(file: Path) -> str:
    """What a file keeps when it gets another name on its file system."""
    found = os.stat(file)
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _attempts(folder: Path) -> dict[int, Path]:
    """The folders of a job's attempts by number."""
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    return {int(name): folder / name for name in names if name.isdecimal()}


def _open_to_all(folder: Path) -> None:
    """Give a folder the mode of any new one; on its way it was for this user alone."""
    readable = ordinary_mode()
    with suppress(OSError):
        folder.chmod(readable | (readable & 0o444) >> 2)


def _remove_tree(folder: Path) -> None:
    """Remove a folder even while a late twin puts another file into it."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
