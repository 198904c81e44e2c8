"""`animator verify` as its users meet it: as a process, with its words, JSON and exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from animator.animation.pipeline import animate
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.provenance.signing import ResultSigner
from animator.settings import Settings
from animator.spec import JobSpec
from animator.weights.importing import import_weights
from gfla.data.pose_tables import Annotation, write_annotations
from tests.animator.provenance.certificates import make_signer
from tests.animator.provenance.marked_files import MARK, flip, make_file, make_marked
from tests.animator.weights_files import write_published
from tests.gfla.person_files import standing, write_picture

HEAVY = ("torch", "av", "cv2", "celery", "numpy", "c2pa", "cryptography")


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "animator", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, **options)


def test_a_marked_file_ends_with_0_and_its_changed_copy_with_3(tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    done = run("verify", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "as it was made" in done.stdout and MARK.weights in done.stdout
    assert "trainedAlgorithmicMedia" in done.stdout and "not signed" in done.stdout
    assert MARK.hashes["source"] in done.stdout and "made of" not in done.stdout
    done = run("verify", flip(path, path.read_bytes().index(b"mdat") + 300))
    assert done.returncode == 3 and "changed" in done.stdout


def test_a_file_of_nobody_ends_with_4(tmp_path):
    done = run("verify", make_file(tmp_path / "a.mp4"))
    assert done.returncode == 4 and "Nothing is known" in done.stdout


def test_json_says_all_and_is_json(tmp_path):
    signer, path = make_signer(tmp_path / "signer"), make_marked(tmp_path / "a.mp4")
    ResultSigner(signer.credentials).sign(path, MARK)
    (tmp_path / "root.pem").write_text(signer.root)
    done = run("verify", path, "--json", "--trust", tmp_path / "root.pem")
    report = json.loads(done.stdout)
    assert (done.returncode, report["verdict"], report["render"]) == (0, "intact", None)
    assert report["signature"]["state"] == "trusted"
    assert report["signature"]["signer"] == "Test Signer"
    assert report["mark"]["settings"] == MARK.settings
    assert [one["sha256"] for one in report["signature"]["ingredients"]] == ["a" * 64, "b" * 64]


def test_roots_that_do_not_vouch_end_with_3(tmp_path):
    signer, path = make_signer(tmp_path / "signer"), make_marked(tmp_path / "a.mp4")
    ResultSigner(signer.credentials).sign(path, MARK)
    (tmp_path / "root.pem").write_text(make_signer(tmp_path / "other").root)
    done = run("verify", path, "--trust", tmp_path / "root.pem")
    assert done.returncode == 3 and "no given root vouches" in done.stdout
    assert done.stdout.count("made of") == 2 and "Test Signer of Test Studio" in done.stdout


def test_a_file_of_roots_without_any_is_refused(tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    (tmp_path / "root.pem").write_text("no certificate")
    done = run("verify", path, "--trust", tmp_path / "root.pem")
    assert done.returncode == 1 and "error [invalid_option]" in done.stderr


def test_an_input_that_is_another_ends_with_3(tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    done = run("verify", path, "--source", path)
    assert done.returncode == 3 and "NOT the file given" in done.stdout


def test_what_a_hostile_file_says_stays_on_its_line(tmp_path):
    mark = replace(MARK, weights="w\x1b[2J\nerror [x]", settings={"a": "\x1b]0;owned\x07"})
    path = make_marked(tmp_path / "a\n\x1b[31m.mp4", mark)
    done = run("verify", path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout and "\nerror" not in done.stdout
    assert len(done.stdout.splitlines()) < 15


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none.mp4"], "no_such_file"),
        (["."], "not_a_file"),
        (["a.mp4", "--source", "none.png"], "no_such_file"),
        (["a.mp4", "--trust", "none.pem"], "no_such_file"),
        (["a.mp4", "--render", "2"], "invalid_option"),
        (["plain.mp4", "--render", "2", "--source", "a.mp4", "--driving", "a.mp4"],
         "invalid_option"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_told_in_a_sentence(arguments, code, tmp_path):
    make_marked(tmp_path / "a.mp4")
    make_file(tmp_path / "plain.mp4")
    done = run("verify", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and f"error [{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_that_is_on_no_record_is_told(store: JobStore, settings: Settings, tmp_path: Path):
    done = run("verify", make_marked(tmp_path / "a.mp4"), "--job", "zzzz")
    assert done.returncode == 1 and "error [no_such_job]" in done.stderr


def test_what_another_machine_says_of_weights_is_asked_for(tmp_path):
    settings = {name: value for name, value in MARK.settings.items() if name != "weights"}
    path = make_marked(tmp_path / "a.mp4", replace(MARK, settings=settings))
    done = run("verify", path, "--render", "1", "--source", path, "--driving", path)
    assert done.returncode == 1 and "give it by --weights" in done.stderr


def test_a_look_is_quick(tmp_path):
    path = make_marked(tmp_path / "a.mp4")
    code = (
        "import sys\nfrom animator.cli import main\ntry:\n    main()\nfinally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "verify", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.slow
def test_a_video_of_the_command_is_rendered_again(samples, tmp_path):
    source, driving = samples
    video = tmp_path / "out.mp4"
    made = run(
        "run", source, driving, "-o", video, "--end", "0.15", "--size=128", "--margin=1.75",
        "--device", "cpu",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    inputs = ["--source", source, "--driving", driving, "--device", "cpu"]
    done = run("verify", video, "--render", "9", "--json", *inputs)
    report = json.loads(done.stdout)
    assert (done.returncode, report["verdict"]) == (0, "intact"), done.stderr
    assert report["inputs"] == {"source": True, "driving": True}
    assert report["render"]["outcome"] == "equal"
    # The same of a copy that was coded again: alike, but neither intact nor the same.
    copy = tmp_path / "copy.mp4"
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-crf", "30", str(copy)]
    subprocess.run(command, check=True)
    done = run("verify", copy, "--render", "2", *inputs)
    assert done.returncode == 1 and "do not say how it was rendered" in done.stderr


@pytest.mark.slow
def test_a_person_is_rendered_again_with_the_joints_that_were_read(
    settings: Settings, tmp_path: Path
) -> None:
    import_weights(write_published(tmp_path, "fashion", "fashion"), settings=settings)
    table, size = tmp_path / "poses.csv", (100, 80)
    rows = [Annotation(name, standing(size, number)) for number, name in enumerate(("a", "b"))]
    write_annotations(table, rows)
    source, driving = write_picture(tmp_path / "a.png", size, 0), f"{table}#b"
    video = tmp_path / "out.mp4"
    spec = JobSpec(str(source), driving, str(video), weights="fashion", source_pose=f"{table}#a",
                   device="cpu")  # fmt: skip
    animate(spec, settings=settings)
    inputs = ["--source", source, "--driving", driving, "--render", "1"]
    done = run("verify", video, *inputs)
    assert done.returncode == 1 and "give it by --source-pose" in done.stderr
    done = run("verify", video, *inputs, "--source-pose", f"{table}#a", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["render"]["outcome"]) == (0, "equal"), done.stderr
    assert report["inputs"] == {"source": True, "driving": True, "pose": True}


@pytest.mark.slow
def test_a_record_names_what_a_coded_copy_does_not(
    samples: tuple[Path, Path], store: JobStore, settings: Settings, tmp_path: Path
) -> None:
    source, driving = map(str, samples)
    video = tmp_path / "out.mp4"
    spec = JobSpec(source, driving, str(video), end="0.1", size=128, margin=1.75,
                   device="cpu", detector="dlib")  # fmt: skip
    made = run("run", source, driving, "-o", video, "--end", "0.1", "--size=128", "--margin=1.75",
               "--device", "cpu", "--detector", "dlib")  # fmt: skip
    assert made.returncode == 0, made.stderr
    record = Client.connect(settings).submit(spec, overwrite=True)
    copy = tmp_path / "copy.mp4"
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-crf", "20", str(copy)]
    subprocess.run(command, check=True)
    done = run("verify", copy, "--render", "2", "--job", record.id, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["verdict"]) == (3, "partial")
    assert report["render"]["outcome"] in ("same", "similar")
    assert os.fspath(video) not in done.stderr
