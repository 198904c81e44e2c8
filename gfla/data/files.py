"""Files that appear when they are whole, so that a killed run leaves no half ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes its name when the block ends well.

    After an error nothing is left of it, and what was at ``path`` stays. Temporary files are hidden
    and end in ``.part``; those of a killed run are overwritten by the next.
    """
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as one step."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
