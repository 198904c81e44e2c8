"""`animator detectors` as its users meet it: as a process, with its words, JSON and exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from animator.models.catalogue import FETCHABLE
from tests.real_detectors import state_with


def run(*arguments: str | Path, state: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "animator", "detectors", *map(str, arguments)]
    environment: dict[str, Any] = {**os.environ, "ANIMATOR_STATE_DIR": str(state), **more}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=environment, check=False
    )


def test_names_that_are_not_known(tmp_path: Path) -> None:
    done = run("install", "openpose", state=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert "error [invalid_option]" in done.stderr and "mesh, blazepose" in done.stderr


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "any.whl").write_bytes(b"PK no wheel")
    done = run("install", "mesh", "--from", tmp_path / "any.whl", "--json", state=tmp_path / "s")
    assert done.returncode == 1 and "error [bad_package]" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "bad_package"
    assert [path.name for path in (tmp_path / "s" / "detectors").iterdir()] == [".lock"]


def test_an_index_out_of_reach_is_told_in_a_sentence(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "file:///nowhere", "PIP_CONFIG_FILE": os.devnull}
    done = run("install", "blazepose", state=tmp_path, **nowhere)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error [detector_unavailable]" in done.stderr and "--from" in done.stderr
    assert FETCHABLE["blazepose"].package.file in done.stderr


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    done = run("remove", "mesh", state=tmp_path)
    assert (done.returncode, done.stderr) == (0, "mesh was not installed\n")


@pytest.mark.slow
def test_the_list_has_every_detector(tmp_path: Path) -> None:
    found = {one["name"]: one for one in json.loads(run("list", "--json", state=tmp_path).stdout)}
    assert {name: one["finds"] for name, one in found.items()} == {
        **dict.fromkeys(("dlib", "face-alignment", "mesh"), "faces"),
        **dict.fromkeys(("keypoint-rcnn", "blazepose"), "bodies"),
    }
    assert found["dlib"]["usable"] and not found["mesh"]["usable"]
    assert "animator detectors install blazepose" in found["blazepose"]["reason"]


@pytest.mark.slow
def test_a_second_install_of_the_real_one_changes_nothing(tmp_path: Path) -> None:
    state = state_with("mesh")
    done = run("install", "mesh", "--json", state=state, PIP_INDEX_URL="file:///nowhere")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert not answer["changed"] and answer["licence"] == "Apache-2.0"
    assert answer["package"] == "mediapipe 0.10.21"
    for name in answer["files"]:
        assert (Path(answer["folder"]) / name).is_file()
