"""`animator batch` as a user calls it, with its own queue, worker and pipeline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from animator.dataset.batch import Inputs, generate, plan_run
from animator.dataset.options import Filter, RunOptions
from animator.dataset.run_folder import check_same, new_info
from animator.dataset.samples import Sample
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights.importing import import_weights
from tests.animator.weights_files import write_published
from tests.chaos import dataset_media
from tests.chaos.killed_dataset import processes

WAIT = 60


@pytest.fixture
def media(samples: tuple[Path, Path], tmp_path: Path) -> list[str]:
    """Three portraits and a short video in the folder `in`; options for quick jobs."""
    dataset_media.portraits(samples[0], tmp_path / "in", 3)
    dataset_media.clips(samples[1], tmp_path / "in", 1)
    weights = dataset_media.quick_weights(tmp_path / "random.safetensors")
    return ["--weights", str(weights), "--size=128", "--margin=1.75", "--device", "cpu"]


def batch(folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "animator", "batch", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


@pytest.mark.slow
def test_a_manifest_with_faults(state_dir: Path, tmp_path: Path, media: list[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "pairs.csv").write_text(
        "id,source,driving,start,seed\n"
        "good,in/p00.png,in/d00.mp4,,7\n"
        "late,in/p00.png,in/d00.mp4,60,\n"
        "../out,in/p00.png,in/d00.mp4,,\n"
        "good,in/p01.png,in/d00.mp4,,\n"
        "gone,in/p99.png,in/d00.mp4,,\n"
        "far,https://example.com/p.png,in/d00.mp4,,\n"
        "broken,in/p01.png,bad.mp4,,\n"
    )
    call = ["pairs.csv", "--out", "run", *media]
    strict = batch(tmp_path, *call, "--strict", status=1)
    assert "error [bad_manifest]: 4 rows cannot be used, the first is row 3" in strict.stderr
    assert not (tmp_path / "run").exists()
    told = json.loads(batch(tmp_path, *call, "--dry-run", "--json").stdout)
    assert (told["samples"], told["left"], told["faults"]) == (3, 3, 4)
    assert told["seconds"] > 0 and told["bytes"] > 0 and not (tmp_path / "run").exists()
    done = batch(tmp_path, *call, status=1)
    for line in (
        "row 3 [invalid_id]: ",
        "row 4 [duplicate_id]: ",
        "row 5 [no_such_file]: ",
        "row 6 [url_refused]: ",
        "1 of 3 samples made, 2 failed",
        "failed [no_frames]: 1",
        "failed [unreadable_video]: 1",
    ):
        assert line in done.stderr
    assert done.stdout == f"{tmp_path / 'run'}\n"
    index = rows(tmp_path / "run" / "index.parquet")
    assert [(row["id"], row["state"], row["code"]) for row in index] == [
        ("good", "succeeded", None),
        ("late", "failed", "no_frames"),
        ("broken", "failed", "unreadable_video"),
    ]
    assert index[0]["seed"] == 7 and index[0]["face_coverage"] is not None
    (tmp_path / "bad.mp4").write_bytes((tmp_path / "in" / "d00.mp4").read_bytes())
    mended = batch(tmp_path, *call, "--retry-failed", "--json", status=1)
    assert json.loads(mended.stdout)["succeeded"] == 2
    other = batch(tmp_path, *call, "--size", "256", status=1)
    assert "error [other_run]" in other.stderr and "--size (" in other.stderr
    other = batch(tmp_path, *call, "--motion", "absolute", "--source-face", "2", status=1)
    assert "--source-face (none then, 2 now)" in other.stderr
    assert "--motion (relative then, absolute now)" in other.stderr
    report = [sys.executable, "-m", "animator", "report", "run", "-o", "report.html"]
    subprocess.run(report, cwd=tmp_path, check=True, timeout=60)
    subprocess.run(report, cwd=tmp_path, check=True, timeout=60)  # over its own page
    (tmp_path / "notes.html").write_text("<p>precious")
    for target, run, code in (("notes.html", "run", "output_exists"), ("n.html", "in", "bad_data")):
        command = [*report[:4], run, "-o", target]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and f"error [{code}]: " in done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "invalid_id" in page and "no_frames" in page and "data:image/jpeg" in page


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly_and_it_goes_on(
    state_dir: Path, tmp_path: Path, media: list[str]
) -> None:
    lists = ["--sources", "in/*.png", "--drivings", "in/*.mp4"]
    call = [*lists, "--out", "run", "--format", "files", "--no-measure", *media]
    command = [sys.executable, "-m", "animator", "batch", *call, "--in-flight", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "run" / "shards" / "00000"
    deadline = time.monotonic() + WAIT
    while not [*folder.glob("*.result.json")]:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(WAIT) == 130, said
    assert "Traceback" not in said and re.search(r"\d of 3 samples made, \d left", said)
    redis = int((state_dir / "redis" / "redis.pid").read_text())
    assert processes(state_dir) <= {redis}
    batch(tmp_path, *call)
    names = [f"p0{n}--d00{ending}" for n in range(3) for ending in (".json", ".mp4")]
    assert sorted(os.listdir(folder)) == names
    assert [row["state"] for row in rows(tmp_path / "run" / "index.parquet")] == ["succeeded"] * 3


def test_inputs_are_one_thing_or_the_other() -> None:
    for wrong in (
        Inputs,
        lambda: Inputs("a.csv", ("*.png",), ("*.mp4",)),
        lambda: Inputs(sources=("*.png",)),
    ):
        with pytest.raises(AnimatorError, match="Give a manifest"):
            wrong()


def test_a_run_without_a_sound_row_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("source,driving\na.png,b.mp4\n")
    inputs = Inputs(str(tmp_path / "pairs.csv"))
    with pytest.raises(AnimatorError, match="None of 1 rows can be used. Row 1: There is no file"):
        generate(inputs, str(tmp_path / "run"), RunOptions(), settings)
    assert not (tmp_path / "run").exists()


def test_a_row_whose_faces_do_not_go_with_the_run_is_a_fault(
    settings: Settings, tmp_path: Path
) -> None:
    for name in ("a.png", "b.mp4"):
        (tmp_path / name).write_bytes(b"there")
    (tmp_path / "pairs.csv").write_text("source,driving,face\na.png,b.mp4,all\na.png,b.mp4,2\n")
    inputs, options = Inputs(str(tmp_path / "pairs.csv")), RunOptions(source_face=1)
    plan = plan_run(inputs, str(tmp_path / "run"), options, settings).plan
    assert [(fault.row, fault.code) for fault in plan.faults] == [(1, "invalid_option")]
    assert [sample.face for sample in plan.samples] == ["2"]


def test_a_row_whose_options_do_not_go_with_its_weights_is_a_fault(
    settings: Settings, tmp_path: Path
) -> None:
    import_weights(write_published(tmp_path, "dance", "dance"), settings=settings)
    for name in ("a.png", "b.json"):
        (tmp_path / name).write_bytes(b"there")
    table = "".join(f"a.png,b.json,dance,{cells}\n" for cells in ("1,1", "1,all", "0.5,1", "1,2"))
    (tmp_path / "pairs.csv").write_text(f"source,driving,weights,strength,face\n{table}")
    inputs, run = Inputs(str(tmp_path / "pairs.csv")), str(tmp_path / "run")
    plan = plan_run(inputs, run, RunOptions(), settings).plan
    assert sorted(sample.row for sample in plan.samples) == [1, 4]
    assert [(fault.row, fault.code) for fault in plan.faults] == [
        (2, "invalid_option"), (3, "invalid_option"),
    ]  # fmt: skip
    assert "--strength" in plan.faults[1].message
    # What all rows share may be what does not go, but for a detector that the settings name.
    with pytest.raises(AnimatorError, match="Row 1: .* --margin does not apply"):
        plan_run(inputs, run, RunOptions(margin=2), settings)
    options = RunOptions(detector="mesh")
    with pytest.raises(AnimatorError, match="Row 1: detector is 'mesh'; for a person"):
        plan_run(inputs, run, options, replace(settings, detector="auto"))
    named = replace(settings, detector="mesh")
    assert len(plan_run(inputs, run, options, named).plan.samples) == 2


def test_a_filter_says_what_it_misses() -> None:
    wanted = Filter.parse(" landmark_error <= 2.5 ")
    assert wanted.refuses({"landmark_error": 2.5}) is None
    assert wanted.refuses({"landmark_error": 3}) == "landmark_error is 3, not <= 2.5."
    assert wanted.refuses({}) == "landmark_error could not be measured."
    assert wanted.refuses({"landmark_error": float("nan")}) is not None


@pytest.mark.parametrize("text", ["identity", "beauty>=1", "identity>=", "identity=>1", "1<2"])
def test_a_filter_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(AnimatorError, match="quality-filter") as error:
        RunOptions(filters=(text,))
    assert error.value.code == "invalid_option"


def test_a_run_of_before_there_were_margins_goes_on_as_it_was() -> None:
    values = {name: value for name, value in RunOptions().as_dict().items() if name != "margin"}
    old = RunOptions.from_dict({**values, "size": 256})
    assert (old.size, old.margin) == (256, 1.75)
    info = new_info({}, old, 1, 0, "")
    # The command as it was given then, which leaves both open or names the size.
    check_same(info, {}, RunOptions())
    check_same(info, {}, RunOptions(size=256))
    for other in (RunOptions(size=512), RunOptions(margin=2.0)):
        with pytest.raises(AnimatorError, match=r"--(size|margin) \(") as error:
            check_same(info, {}, other)
        assert error.value.code == "other_run"
    with pytest.raises(AnimatorError, match=r"--size \(300 then, auto now\)"):
        check_same(new_info({}, RunOptions(size=300), 1, 0, ""), {}, RunOptions())


def test_options_are_read_as_they_were_written() -> None:
    filters = ("identity>0.1",)
    options = RunOptions("files", 5, ("flows",), filters=filters, source_face=2, smoothing=0.25)
    assert RunOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options
    framed = RunOptions(size="auto", margin=3.0)
    assert RunOptions.from_dict(framed.as_dict()) == framed
    with pytest.raises(AnimatorError, match="unknown here: colour"):
        RunOptions.from_dict({"colour": "red"})
    # Before faces were the rows' to choose, runs had one choice.
    assert RunOptions.from_dict({**options.as_dict(), "face": "largest"}) == options
    sample = Sample("a", 1, "/s.png", "/d.mp4", start="1", face="2")
    spec = options.spec(sample, "/o.mp4", "cpu")
    assert (spec.face, spec.start, spec.extras, spec.keep_result) == (2, "1", ("flows",), True)
    assert spec.source_face == 2
