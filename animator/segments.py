"""Where an attempt at a job keeps what is finished of its video, and how the next one takes it over.

Frames are rendered in segments. Each is a file in a hidden folder beside the output, where every
worker that can write the output finds it, with the state of the rollout after it. The folder's name
ends in the number of the attempt, and taking a job over means renaming the folder: from then on no
path of the earlier attempt exists, so that it can neither add to the video nor publish it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

SEGMENT_FRAMES = 48
"""Frames of a segment: what is rendered again at most after a crash."""


class Workspace:
    """The folder of one attempt at a job.

    `animator.pipeline.animate` fills it and never removes one that it was given: whoever gave it
    removes it once the job's record says how the job ended, and keeps it where another attempt is
    to go on.

    Attributes:
        path: the folder.
        output: where the video is going to be, symbolic links followed.
    """

    def __init__(self, path: Path, output: Path) -> None:
        self.path, self.output = path, output

    @classmethod
    def take(cls, output: str | Path, job_id: str, attempt: int) -> Self:
        """The folder of an attempt, with what the latest attempt before it had finished.

        Raises:
            LeaseLost: if a later attempt has begun.
            AnimatorError: output_not_writable, disk_full.
        """
        raise NotImplementedError

    @classmethod
    def temporary(cls, output: str | Path) -> Self:
        """A folder that nobody else knows of; errors as in `take`."""
        raise NotImplementedError

    def remove(self) -> None:
        """Remove the folder, and those of earlier attempts; a later attempt's stays."""
        raise NotImplementedError

    @staticmethod
    def discard(output: str | Path, job_id: str) -> None:
        """Remove all folders of a job that nobody runs."""
        raise NotImplementedError
