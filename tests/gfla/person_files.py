"""Small folders of made-up persons, in the layouts of the published data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gfla.data.pose_tables import (
    Annotation,
    write_annotations,
    write_pairs,
)
from gfla.errors import GflaError
from gfla.joints import Joints

BODY_25 = (
    "nose,neck,right shoulder,right elbow,right wrist,left shoulder,left elbow,left wrist,"
    "middle hip,right hip,right knee,right ankle,left hip,left knee,left ankle,right eye,left eye,"
    "right ear,left ear,left big toe,left small toe,left heel,right big toe,right small toe,"
    "right heel"
).split(",")


def standing(size: tuple[int, int], seed: int = 0) -> Joints:
    """Joints of somebody who stands in a picture of this height and width."""
    x = [50, 50, 36, 32, 30, 64, 68, 70, 42, 42, 41, 58, 58, 59, 48, 52, 45, 55]
    y = [10, 20, 21, 35, 48, 21, 35, 48, 50, 70, 92, 50, 70, 92, 8, 8, 10, 10]
    joints = np.array([x, y], np.float64).T / 100 * np.array([size[1], size[0]])
    return joints + np.random.default_rng(seed).uniform(-0.02, 0.02, (18, 2)) * size[0]


def write_picture(path: Path, size: tuple[int, int], seed: int = 0) -> Path:
    """A picture of smooth noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 4, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((size[1], size[0]), Image.Resampling.BICUBIC).save(path)
    return path


def write_tables(
    folder: Path,
    split: str,
    names: Sequence[str],
    size: tuple[int, int],
    pairs: Iterable[tuple[str, str]],
) -> None:
    """Annotation and pairs of a split under the published kind of name."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [Annotation(name, standing(size, seed)) for seed, name in enumerate(names)]
    write_annotations(folder / f"made-annotation-{split}.csv", rows)
    write_pairs(folder / f"made-pairs-{split}.csv", pairs)


def write_prepared(
    folder: Path, size: tuple[int, int] = (64, 48), names: Sequence[str] = ("a.png", "b/c.png")
) -> Path:
    """A prepared folder with every ordered pair of its pictures."""
    rows = []
    for seed, name in enumerate(names):
        write_picture(folder / "images" / name, size, seed)
        rows.append(Annotation(name, standing(size, seed).round()))
    write_annotations(folder / "annotation.csv", rows)
    pairs = [(first, second) for first in names for second in names if first != second]
    write_pairs(folder / "pairs.csv", pairs)
    return folder


def refused(read: Any, *arguments: Any) -> str:
    with pytest.raises(GflaError) as caught:
        read(*arguments)
    assert caught.value.code == "invalid_data"
    return caught.value.message
