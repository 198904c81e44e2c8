from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.footage.person_media import Media, media_of_folder, media_of_table, read_identities
from animator.footage.persons import FrameOptions, prepare_persons
from animator.persons.bodies import Body
from gfla.data.pairs import PersonPairs
from gfla.data.pose_tables import Annotation, read_annotations, read_pairs, write_annotations
from gfla.data.prepare.preparation import PreparationReport
from gfla.errors import GflaError
from tests.animator.media_files import number, write_video
from tests.gfla.person_files import standing, write_picture

SCRIPT = Path(__file__).parents[3] / "scripts" / "prepare_poses.py"
OPTIONS = FrameOptions((96, 160), "whole", held_out=0, gap=2, png=True)


def clip(path: Path, frames: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, range(frames), Fraction(1, 25), options={"crf": "1"})


def video(path: Path, name: str, frames: int = 8, identity: str = "") -> Media:
    poses = {i: standing((96, 160), i) for i in range(frames)}
    return Media(clip(path / name, frames), name, poses, (96, 160), identity or name)


class Finder:
    def find(self, picture: np.ndarray) -> list[Body]:
        shown = number(picture)
        if shown == 3:
            return []
        joints = standing((96, 160), shown)
        joints[: 12 if shown == 4 else 0] = -1
        return [Body(joints, (0, 0, 1, 1), 1.0)]


def test_frames_and_joints_of_a_clip_stay_together(tmp_path: Path) -> None:
    report = PreparationReport("test")
    prepare_persons([video(tmp_path, "a/v.mp4")], tmp_path / "out", OPTIONS, report, workers=1)
    rows = read_annotations(tmp_path / "out" / "train" / "annotation.csv")
    assert [row.name for row in rows] == [f"a/v.mp4/{i:06d}.png" for i in range(8)]
    for index, row in enumerate(rows):
        picture = np.asarray(Image.open(tmp_path / "out" / "train" / "images" / row.name))
        assert number(picture) == index
        assert np.allclose(row.joints, standing((96, 160), index), atol=0.01)
    pairs = PersonPairs(tmp_path / "out" / "train", (96, 160))
    assert len(pairs) == report.counts["pairs of train"] == 32 and not pairs.skipped


def test_one_window_for_a_whole_clip(tmp_path: Path) -> None:
    options = FrameOptions((64, 64), held_out=0)
    prepare_persons(
        [video(tmp_path, "v.mp4")], tmp_path / "out", options, PreparationReport("test"), workers=1
    )
    rows = read_annotations(tmp_path / "out" / "train" / "annotation.csv")
    placed = np.stack([row.joints for row in rows])
    original = np.stack([standing((96, 160), i) for i in range(8)])
    scale = np.ptp(placed[..., 1]) / np.ptp(original[..., 1])
    moved = (original - original[0, 0]) * scale + placed[0, 0]
    assert np.allclose(placed, moved, atol=0.5)
    assert placed.min() > 0 and placed.max() < 64


def test_frames_are_thinned(tmp_path: Path) -> None:
    for name, options in (
        ("every", FrameOptions((64, 64), every=3, held_out=0)),
        ("most", FrameOptions((64, 64), max_frames=3, held_out=0)),
    ):
        for source, detector in (("given", None), ("found", Finder())):
            item = video(tmp_path, "v.mp4")
            if detector is not None:
                item = Media(item.path, item.name, identity=item.identity)
            out = tmp_path / name / source
            prepare_persons(
                [item], out, options, PreparationReport("t"), detector=detector, workers=1
            )
            rows = read_annotations(out / "train" / "annotation.csv")
            shown = [int(row.name[-10:-4]) for row in rows]
            wanted = {"every": [0, 3, 6], "most": [0, 4, 7]}[name]
            lost = {3, 4} if source == "found" else set()
            assert shown == [frame for frame in wanted if frame not in lost]


def test_a_detector_finds_the_joints_and_what_it_misses_is_listed(tmp_path: Path) -> None:
    clip(tmp_path / "media" / "v.mp4")
    report = PreparationReport("test")
    media = media_of_folder(tmp_path / "media", {}, report)
    prepare_persons(media, tmp_path / "out", OPTIONS, report, detector=Finder())
    assert report.skipped == {
        "too few joints were found": ["v.mp4, frame 3", "v.mp4, frame 4"],
    }
    rows = read_annotations(tmp_path / "out" / "train" / "annotation.csv")
    assert np.allclose(rows[3].joints, standing((96, 160), 5), atol=0.01) and len(rows) == 6


