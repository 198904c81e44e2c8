"""Files of joints that stand for a video or a picture: JSON, tables, and folders of JSON files."""

from __future__ import annotations

import os
from pathlib import Path

from animator.files.sequence import files_in, is_sequence

POSE_SUFFIXES = (".json", ".csv")
"""What files of joints are called."""
ROW_MARK = "#"
"""Between the file of a table and the name of a row in it."""


def is_row(path: str | os.PathLike[str]) -> bool:
    """Whether a path is `FILE.csv#NAME`, some rows of a table, and no file of that name."""
    text = os.fspath(path)
    file, mark, row = text.partition(ROW_MARK)
    return bool(mark and row and file.lower().endswith(".csv")) and not os.path.exists(text)


def file_of(path: str | os.PathLike[str]) -> str:
    """The file that is opened: of a row, the table's."""
    return os.fspath(path).partition(ROW_MARK)[0] if is_row(path) else os.fspath(path)


def are_poses(path: str | os.PathLike[str]) -> bool:
    """Whether a path is of joints, by its name; of a folder, whether it holds JSON files."""
    if is_row(path):
        return True
    if is_sequence(path):
        return Path(path).is_dir() and bool(files_in(Path(path), (".json",)))
    return os.fspath(path).lower().endswith(POSE_SUFFIXES)
