"""Scripts in this process: they are found as `python scripts/NAME.py` finds them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gfla import checkpoint
from tests.animator.media_files import write_video
from tests.helpers import COMPACT, small_generator

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of two different small models."""
    folder = tmp_path_factory.mktemp("small-weights")
    files = [folder / f"model-{seed}.safetensors" for seed in range(2)]
    for seed, file in enumerate(files):
        about = {"name": f"model-{seed}", "structure_size": 64}
        checkpoint.save(file, small_generator(COMPACT, seed), about)
    return files


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A picture and a video that show nothing."""
    folder = tmp_path_factory.mktemp("faceless")
    picture, video = folder / "grey.png", folder / "grey.mp4"
    grey = np.full((128, 128, 3), 128, np.uint8)
    cv2.imwrite(str(picture), grey)
    return picture, write_video(
        video, [0, 7, 9], Fraction(1, 10), pictures=3 * [grey], size=(128, 128)
    )
