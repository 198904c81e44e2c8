"""View paths and their JSON files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.views.turntable import SeenFrom, ViewPath, read_view_path, seen_from, turntable


def test_a_turntable_goes_around_once_at_each_height() -> None:
    path = turntable(SeenFrom(340, 10))
    assert len(path.views) == 54 and len(set(path.views)) == 54
    assert path.views[0] == (340, 0) and path.views[1] == (0, 0)
    assert [view.elevation for view in path.views[::18]] == [0, 10, 20]
    assert path.source.steps == (17, 1)


def test_a_file_gives_what_it_was_made_of(tmp_path: Path) -> None:
    path = turntable(seen_from(-20, 20), elevations=[20])
    file = tmp_path / "turn.json"
    file.write_text(path.to_json())
    assert read_view_path(file) == path
    file.write_text('{"views": [[380, 10]]}')
    assert read_view_path(file) == ViewPath(SeenFrom(0, 0), (SeenFrom(20, 10),))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"views": []}',
        b'{"views": 7}',
        b'{"views": [[0]]}',
        b'{"views": [[0, 30]]}',
        b'{"views": [[10, 0]]}',
        b'{"views": [[0.0, 0]]}',
        b'{"views": [[true, 0]]}',
        b'{"views": [["0", "0"]]}',
        b'{"views": [[NaN, 0]]}',
        b'{"views": [[0, 0]], "source": [0]}',
        b'{"views": [[0, 0]], "source": {}}',
        json.dumps({"views": [[0, "x" * 1000]]}).encode(),
        json.dumps({"views": [[0, 0]] * 100_001}).encode(),
        b" " * (4 * 1024**2 + 1),
        b'{"views": [[' + b"9" * 100_000 + b", 0]]}",
    ],
)
def test_what_is_no_file_of_views_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "turn.json"
    file.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        read_view_path(file)
    assert caught.value.code == "invalid_view" and len(caught.value.message) < 300


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnimatorError) as caught:
        read_view_path(tmp_path / "none.json")
    assert caught.value.code == "no_such_file"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", tmp_path):
        with pytest.raises(AnimatorError) as caught:
            read_view_path(path)
        assert caught.value.code == "not_a_file"
