"""Models in memory: who shares them, what is refused, and that their modules form no circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from animator.animation.persons.generator import PersonGenerator
from animator.animation.rollout.loading import PortraitModel, load_portrait
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights.importing import import_weights
from animator.weights.library import entry_path
from animator.weights.loading import load_model
from gfla import checkpoint
from tests.helpers import COMPACT, small_generator

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A library with one small face model."""
    settings = Settings(tmp_path / "state")
    path = tmp_path / "face.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"structure_size": 64})
    import_weights(path, "face", settings=settings)
    return settings


def test_what_is_the_same_is_loaded_once(settings: Settings) -> None:
    model = load_portrait("face", "cpu", "auto", settings)
    path = str(entry_path("face", settings))
    assert load_portrait(path, "cpu", "float32", settings) is model
    assert load_portrait("face", "cpu", "bfloat16", settings) is not model
    assert model.engine(1) is model.engine()
    assert model.sha256 == model.generator.sha256 and model.network is model.generator.network


def test_a_changed_file_is_refused_whatever_opens_it(settings: Settings) -> None:
    path = entry_path("face", settings)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)

    def opened(weights: Path, device: object, precision: str) -> PersonGenerator:
        model = PersonGenerator.__new__(PersonGenerator)
        model.network, model.sha256 = small_generator(COMPACT), "another"  # type: ignore[assignment]
        return model

    for attempt in (lambda: load_portrait("face", "cpu", "auto", settings),
                    lambda: load_model(opened, "face", "cpu", "auto", settings)):  # fmt: skip
        with pytest.raises(AnimatorError) as caught:
            attempt()
        assert caught.value.code == "weights_changed"


def test_the_modules_of_the_package_import_in_one_direction() -> None:
    """Neither for types nor within functions does a module import one that imports it."""
    package = "animator.animation"
    imports = {}
    for path in (REPOSITORY / "animator" / "animation").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imports[f"{package}.{path.stem}"] = {name for name in names if name.startswith(package)}
    assert len(list(TopologicalSorter(imports).static_order())) >= len(imports) > 10


def test_a_model_has_its_own_engine(settings: Settings) -> None:
    generator = load_portrait("face", "cpu", "auto", settings).generator
    assert PortraitModel(generator).engine(2) is not PortraitModel(generator).engine(2)
