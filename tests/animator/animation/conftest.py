"""Small weights for tests of jobs; most files have others of the same name."""

from __future__ import annotations

import pytest

from gfla import checkpoint
from tests.helpers import COMPACT, small_generator


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)
