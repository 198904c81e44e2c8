"""The library: which names there are, what they mean, and whether they are still what they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from animator.cli import app
from animator.cli.options import complete_weights, make_spec
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.spec import JobSpec
from animator.weights.importing import import_weights, verify
from animator.weights.library import (
    DEFAULT_WEIGHTS,
    entry_path,
    for_spec,
    list_weights,
    record_path,
    resolve,
)
from gfla import checkpoint
from tests.animator.weights_files import write_published
from tests.helpers import small_generator


@pytest.fixture
def library(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A library with a face model and a model for persons; the user is in an empty folder."""
    settings = Settings.from_environment()
    for name, kind in (("face", "face"), ("dance", "dance")):
        import_weights(write_published(tmp_path, name, kind), settings=settings)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return settings


def test_a_name_is_found_before_a_file(library):
    assert resolve("default", library) == DEFAULT_WEIGHTS
    assert resolve("face", library) == entry_path("face", library)
    Path("face").write_bytes(b"something else")
    assert resolve("face", library) == entry_path("face", library)
    assert resolve("./face", library) == Path.cwd() / "face"
    Path("other").touch()
    assert resolve("other", library) == Path.cwd() / "other"


@pytest.mark.parametrize("name", ["fase", "../dance", "..", "", ".lock"])
def test_what_is_neither_is_told(name, library):
    with pytest.raises(AnimatorError) as caught:
        resolve(f"{name}x" if name else "x/y", library)
    assert caught.value.code in ("no_such_weights", "no_such_file")
    if name == "fase":
        assert "known are default, dance, face" in caught.value.message


def test_a_specification_keeps_names_and_makes_paths_absolute(library):
    Path("mine.safetensors").touch()
    Path("plain").touch()
    here = os.getcwd()
    assert for_spec("face", library) == "face"
    assert for_spec("unknown", library) == "unknown"
    assert for_spec("plain", library) == f"{here}/plain"
    assert for_spec("mine.safetensors", library) == f"{here}/mine.safetensors"
    assert make_spec("a.png", "b.mp4", "c.mp4", face="1", weights="face").weights == "face"
    files = {"source": "/a.png", "driving": "/b.mp4", "output": "/c.mp4"}
    assert JobSpec.from_json(JobSpec(**files, weights="face").to_json()).weights == "face"
    for wrong in ("a/b", "../a", "", ".", "a\0", None, 3):
        with pytest.raises(AnimatorError, match="name of weights, or an absolute path"):
            JobSpec(**files, weights=wrong)  # type: ignore[arg-type]


def test_names_complete_in_a_shell(library):
    assert complete_weights("d") == ["default", "dance"]
    assert complete_weights("fa") == ["face"]


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE = {
    "changed": (lambda s: change(entry_path("face", s)), "weights_changed"),
    "truncated": (lambda s: truncate(entry_path("face", s)), "weights_changed"),
    "emptied": (lambda s: entry_path("face", s).write_bytes(b""), "weights_changed"),
    "no record": (lambda s: record_path("face", s).unlink(), "weights_unreadable"),
    "bad record": (lambda s: record_path("face", s).write_text("[]"), "weights_unreadable"),
    "odd record": (
        lambda s: record_path("face", s).write_text(
            '{"sha256": 1, "source_file": "", "source_sha256": "", "imported": ""}'
        ),
        "weights_unreadable",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_does_not_hide_the_others(name, library):
    damage, code = DAMAGE[name]
    damage(library)
    done = CliRunner().invoke(app, ["weights", "verify"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error [{code}]: ")
    assert "face" in done.stderr and len(done.stderr.splitlines()) == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["default", "dance"]
    assert CliRunner().invoke(app, ["weights", "verify", "dance"]).exit_code == 0
    assert [info.name for info in list_weights(library)] == ["default", "dance", "face"]
    assert CliRunner().invoke(app, ["weights", "list"]).exit_code == 0


def test_what_cannot_be_described_says_so_in_the_list(library):
    truncate(entry_path("face", library))
    info = list_weights(library)[2]
    assert info.problem is not None and "cannot be used" in info.problem
    table = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["weights", "list"]).stdout
    assert [line.split()[0] for line in table.splitlines()] == ["NAME", "default", "dance", "face"]
    assert "problem: The weights" in table


def test_files_can_be_verified_by_path(library, tmp_path):
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path, small_generator(), {})
    info = verify(str(path), library)
    assert (info.name, info.purpose) == (str(path), "face animation")
    truncate(path)
    with pytest.raises(AnimatorError) as caught:
        verify(str(path), library)
    assert caught.value.code == "weights_unreadable"
    results = json.loads(CliRunner().invoke(app, ["weights", "verify", "nope", "--json"]).stdout)
    assert [(r["name"], r["sound"], r["error"]["code"]) for r in results] == [
        ("nope", False, "no_such_weights")
    ]


def test_what_lies_about_in_the_folder_is_no_entry(library):
    for name in ("default.safetensors", ".hidden.safetensors", "notes.txt", "a b.safetensors"):
        (library.weights_dir / name).touch()
    os.mkfifo(library.weights_dir / "pipe.safetensors")  # reading it would wait for ever
    (library.weights_dir / "folder.safetensors").mkdir()
    assert [info.name for info in list_weights(library)] == ["default", "dance", "face"]


def test_a_narrow_terminal_shows_whole_names(library, monkeypatch):
    monkeypatch.setattr("animator.cli.console._WIDE", 40)
    table = CliRunner().invoke(app, ["weights", "list"]).stdout
    assert all(len(line.rstrip()) <= 40 for line in table.splitlines())
    for name in ("NAME", "default", "dance", "face"):
        assert any(line.split()[:1] == [name] for line in table.splitlines())


def test_doctor_names_what_there_is(library):
    report = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert report["weights"]["dance"].startswith("person animation, imported ")
    assert report["weights"]["face"].startswith("face animation, imported ")


def test_weights_are_removed(library: Settings) -> None:
    entry_path("dance", library).write_bytes(b"damaged")
    for name in ("dance", "face"):
        done = CliRunner().invoke(app, ["weights", "remove", name])
        assert (done.exit_code, done.stderr) == (0, f"{name} was removed\n")
        assert not entry_path(name, library).exists() and not record_path(name, library).exists()
    assert [info.name for info in list_weights(library)] == ["default"]
    for name, code in (("default", "invalid_option"), ("face", "no_such_weights")):
        done = CliRunner().invoke(app, ["weights", "remove", name])
        assert done.exit_code == 1 and done.stderr.startswith(f"error [{code}]: ")
