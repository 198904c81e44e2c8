from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gfla.data.pose_tables import (
    Annotation,
    read_annotations,
    read_pairs,
    write_annotations,
    write_pairs,
)
from gfla.joints import MISSING
from tests.gfla.person_files import refused

LIST = str(list(range(18)))


def person(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(5, 60, (18, 2)).round(1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    joints = person()
    joints[4] = MISSING
    rows = [Annotation("a/b: c.jpg", joints), Annotation("d.png", person(1))]
    write_annotations(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text().startswith("name:keypoints_y:keypoints_x\na/b: c.jpg:[")
    for read, row in zip(read_annotations(tmp_path / "a.csv"), rows, strict=True):
        assert read.name == row.name and np.array_equal(read.joints, row.joints)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_y_comes_first(tmp_path: Path) -> None:
    y, x = json.dumps([1] * 18), json.dumps([2] * 18)
    (tmp_path / "a.csv").write_text(f"name:keypoints_y:keypoints_x\na.jpg:{y}:{x}\n")
    assert read_annotations(tmp_path / "a.csv")[0].joints[0].tolist() == [2, 1]


def test_the_layout_with_frames(tmp_path: Path) -> None:
    head = "path:frame:width:height:keypoints_y:keypoints_x"
    (tmp_path / "a.csv").write_text(f"{head}\nv.mp4:3:64:48:{LIST}:{LIST}\n")
    (row,) = read_annotations(tmp_path / "a.csv")
    assert (row.name, row.frame, row.size) == ("v.mp4", 3, (48, 64))


BROKEN = {
    f"a.jpg:{LIST}": "3 columns",
    f"a.jpg:{LIST}:[1, 2]": "18 numbers, got 2",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' NaN,')}": "not finite",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' 1e400,')}": "not finite",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' true,')}": "must be numbers",
    f"a.jpg:{LIST}:nonsense": "no JSON list",
    f"../a.jpg:{LIST}:{LIST}": "within the folder",
    f"b/../../a.jpg:{LIST}:{LIST}": "within the folder",
    f"/etc/passwd:{LIST}:{LIST}": "within the folder",
    f":{LIST}:{LIST}": "within the folder",
    f"good.jpg:{LIST}:{LIST}": "twice",
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_row_is_named_with_file_and_line_or_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.csv"
    good = f"good.jpg:{LIST}:{LIST}"
    path.write_text(f"name:keypoints_y:keypoints_x\n{good}\n{line}\nz.jpg:{LIST}:{LIST}\n")
    message = refused(read_annotations, path)
    assert f"{path}, line 3: " in message and BROKEN[line] in message
    skipped: list[str] = []
    assert [row.name for row in read_annotations(path, skipped)] == ["good.jpg", "z.jpg"]
    assert skipped == [message]


def test_half_a_joint_is_a_missing_one(tmp_path: Path) -> None:
    x = json.dumps([-1, *range(1, 18)])
    (tmp_path / "a.csv").write_text(f"name:keypoints_y:keypoints_x\na.jpg:{LIST}:{x}\n")
    assert read_annotations(tmp_path / "a.csv")[0].joints[0].tolist() == [-1, -1]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,keypoints\n")
    (tmp_path / "b.csv").write_bytes(b"name:keypoints_y:keypoints_x\n\xff\n")
    assert "line 1: the columns are" in refused(read_annotations, tmp_path / "a.csv")
    assert "UTF-8" in refused(read_annotations, tmp_path / "b.csv")
    assert "no.csv cannot be read" in refused(read_annotations, tmp_path / "no.csv")
    (tmp_path / "p.csv").write_text("to,from\n")
    assert "line 1" in refused(read_pairs, tmp_path / "p.csv")


def test_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    pairs = [("a,1.jpg", "b.jpg"), ("b.jpg", "c d.jpg")]
    write_pairs(path, pairs)
    assert path.read_text().startswith("from,to\n") and read_pairs(path) == pairs
    path.write_text("from,to\na.jpg,b.jpg\n../a.jpg,b.jpg\na.jpg\n")
    assert "line 3" in refused(read_pairs, path)
    skipped: list[str] = []
    assert read_pairs(path, skipped) == [("a.jpg", "b.jpg")] and len(skipped) == 2


def test_the_shared_key_points_are_read(shared_dir: Path) -> None:
    rows = read_annotations(shared_dir / "media" / "people" / "keypoints.csv")
    assert len(rows) == 1406 and {row.joints.shape for row in rows} == {(18, 2)}
