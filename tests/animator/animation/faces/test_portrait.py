"""What the networks are shown of a face, by what their checkpoint says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animator.animation.faces.portrait import PortraitGenerator
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights.importing import import_weights
from animator.weights.library import DEFAULT_WEIGHTS
from gfla import checkpoint
from gfla.guidance.face import face_structure
from tests.animator.weights_files import write_published
from tests.helpers import NARROW, small_generator

SIZE = 256
# 68 points, none of them at a whole pixel, some outside of the picture.
POINTS = np.random.default_rng(4).integers(-3, 250, (68, 2)) + 0.375


def drawn(weights: Path, points: np.ndarray) -> np.ndarray:
    generator = PortraitGenerator(weights, torch.device("cpu"), "float32")
    generator.structure_size = SIZE
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    # Units count from edge to edge, and the middle of the first pixel is pixel 0.
    units = (points + 0.5) / SIZE
    return generator.guidance(units, generator.start(picture, units))[0][0].numpy()


def published(tmp_path: Path) -> Path:
    settings = Settings(state_dir=tmp_path / "state")
    return Path(import_weights(write_published(tmp_path, "face"), settings=settings).path)


def of_an_earlier_version(tmp_path: Path) -> Path:
    path = tmp_path / "old.safetensors"
    info = {"structure_size": SIZE, "background_edges": True}
    checkpoint.save(path, small_generator(NARROW), info)
    return path


@pytest.mark.parametrize("make", [published, of_an_earlier_version])
def test_published_models_see_landmarks_cut_to_whole_pixels(make, tmp_path):
    weights = make(tmp_path)
    found = drawn(weights, POINTS)
    # Towards zero, as numbers become whole in the published code; what is whole stays.
    cut = POINTS.astype(int).astype(float)
    assert np.array_equal(found, drawn(weights, cut))
    assert not np.array_equal(found, face_structure(POINTS, SIZE))
    assert np.array_equal(found, face_structure(cut, SIZE, style="published"))


def test_weights_that_ask_for_a_drawing_that_is_none(tmp_path):
    path = tmp_path / "odd.safetensors"
    checkpoint.save(path, small_generator(NARROW), {"structure_size": SIZE, "drawing": "cubist"})
    with pytest.raises(AnimatorError, match="drawing is 'cubist'; allowed") as caught:
        PortraitGenerator(path, torch.device("cpu"), "float32")
    assert caught.value.code == "weights_unreadable"


def test_other_models_see_landmarks_as_they_are(tmp_path):
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path, small_generator(NARROW), {"structure_size": SIZE})
    assert np.array_equal(drawn(path, POINTS), face_structure(POINTS, SIZE))
    generator = PortraitGenerator(DEFAULT_WEIGHTS, torch.device("cpu"), "float32")
    assert (generator.style, generator.background_edges) == ("default", False)
