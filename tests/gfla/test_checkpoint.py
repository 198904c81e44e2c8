from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from gfla import checkpoint
from gfla.build import build_generator
from gfla.checkpoint_header import FORMAT
from gfla.config import ABLATIONS, PUBLISHED
from gfla.errors import GflaError
from gfla.published.files import read_published
from tests.golden.make_golden import narrow
from tests.helpers import COMPACT, NARROW, face_inputs, small_generator


def render(generator):
    image, structure, landmarks = face_inputs()
    with torch.no_grad():
        state = generator.start(image, structure, landmarks)
        return generator.step(state, structure, landmarks)[1].image


@pytest.mark.parametrize("config", [NARROW, COMPACT], ids=["published", "extended"])
def test_a_checkpoint_describes_itself(tmp_path, config):
    generator = small_generator(config)
    checkpoint.save(tmp_path / "a.safetensors", generator, {"name": "test"})
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    assert loaded.generator.config == config
    assert loaded.info == {"name": "test"}
    assert not loaded.generator.training
    assert torch.equal(render(loaded.generator), render(generator))


def test_half_precision_files_load_as_single_precision(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", small_generator(), {}, torch.float16)
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    assert {p.dtype for p in loaded.generator.parameters()} == {torch.float32}


def rewrite(path, change):
    """Save the checkpoint again after a change to its tensors and metadata."""
    tensors = load_file(path)
    metadata = {
        "format": FORMAT,
        "kind": "animation",
        "config": json.dumps(NARROW.to_dict()),
        "info": "{}",
    }
    change(tensors, metadata)
    save_file(tensors, path, metadata)


KEY = "renderer.out.1.weight"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t, m: t.pop(KEY), f"missing: {KEY}"),
        (lambda t, m: t.update(extra=torch.zeros(1)), "left over: extra"),
        (lambda t, m: t.update({KEY: torch.zeros(3, 3)}), "shape"),
        (lambda t, m: t[KEY].fill_(float("nan")), "not finite"),
        (lambda t, m: m.update(format="other"), "does not describe itself"),
        (lambda t, m: m.update(config="{"), "broken metadata"),
        (lambda t, m: m.update(config='{"colour": 1}'), "colour"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(tmp_path, change, complaint):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, small_generator(), {})
    rewrite(path, change)
    with pytest.raises(GflaError, match=complaint):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [None, b"", b"no safetensors at all"])
def test_missing_and_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GflaError) as caught:
        checkpoint.load(path)
    assert caught.value.code == "bad_checkpoint"


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_width_weights_survive_the_way_through_a_published_file(tmp_path, name):
    generator = build_generator(PUBLISHED[name])
    torch.save(checkpoint.to_published(generator), tmp_path / "a_net_G.pth")
    published = read_published(tmp_path / "a_net_G.pth")
    again = checkpoint.from_published(published)
    assert again.config == generator.config
    kept = again.state_dict()
    assert all(torch.equal(kept[key], value) for key, value in generator.state_dict().items())


@pytest.mark.parametrize("name", PUBLISHED | ABLATIONS)
def test_every_kind_of_model_is_saved_and_loaded(tmp_path, name):
    generator = small_generator(narrow((PUBLISHED | ABLATIONS)[name]))
    checkpoint.save(tmp_path / "a.safetensors", generator, {})
    loaded = checkpoint.load(tmp_path / "a.safetensors").generator
    assert loaded.config == generator.config
    kept = loaded.state_dict()
    assert all(torch.equal(kept[key], value) for key, value in generator.state_dict().items())


class Trap:
    """Would make a folder if a pickle of it were loaded carelessly."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_published_file_with_code_in_it_is_refused_and_not_run(tmp_path):
    torch.save({"weights": Trap(str(tmp_path / "trap"))}, tmp_path / "a_net_G.pth")
    with pytest.raises(GflaError, match="not run") as caught:
        read_published(tmp_path / "a_net_G.pth")
    assert caught.value.code == "bad_checkpoint"
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "content", [{}, [torch.zeros(1)], {"step": 3}, {1: torch.zeros(1)}, torch.zeros(1)]
)
def test_published_files_hold_named_tensors_and_nothing_else(tmp_path, content):
    torch.save(content, tmp_path / "a_net_G.pth")
    with pytest.raises(GflaError) as caught:
        read_published(tmp_path / "a_net_G.pth")
    assert caught.value.code == "bad_checkpoint"


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04 broken"])
def test_missing_and_broken_published_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a_net_G.pth").write_bytes(content)
    with pytest.raises(GflaError) as caught:
        read_published(tmp_path / "a_net_G.pth")
    assert caught.value.code == "bad_checkpoint"


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_names_there_and_back(prefix):
    generator = small_generator()
    published = {prefix + k: v for k, v in checkpoint.to_published(generator).items()}
    again = checkpoint.from_published(published)
    assert again.config == NARROW
    assert torch.equal(render(again), render(generator))


def test_incomplete_published_files_are_refused_by_name():
    published = checkpoint.to_published(small_generator())
    lacking = {k: v for k, v in published.items() if k != "flow_net.mask2.0.bias"}
    with pytest.raises(GflaError, match=r"missing: flow_net\.mask2\.0\.bias"):
        checkpoint.from_published(lacking)
    name = "source_reference.block0.model.3.bias"
    with pytest.raises(GflaError, match=rf"{name} holds values that are not finite"):
        checkpoint.from_published(published | {name: torch.full_like(published[name], torch.nan)})
    with pytest.raises(GflaError, match=rf"{name} has shape \(9,\)"):
        checkpoint.from_published(published | {name: torch.zeros(9)})
    with pytest.raises(GflaError, match=r"left over: target\.more"):
        checkpoint.from_published(published | {"target.more": torch.zeros(1)})
    with pytest.raises(GflaError, match=r"missing"):
        checkpoint.from_published({})


def test_published_layers_that_are_stored_twice_must_agree():
    published = checkpoint.to_published(small_generator())
    published["target.outconv.model.2.bias"] = torch.ones(3)
    with pytest.raises(GflaError, match="differ"):
        checkpoint.from_published(published)
