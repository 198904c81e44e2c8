"""Weights from elsewhere: every published kind comes in, and nothing else does."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from animator.cli import app
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights import importing
from animator.weights.importing import import_weights, suggest_name
from animator.weights.library import entry_path, list_weights, sha256_of
from animator.weights.loading import load_checkpoint
from animator.weights.subjects import check_weights
from gfla import checkpoint
from gfla.build import Generator, build_critic
from gfla.config import CriticConfig, PoseTransferConfig, ViewSynthesisConfig
from gfla.published.critics import critic_to_published
from gfla.training.config_files import load_config
from gfla.training.state import Run
from tests.animator.weights_files import KINDS, published_state, write_published
from tests.helpers import COMPACT, small_generator

Command = Callable[..., Result]


@pytest.fixture
def animator(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `animator weights ...` in this process, with a library of the test's own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["weights", *map(str, arguments)])


@pytest.fixture
def library(state_dir: Path) -> Settings:
    return Settings.from_environment()


@pytest.mark.parametrize(("prefix", "archive"), [("", True), ("module.", False)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_published_kind_comes_in(kind, prefix, archive, animator, library, tmp_path):
    path = write_published(tmp_path, "small", kind, prefix, archive)
    done = animator("import", path)
    assert done.exit_code == 0, done.stderr
    entry = entry_path("small", library)
    assert done.stdout == f"{entry}\n"
    config, purpose = KINDS[kind]
    loaded = checkpoint.load(entry)
    assert loaded.generator.config == config
    original = small_generator(config).state_dict()
    stored = loaded.generator.state_dict()
    assert all(torch.equal(stored[name], original[name]) for name in original)
    info = loaded.info
    assert (info["name"], info["source_file"]) == ("small", "small_net_G.pth")
    assert (info["source_sha256"], info["structure_size"]) == (sha256_of(path), 256)
    assert info.get("background_edges", False) is (kind == "face")
    assert info.get("drawing") == ("published" if kind == "face" else None)
    assert info.get("skeleton") == ("published" if kind == "dance" else None)
    listed = json.loads(animator("list", "--json").stdout)[1]
    assert (listed["name"], listed["kind"], listed["purpose"]) == ("small", config.kind, purpose)
    assert listed["parameters"] == sum(tensor.numel() for tensor in original.values())
    assert listed["sha256"] == sha256_of(entry)
    verified = animator("verify", "small")
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert f"small: sound, SHA-256 {listed['sha256']}" in verified.stdout


def test_a_checkpoint_of_our_own_keeps_what_it_says(library, tmp_path):
    path = tmp_path / "mine.safetensors"
    info = {"structure_size": 64, "step": 7, "name": "old"}
    checkpoint.save(path, small_generator(COMPACT), info, torch.float16)
    entry = import_weights(path, settings=library)
    loaded = checkpoint.load(entry.path)
    assert loaded.generator.config == COMPACT
    assert loaded.info["structure_size"] == 64
    assert (loaded.info["step"], loaded.info["name"]) == (7, "mine")
    assert "background_edges" not in loaded.info


def stage_one(folder: Path, kind: str, prefix: str = "") -> tuple[Path, Generator]:
    """A file of the published stage 1, the flow estimator alone, and the network that it is of."""
    config = {
        "fashion": PoseTransferConfig(flow_widths=(4, 4, 6, 6, 8)),
        "market": PoseTransferConfig(flow_widths=(4, 4, 6, 6, 8), attention=((2, 3),)),
        "shapenet": ViewSynthesisConfig(flow_widths=(4, 4, 6, 6, 8)),
    }[kind]
    network = small_generator(config)
    state = checkpoint.to_published(network)
    flow = {prefix + name: state[name] for name in state if name.startswith("flow_net.")}
    assert 0 < len(flow) < len(state) / 2
    path = folder / f"{kind}_net_G.pth"
    torch.save(flow, path)
    return path, network


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "prefix"), [("fashion", ""), ("market", "module."), ("shapenet", "")]
)
def test_stage_one_alone_comes_in_and_is_trained_on_from(kind, prefix, animator, library, tmp_path):
    path, network = stage_one(tmp_path, kind, prefix)
    done = animator("import", path)
    assert done.exit_code == 0, done.stderr
    entry = entry_path(kind, library)
    loaded = checkpoint.load(entry)
    assert loaded.generator.config == network.config
    assert loaded.info["stage"] == "flow"
    # Its flow estimator is the file's; nothing is claimed of the rest but that it was drawn.
    ours, theirs = loaded.generator.state_dict(), network.state_dict()
    flow = [name for name in theirs if name.startswith("flow_estimator.")]
    assert flow and all(torch.equal(ours[name], theirs[name]) for name in flow)
    listed = json.loads(animator("list", "--json").stdout)[1]
    assert listed["purpose"] == f"stage 1 of {KINDS[kind][1]}"
    # It renders nothing, and stage 2 begins with it.
    with pytest.raises(AnimatorError, match="start_from") as caught:
        load_checkpoint(entry, torch.device("cpu"))
    assert caught.value.code == "weights_wrong_kind"
    with pytest.raises(AnimatorError, match="stage 1"):  # and told before a job is begun
        check_weights(kind, library)
    configs = {"fashion": "person-fashion", "market": "person-market", "shapenet": "view"}
    settings = ["model.flow_widths=[4,4,6,6,8]", f"start_from={entry}"]
    run = Run(load_config(configs[kind], settings), drawn_features=True)
    begun = run.generator.state_dict()
    assert all(torch.equal(begun[name], theirs[name]) for name in flow)


def test_a_prefix_on_half_of_the_names_is_refused_in_words(animator, library, tmp_path):
    state = published_state()
    half = dict.fromkeys(list(state)[::2])
    mixed = {("module." if name in half else "") + name: t for name, t in state.items()}
    torch.save(mixed, tmp_path / "mixed_net_G.pth")
    done = animator("import", "mixed_net_G.pth")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error [weights_unreadable]: ")
    assert f"{len(half)} of its {len(state)} names begin with 'module.'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not library.weights_dir.exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/narrow_net_G.pth", "narrow"),
        ("/a/face_checkpoints/latest_net_G.pth", "face_checkpoints"),
        ("/a/my fashion (1)/40_net_G.pth", "my-fashion-1"),
        ("/a/mine.v2.safetensors", "mine.v2"),
        ("/a/../.._net_G.pth", ""),
    ],
)
def test_names_come_from_files(path, name):
    assert suggest_name(Path(path)) == name


NAMES = ("", ".", "..", "../up", "a/b", "a b", "-a", "default", "Default", "a" * 65, "ж", "a.pth")


@pytest.mark.parametrize("name", [*NAMES, "a\n", "a.safetensors"])
def test_names_cannot_lead_elsewhere(name, animator, library, tmp_path):
    done = animator("import", write_published(tmp_path, "small"), f"--name={name}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error [invalid_option]: Imported weights cannot be called ")
    assert not library.weights_dir.exists()


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def save(path: Path, state: object, **options: bool) -> None:
    torch.save(state, path, **options)


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in published_state().items() if key != name}


def cut(path: Path, keep: float) -> None:
    save(path, published_state())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def critic(path: Path) -> None:
    save(path, critic_to_published(build_critic(CriticConfig(widths=(4, 4)))))


def optimizer(path: Path) -> None:
    adam = torch.optim.Adam(small_generator().parameters())
    save(path, adam.state_dict())


def own(path: Path, **info: object) -> None:
    checkpoint.save(path, small_generator(), info)


def overflowing(path: Path) -> None:
    save(path, {name: tensor * 1e30 for name, tensor in published_state().items()})


MASK = "flow_net.mask2.0.bias"
BAD = {
    "trap": (lambda p: save(p, published_state() | {"x": Trap()}), "code and no weights"),
    "old trap": (
        lambda p: save(p, Trap(), _use_new_zipfile_serialization=False),
        "code and no weights",
    ),
    "bare trap": (lambda p: p.write_bytes(pickle.dumps(Trap())), "no file that torch.save wrote"),
    "empty": (lambda p: p.touch(), "no file that torch.save wrote"),
    "text": (lambda p: p.write_text("{\n weights\n}"), "no file that torch.save wrote"),
    "web page": (lambda p: p.write_text("<!DOCTYPE html>"), "no file that torch.save wrote"),
    "cut": (lambda p: cut(p, 0.5), "damaged or incomplete"),
    "critic": (critic, "this is a discriminator"),
    "optimizer": (optimizer, "holds 'state', a dict"),
    "lacking": (lambda p: save(p, without(MASK)), f"missing: {MASK}"),
    "left over": (
        lambda p: save(p, published_state() | {"target.x": torch.ones(1)}),
        "left over: target.x",
    ),
    "misshapen": (
        lambda p: save(p, published_state() | {MASK: torch.ones(5)}),
        "has shape (5,); needs",
    ),
    "not finite": (
        lambda p: save(p, published_state() | {MASK: torch.full((2,), torch.nan)}),
        "not finite",
    ),
    "overflowing": (overflowing, "not finite"),
    "own, wrong size": (lambda p: own(p, structure_size=100), "100 as structure size"),
    "own, wrong type": (lambda p: own(p, structure_size="big"), "'big' as structure size"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named_and_leaves_nothing(name, animator, library, tmp_path):
    make, complaint = BAD[name]
    make(tmp_path / "bad_net_G.pth")
    done = animator("import", "bad_net_G.pth")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error [weights_unreadable]: ")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not library.weights_dir.exists()
    assert os.listdir(tmp_path) == ["bad_net_G.pth"]


def test_what_is_no_file_is_refused_at_once(animator, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, code in (("none", "no_such_file"), (".", "not_a_file"), ("pipe", "not_a_file")):
        done = animator("import", path, "--name", "a")
        assert (done.exit_code, done.stderr.split(":")[0]) == (1, f"error [{code}]")


def test_large_files_are_not_opened(animator, tmp_path, monkeypatch):
    path = write_published(tmp_path, "small")
    monkeypatch.setenv("ANIMATOR_MAX_WEIGHTS_BYTES", str(path.stat().st_size - 1))
    assert animator("import", path).stderr.startswith("error [too_large]: ")
    monkeypatch.delenv("ANIMATOR_MAX_WEIGHTS_BYTES")
    huge = tmp_path / "huge.pth"
    with huge.open("wb") as file:
        file.truncate(2 * 1024**3 + 1)
    assert animator("import", huge).stderr.startswith("error [too_large]: ")


def test_weights_are_replaced_only_by_force(animator, library, tmp_path):
    first, second = write_published(tmp_path, "a"), write_published(tmp_path, "b", "dance")
    assert animator("import", first).exit_code == 0
    before = sha256_of(entry_path("a", library))
    done = animator("import", second, "--name", "a")
    assert done.stderr.startswith("error [weights_exist]: ")
    assert sha256_of(entry_path("a", library)) == before
    assert animator("import", second, "--name", "a", "--force").exit_code == 0
    assert list_weights(library)[1].purpose == "person animation"
    assert animator("verify", "a").exit_code == 0


def test_one_of_many_imports_of_a_name_wins(library, tmp_path):
    path = write_published(tmp_path, "a")

    def bring(_: int) -> str:
        try:
            return str(import_weights(path, settings=library).sha256)
        except AnimatorError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bring, range(4)))
    assert results.count("weights_exist") == 3
    assert list_weights(library)[1].sha256 in results


def test_an_interrupted_import_leaves_no_name(library, tmp_path, monkeypatch):
    path = write_published(tmp_path, "a")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(importing.os, "replace", stop)
        import_weights(path, settings=library)
    assert os.listdir(library.weights_dir) == [".lock"]
    (library.weights_dir / ".a.1234.part").touch()  # of an import that was killed
    import_weights(path, settings=library)
    assert sorted(os.listdir(library.weights_dir)) == [".lock", "a.json", "a.safetensors"]


def test_a_library_that_cannot_be_written_has_a_code(library, tmp_path):
    library.state_dir.write_text("in the way")
    with pytest.raises(AnimatorError) as caught:
        import_weights(write_published(tmp_path, "a"), settings=library)
    assert caught.value.code == "output_not_writable"
    assert caught.value.message.endswith("cannot be written: Not a directory.")
    library.state_dir.unlink()


def test_json_describes_the_new_entry(animator, library, tmp_path):
    done = animator("import", write_published(tmp_path, "a"), "--json")
    assert json.loads(done.stdout) == list_weights(library)[1].as_dict()
