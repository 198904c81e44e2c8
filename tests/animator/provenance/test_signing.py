"""Signatures of results, in every container that has a place for them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import c2pa
import pytest

from animator.errors import AnimatorError
from animator.provenance.containers import look_for_marks, media_hash
from animator.provenance.signing import ASSERTION, ResultSigner
from tests.animator.conftest import mounted_disk
from tests.animator.provenance.certificates import Signer, make_signer
from tests.animator.provenance.marked_files import MARK, SIGNABLE, decoded, make_marked


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("signer") / "own")


@pytest.mark.parametrize("kind", SIGNABLE)
def test_a_signed_file_plays_as_before_and_keeps_its_mark(kind, signer, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    path.chmod(0o640)
    before, shown = look_for_marks(path), decoded(path)
    assert ResultSigner(signer.credentials).sign(path, MARK) == []
    after = look_for_marks(path)
    assert after.signed and after.packet == before.packet and not after.faults
    assert media_hash(path, after) in after.packet.decode()
    assert decoded(path) == shown
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == [path.name]


def test_every_driving_file_is_an_ingredient(signer, tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    hashes = {**MARK.hashes, "driving 2": "2" * 64, "driving 3": "3" * 64}
    ResultSigner(signer.credentials).sign(path, replace(MARK, hashes=hashes))
    with open(path, "rb") as file, c2pa.Reader("video/mp4", file) as reader:
        store, state = json.loads(reader.json()), reader.get_validation_state()
    assert state == "Valid"
    manifest = store["manifests"][store["active_manifest"]]
    assert [one["title"] for one in manifest["ingredients"]] == [
        "source picture", "driving video", "driving video 2", "driving video 3",
    ]  # fmt: skip


def test_the_manifest_says_what_was_used_and_names_no_file(signer, tmp_path):
    path = make_marked(tmp_path / "secret-name.mp4")
    ResultSigner(signer.credentials).sign(path, MARK)
    with open(path, "rb") as file, c2pa.Reader("video/mp4", file) as reader:
        store, state = json.loads(reader.json()), reader.get_validation_state()
    assert state == "Valid"
    manifest = store["manifests"][store["active_manifest"]]
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    (action,) = assertions["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == MARK.source_type
    assert len(action["parameters"]["ingredients"]) == 2
    assert assertions[ASSERTION]["settings"] == MARK.settings
    assert assertions[ASSERTION]["hashes"] == MARK.hashes
    assert [one["instance_id"] for one in manifest["ingredients"]] == [
        f"sha256:{MARK.hashes['source']}", f"sha256:{MARK.hashes['driving']}",
    ]  # fmt: skip
    assert {one["relationship"] for one in manifest["ingredients"]} == {"inputTo"}
    assert manifest["signature_info"]["common_name"] == "Test Signer"
    assert "secret-name" not in json.dumps(store)
    assert signer.key.read_text().splitlines()[1] not in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_a_container_without_a_place_stays_unsigned_and_it_is_said(kind, signer, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    before = path.read_bytes()
    (sentence,) = ResultSigner(signer.credentials).sign(path, MARK)
    assert "not signed" in sentence and path.read_bytes() == before


def test_each_picture_of_a_folder_is_signed(signer, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    paths = [make_marked(folder / f"{number}.png") for number in range(2)]
    assert ResultSigner(signer.credentials).sign(folder, MARK) == []
    assert all(look_for_marks(path).signed for path in paths)


def test_a_key_that_is_gone_when_it_is_needed_loses_nothing(signer, tmp_path):
    own = make_signer(tmp_path / "own")
    ready, path = ResultSigner(own.credentials), make_marked(tmp_path / "a.mp4")
    before = path.read_bytes()
    own.key.unlink()
    with pytest.raises(AnimatorError) as raised:
        ready.sign(path, MARK)
    assert raised.value.code == "signing_failed" and raised.value.retryable
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "own"]


def test_a_file_that_the_library_does_not_take_is_told(signer, tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:40])
    before = path.read_bytes()
    with pytest.raises(AnimatorError) as raised:
        ResultSigner(signer.credentials).sign(path, MARK)
    assert raised.value.code == "signing_failed" and path.read_bytes() == before


def test_a_full_disk_is_told_as_one(signer, tmp_path):
    with mounted_disk(tmp_path / "disk", 64) as folder:
        path = make_marked(folder / "a.mp4")
        left = os.statvfs(folder)
        (folder / "filler").write_bytes(b"x" * (left.f_bavail * left.f_frsize - 8192))
        before = path.read_bytes()
        with pytest.raises(AnimatorError) as raised:
            ResultSigner(signer.credentials).sign(path, MARK)
        assert raised.value.code in ("disk_full", "signing_failed") and raised.value.retryable
        assert path.read_bytes() == before and sorted(os.listdir(folder)) == ["a.mp4", "filler"]


def test_without_the_library_it_is_said_what_to_install(signer, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(AnimatorError, match=r"animator\[provenance\]") as raised:
        ResultSigner(signer.credentials)
    assert raised.value.code == "missing_package"
