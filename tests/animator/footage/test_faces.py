from __future__ import annotations

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from animator.footage.faces import PackOptions, prepare_clips
from animator.footage.selection import Quality
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from gfla.data.faces import FaceBlocks
from gfla.data.packs import read_pack
from gfla.data.transforms import UNCHANGED
from gfla.errors import GflaError

FRAMES = 12
SHORT = PackOptions(quality=Quality(fewest_frames=4))


def write_video(path: Path, frames: np.ndarray) -> None:
    height, width = frames.shape[1:3]
    base = Fraction(1, 25)
    with VideoWriter(path, width=width, height=height, time_base=base, rate=Fraction(25)) as writer:
        for pts, frame in enumerate(frames):
            writer.write(frame, pts)


def write_manifest(folder: Path, rows: list[tuple[str, ...]]) -> Path:
    path = folder / "MANIFEST.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "kind", "identity", "license"), *rows])
    return path


@pytest.fixture(scope="module")
def face(samples) -> np.ndarray:
    """Frames of a talking face, T x 256 x 256 x 3."""
    frames = []
    with VideoReader(samples[1]) as reader:
        for batch in reader:
            frames += [
                cv2.resize(f, (256, 256), interpolation=cv2.INTER_AREA) for f in batch.pixels
            ]
            if len(frames) >= 2 * FRAMES:
                break
    return np.stack(frames[: 2 * FRAMES])


@pytest.fixture(scope="module")
def media(face, samples, tmp_path_factory) -> Path:
    """Clips and a still, good and bad, with a manifest."""
    folder = tmp_path_factory.mktemp("media")
    nobody = np.full_like(face, 90)
    write_video(folder / "good.mp4", face[:FRAMES])
    write_video(folder / "cut.mp4", np.concatenate([face[:6], nobody[:6], face[12:18, :, ::-1]]))
    write_video(folder / "nobody.mp4", nobody[:FRAMES])
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in face[:FRAMES]])
    write_video(folder / "blurred.mp4", blurred)
    write_video(folder / "closed.mp4", face[:FRAMES])
    broken = (folder / "good.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(broken[: len(broken) // 3])
    shutil.copy(samples[0], folder / "still.png")
    rows = [
        (f"{name}.mp4", "face_video", name, "MIT")
        for name in ("good", "cut", "nobody", "blurred", "broken")
    ]
    rows += [
        ("still.png", "portrait", "cut", "MIT"),
        ("closed.mp4", "face_video", "other", "non-commercial"),
        ("missing.mp4", "face_video", "gone", "MIT"),
        ("several.mp4", "face_video", "several", "MIT"),
        ("body.png", "person", "good", "MIT"),
    ]
    write_manifest(folder, rows)
    return folder


@pytest.fixture(scope="module")
def prepared(media, tmp_path_factory):
    out = tmp_path_factory.mktemp("packs")
    return out, prepare_clips(media / "MANIFEST.csv", out, SHORT)


def test_packs_hold_what_they_should(prepared):
    out, report = prepared
    names = {path.name for path in (out / "train").glob("*.npz")}
    assert names == {"good.mp4.npz", "cut.mp4.npz", "cut.mp4.1.npz", "still.png.npz"}
    assert [path.name for path in (out / "held-out").iterdir()] == ["closed.mp4.npz"]
    pack = read_pack(out / "train" / "good.mp4.npz")
    assert len(pack) == FRAMES
    assert pack.frame(0).shape == (256, 256, 3)
    assert pack.meta["identity"] == "good"
    # The face is in the middle of the crop and leaves a margin.
    assert np.abs(pack.landmarks.mean((0, 1)) - 0.5).max() < 0.12
    extent = np.ptp(pack.landmarks, 1).max()
    assert 0.35 < extent < 0.75
    assert report.counts["train: frames"] == FRAMES + 12 + 1


def test_what_is_left_out_is_listed_with_its_reason(prepared):
    out, report = prepared
    assert report.skipped == {
        "not one real person": ["several.mp4"],
        "no_face": ["nobody.mp4"],
        "no stretch of frames is good enough": ["blurred.mp4"],
        "unreadable_video": ["broken.mp4"],
        "no_such_file": ["missing.mp4"],
    }
    written = json.loads((out / "report.json").read_text())
    assert written["skipped"]["no_face"] == {"count": 1, "names": ["nobody.mp4"]}
    assert written["files"]["cut.mp4"]["dropped"] == {"no face": 6}
    assert written["files"]["blurred.mp4"]["dropped"] == {"blurred": FRAMES}
    assert "skipped: no_face" in (out / "report.txt").read_text()


def test_packs_train(prepared):
    options = {"frames": 3, "image_size": 64, "structure_size": 32, "still_share": 0.3, "seed": 0}
    blocks = FaceBlocks.open(prepared[0] / "train", augmentation=UNCHANGED, **options)
    assert len(blocks.clips) == 3
    assert blocks[0]["images"].shape == (4, 3, 64, 64)


def test_a_second_run_reads_nothing_again(prepared, media, monkeypatch):
    out, first = prepared

    def fail(*_):
        raise AssertionError("read again")

    # But for the file that was missing, which may be there by now.
    monkeypatch.setattr("animator.footage.faces.FaceTracker.track", fail)
    monkeypatch.setattr("animator.footage.faces.find_face", fail)
    again = prepare_clips(media / "MANIFEST.csv", out, SHORT)
    assert again.counts == first.counts
    assert again.skipped == first.skipped


def test_other_options_are_refused(prepared, media):
    with pytest.raises(GflaError, match="other options"):
        prepare_clips(media / "MANIFEST.csv", prepared[0], PackOptions(size=64))


def test_a_stopped_run_goes_on(media, tmp_path, monkeypatch):
    """The process ends while it reads a file: once it is read again, then it is left out."""
    manifest = write_manifest(tmp_path, [("good.mp4", "face_video", "a", "MIT")])
    shutil.copy(media / "good.mp4", tmp_path / "good.mp4")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("animator.footage.faces._track", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_clips(manifest, tmp_path / "out", SHORT)
    assert not (tmp_path / "out" / "train").exists()
    report = prepare_clips(manifest, tmp_path / "out", SHORT)
    assert report.counts["train: packs"] == 1
    with monkeypatch.context() as patch:
        patch.setattr("animator.footage.faces._track", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                prepare_clips(manifest, tmp_path / "again", SHORT)
    report = prepare_clips(manifest, tmp_path / "again", SHORT)
    assert report.skipped == {"the process died while reading it": ["good.mp4"]}


@pytest.mark.slow
def test_processes_share_the_work(media, prepared, tmp_path):
    report = prepare_clips(media / "MANIFEST.csv", tmp_path, SHORT, workers=2)
    assert report.counts == prepared[1].counts
    for name in ("good.mp4.npz", "cut.mp4.1.npz"):
        ours, theirs = (folder / "train" / name for folder in (tmp_path, prepared[0]))
        assert ours.read_bytes() == theirs.read_bytes()


def test_stills_come_from_a_folder(media, tmp_path):
    (tmp_path / "stills").mkdir()
    shutil.copy(media / "still.png", tmp_path / "stills" / "one.png")
    (tmp_path / "stills" / "two.png").write_bytes(b"no picture")
    manifest = write_manifest(tmp_path, [])
    report = prepare_clips(manifest, tmp_path / "out", SHORT, stills=tmp_path / "stills")
    assert (tmp_path / "out" / "train" / "stills-one.png.npz").exists()
    assert [name for names in report.skipped.values() for name in names] == ["stills/two.png"]
