"""Files that call themselves weights: none may run anything, claim memory, or fail unclearly."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from gfla.checkpoint import from_published, load, save
from gfla.config import AnimationConfig
from gfla.errors import GflaError
from gfla.published.files import read_published
from tests.helpers import NARROW, small_generator


class Trap:
    """A pickle of this makes a file when an ordinary reader opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "old format"])
def test_tensors_come_back_from_both_formats_of_torch(tmp_path, archive):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=archive)
    assert torch.equal(read_published(path)["a"], torch.arange(3.0))


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "old format"])
def test_code_is_named_and_not_run(tmp_path, archive):
    path, made = tmp_path / "a.pth", tmp_path / "made"
    torch.save({"a": Trap(made)}, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(GflaError, match=r"asks for \w+\.mkdir, which is code") as caught:
        read_published(path)
    assert "weights_only" not in str(caught.value)  # PyTorch's advice to load it all the same
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists()  # the trap does work


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.parent / "made")))


def cut(path: Path, **options: bool) -> None:
    torch.save({"a": torch.zeros(100)}, path, **options)
    path.write_bytes(path.read_bytes()[:-100])


def overlapping(path: Path) -> None:
    """A zip whose directory names the same stored bytes many times."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"0" * 1000)
        archive.filelist *= 100


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10_000_000)


FILES = {
    "missing": (lambda path: None, "cannot read"),
    "empty": (lambda path: path.touch(), "no file that torch.save wrote"),
    "text": (lambda path: path.write_text("hello\n"), "no file that torch.save wrote"),
    "pickle": (bare_pickle, "no file that torch.save wrote"),
    "cut": (cut, "damaged or incomplete"),
    "cut old": (lambda p: cut(p, _use_new_zipfile_serialization=False), "damaged or incomplete"),
    "compressed": (compressed, "compressed archive"),
    "overlapping": (overlapping, "more than its own size"),
    "stretched": (
        lambda path: torch.save({"a": torch.zeros(1).expand(1000, 1000, 1000)}, path),
        "its tensors claim 4000000000",
    ),
    "list": (lambda path: torch.save([torch.zeros(1)], path), "no tensors by name"),
    "optimizer": (
        lambda path: torch.save({"state": {}, "param_groups": []}, path),
        "holds 'state', a dict",
    ),
    "integers": (lambda path: torch.save({"a": torch.ones(1).int()}, path), "real numbers"),
    "sparse": (lambda path: torch.save({"a": torch.ones(1).to_sparse()}, path), "no ordinary"),
    "meta": (lambda path: torch.save({"a": torch.ones(1, device="meta")}, path), "no ordinary"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_weights_file_is_refused_in_words(tmp_path, name):
    make, complaint = FILES[name]
    path = tmp_path / "a.pth"
    make(path)
    with pytest.raises(GflaError, match=complaint) as caught:
        read_published(path)
    assert caught.value.code == "bad_checkpoint"


def test_claimed_widths_take_no_memory(tmp_path):
    path = tmp_path / "a.safetensors"
    generator = small_generator(NARROW)
    tensors = {name: value.clone() for name, value in generator.state_dict().items()}

    class Boaster:
        config = AnimationConfig(encoder_widths=(10**6, 10**6, 10**6))

        @staticmethod
        def state_dict():
            return tensors

    save(path, Boaster(), {})  # type: ignore[arg-type]
    with pytest.raises(GflaError, match="has shape .* needs"):
        load(path)


def test_published_widths_take_no_memory():
    state = {"source_reference.block0.model.5.weight": torch.zeros(1).expand(10**9, 1, 4, 4)}
    with pytest.raises(GflaError):
        from_published(state)