def test_what_is_broken_is_skipped_counted_and_listed(tmp_path: Path) -> None:
    root = tmp_path / "media"
    clip(root / "good.mp4", 4)
    cut = write_picture(root / "cut.jpg", (96, 64))
    cut.write_bytes(cut.read_bytes()[:300])
    (root / "noise.mp4").write_bytes(b"no video")
    write_picture(root / "alone.png", (96, 64))
    write_picture(root / "far.png", (96, 64))
    y = json.dumps([float(v) for v in standing((96, 160))[:, 1]])
    x = json.dumps([float(v) for v in standing((96, 160))[:, 0]])
    far = json.dumps([5000.0 + v for v in range(18)])
    lines = ["path:frame:width:height:keypoints_y:keypoints_x"]
    lines += [f"good.mp4:{frame}:160:96:{y}:{x}" for frame in (0, 3, 9)]
    lines += [f"good.mp4:1:160:96:{y.replace('[', '[NaN, ', 1)}:{x}"]
    lines += [
        f"{name}:0:64:96:{y}:{x}" for name in ("cut.jpg", "noise.mp4", "gone.png", "alone.png")
    ]
    lines += [f"far.png:0:64:96:{far}:{far}"]
    table = tmp_path / "keypoints.csv"
    table.write_text("\n".join(lines))
    done = subprocess.run(
        [
            sys.executable, SCRIPT, root, tmp_path / "out", "--keypoints", table, "--held-out", "0",
            "--workers", "2",
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {reason: entry["count"] for reason, entry in stored["skipped"].items()} == {
        "broken row or file of poses": 1,
        "annotated, but there is no file": 1,
        "unreadable_image": 1,
        "unreadable_video": 1,
        "the video has no such frame": 1,
        "the joints lie outside the picture": 1,
        "the only picture of a person, which makes no pair": 1,
    }
    assert "gone.png" in done.stdout and "good.mp4, frame 9" in done.stdout
    names = {f"good.mp4/00000{i}.jpg" for i in (0, 3)}
    assert {
        n for pair in read_pairs(tmp_path / "out" / "train" / "pairs.csv") for n in pair
    } == names


def test_a_second_run_goes_on(tmp_path: Path) -> None:
    items = [video(tmp_path, "a.mp4", 4), video(tmp_path, "b.mp4", 4)]
    out = tmp_path / "out"
    prepare_persons(items[:1], out, OPTIONS, PreparationReport("test"), workers=1)
    picture = out / "train" / "images" / "a.mp4" / "000000.png"
    before = picture.stat().st_mtime_ns
    report = PreparationReport("test")
    prepare_persons(items, out, OPTIONS, report, workers=1)
    assert report.counts["there already"] == 1 and report.counts["photos and videos"] == 1
    assert picture.stat().st_mtime_ns == before
    prepare_persons(items, tmp_path / "fresh", OPTIONS, PreparationReport("test"), workers=1)
    for name in ("annotation.csv", "pairs.csv"):
        assert (out / "train" / name).read_bytes() == (
            tmp_path / "fresh" / "train" / name
        ).read_bytes()
    with pytest.raises(GflaError, match="other options"):
        prepare_persons(items, out, FrameOptions(), PreparationReport("test"), workers=1)


def test_persons_are_held_out_whole(tmp_path: Path) -> None:
    items = [video(tmp_path, f"{i}.mp4", 3, identity=f"p{i // 2}") for i in range(4)]
    options = FrameOptions((64, 64), held_out=0.5, pairs_per_picture=9)
    prepare_persons(items, tmp_path / "out", options, PreparationReport("test"), workers=1)
    sides = [
        {name.split(".")[0] for pair in read_pairs(path) for name in pair}
        for path in sorted((tmp_path / "out").glob("*/pairs.csv"))
    ]
    assert sorted(map(sorted, sides)) == [["0", "1"], ["2", "3"]]


def test_nothing_left_stops(tmp_path: Path) -> None:
    media = [Media(write_picture(tmp_path / "a.png", (64, 64)), "a.png", {0: standing((64, 64))})]
    with pytest.raises(GflaError, match="two pictures"):
        prepare_persons(media, tmp_path / "out", OPTIONS, PreparationReport("test"), workers=1)
    with pytest.raises(GflaError, match="from 1"):
        FrameOptions(every=0)


def test_poses_of_other_programs_find_their_files(tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "anna.jpg", (64, 64))
    write_picture(tmp_path / "unknown.png", (64, 64))
    clip(tmp_path / "walk.mp4", 3)
    (tmp_path / "notes.txt").touch()
    report = PreparationReport("test")
    poses = {
        "anna": standing((64, 64)),
        "walk_000000000000": standing((96, 160)),
        "walk_000000000002": standing((96, 160), 2),
    }
    media = media_of_folder(tmp_path, {"walk.mp4": "w"}, report, poses)
    assert [(item.name, sorted(item.poses or {}), item.identity) for item in media] == [
        ("photos/anna.jpg", [0], "photos/anna.jpg"),
        ("walk.mp4", [0, 2], "w"),
    ]
    assert report.skipped == {"there is no pose for the file": ["unknown.png"]}
    alphapose = {
        "anna.jpg": poses["anna"],
        "walk/0.jpg": standing((9, 9)),
        "walk/1.jpg": poses["anna"],
    }
    media = media_of_folder(tmp_path, {}, report, alphapose)
    assert [sorted(item.poses or {}) for item in media] == [[0], [0, 1]]


def test_identities_and_tables(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,kind,identity\na.png,person,p1\n")
    assert read_identities(tmp_path / "m.csv") == {"a.png": "p1"}
    (tmp_path / "bad.csv").write_text("file,who\na,b\n")
    with pytest.raises(GflaError, match="path and identity"):
        read_identities(tmp_path / "bad.csv")
    write_picture(tmp_path / "a.png", (64, 64))
    write_annotations(tmp_path / "t.csv", [Annotation("a.png", standing((64, 64)))])
    rows = read_annotations(tmp_path / "t.csv")
    (item,) = media_of_table(rows, tmp_path, {"a.png": "p1"}, PreparationReport("test"))
    assert (item.identity, item.size) == ("p1", None)
