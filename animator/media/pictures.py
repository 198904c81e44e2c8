"""The frames of a finished video as pictures one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from animator.files.output import coded_errors, write_whole
from animator.formats import PATTERN
from animator.media.animation import png_chunk
from animator.media.decode import open_finished

FOLDER_PATTERN = "%05d.png"
"""What pictures in a folder are called."""
_HEAD = 33  # bytes of a PNG's signature and header


def pattern_of(output: str) -> str:
    """What the pictures of an output are called: its own pattern, or that of folders."""
    return FOLDER_PATTERN if output.endswith("/") else output.rpartition("/")[2]


def numbered(pattern: str, number: int) -> str:
    """A name by a pattern."""
    return PATTERN.sub(lambda place: f"{number:{place[1] or ''}d}", pattern)


def write_pictures(
    video: Path,
    folder: Path,
    pattern: str,
    *,
    comment: str = "",
    check: Callable[[], object] = lambda: None,
) -> None:
    """Write each frame as a PNG, from number 0 on; those that are there already stay.

    Args:
        video: a file of our own, without loss.
        folder: where they go; made if it is not there.
        pattern: of their names.
        comment: what each says about itself.
        check: called for every frame; what it raises ends the work.

    Raises:
        AnimatorError: disk_full, output_not_writable.
    """
    chunks = png_chunk(b"sRGB", b"\0")  # the rendering intent: perceptual
    chunks += png_chunk(b"tEXt", b"Comment\0" + comment.encode("latin-1", "replace"))
    with coded_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    with open_finished(video) as reader:
        pictures = (picture for batch in reader for picture in batch.pixels)
        for number, picture in enumerate(pictures):
            check()
            path = folder / numbered(pattern, number)
            # Each appears whole, so one that is there is finished.
            if not path.exists():
                content = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
                write_whole(path, content[:_HEAD] + chunks + content[_HEAD:])
