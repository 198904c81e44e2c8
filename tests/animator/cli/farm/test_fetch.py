"""`animator fetch`: videos are copied whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.animator.farm_commands import Farm


def test_fetch_into_this_folder(farm: Farm) -> None:
    record = farm.succeeded()
    target = Path.cwd() / "out-1.mp4"
    assert farm.call("fetch", record.id).stdout == f"{target}\n"
    assert target.read_bytes() == Path(record.spec.output).read_bytes()
    assert farm.error("fetch", record.id).startswith("error [output_exists]: ")
    target.write_text("old")
    assert farm.json("fetch", record.id, "--force") == [
        {"id": record.id, "source": record.spec.output, "output": str(target)}
    ]
    assert target.read_bytes() == Path(record.spec.output).read_bytes()
    assert [path.name for path in Path.cwd().iterdir()] == ["out-1.mp4"]


def test_fetch_under_a_name_and_several_into_a_folder(farm: Farm) -> None:
    records = [farm.succeeded() for _ in range(2)]
    farm.call("fetch", records[0].id, "-o", "mine.mp4")
    Path("all").mkdir()
    shown = farm.call("fetch", *(record.id for record in records), "-o", "all").stdout
    assert shown.splitlines() == [f"{Path.cwd()}/all/out-{number}.mp4" for number in (1, 2)]
    assert Path("mine.mp4").read_bytes() == Path("all/out-1.mp4").read_bytes()


def test_fetch_of_a_video_that_is_here_already(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    record = farm.succeeded()
    monkeypatch.chdir(farm.folder)
    before = os.stat(record.spec.output)
    assert farm.call("fetch", record.id).stdout == f"{record.spec.output}\n"
    assert os.stat(record.spec.output).st_ino == before.st_ino


def test_fetch_makes_the_folder(farm: Farm) -> None:
    records = [farm.succeeded() for _ in range(2)]
    farm.call("fetch", records[0].id, "-o", "there/")
    farm.call("fetch", *(record.id for record in records), "-o", "a/b/")
    assert {str(path) for path in Path().rglob("*.mp4")} == {
        "there/out-1.mp4", "a/b/out-1.mp4", "a/b/out-2.mp4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("none/out.mp4", "output_not_writable"),
        ("taken.mp4/", "output_not_writable"),
        ("taken.mp4", "output_exists"),
        ("/proc/out.mp4", "output_not_writable"),
    ],
)
def test_fetch_to_where_it_cannot_go(farm: Farm, target: str, code: str) -> None:
    Path("taken.mp4").write_text("precious")
    record = farm.succeeded()
    assert farm.error("fetch", record.id, "-o", target).startswith(f"error [{code}]: ")
    assert Path("taken.mp4").read_text() == "precious"
    assert [path.name for path in Path.cwd().iterdir()] == ["taken.mp4"]


def test_fetch_what_is_not_there(farm: Farm) -> None:
    for record in (farm.queued(), farm.running(), farm.failed(), farm.cancelled()):
        assert farm.error("fetch", record.id).startswith("error [wrong_state]: ")
    done = [farm.succeeded() for _ in range(2)]
    assert farm.error("fetch", *(record.id for record in done), "-o", "none").startswith(
        "error [output_not_writable]: "
    )
    Path(done[0].spec.output).unlink()
    assert farm.error("fetch", done[1].id, done[0].id).startswith("error [no_such_file]: ")
    assert not list(Path.cwd().iterdir())
