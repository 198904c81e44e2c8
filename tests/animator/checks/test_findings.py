"""What is said of what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from animator import errors
from animator.checks.findings import CODES, judge
from animator.checks.report import (
    Crop,
    DrivingFacts,
    Face,
    Finding,
    SampledFrame,
    SourceFacts,
    wilson_interval,
)
from animator.spec import JobSpec

SPEC = JobSpec("/source.png", "/driving.mp4", "/out.mp4")
FACE = Face(
    pixels=200,
    crop=Crop(100, 100, 350),
    turn=0.0,
    lean=0.0,
    sharpness=200.0,
    brightness=130.0,
    eyes=0.3,
    mouth=0.05,
    inside=1.0,
)
SOURCE = SourceFacts(512, 512, 1, FACE)


def moved(index: int, **changes: Any) -> Face:
    """A face that speaks and nods a little."""
    return replace(FACE, **{"mouth": 0.05 + 0.05 * (index % 3), **changes})


def sample(index: int, face: Face | None, faces: int = 1) -> SampledFrame:
    return SampledFrame(float(index), faces if face else 0, face)


DRIVING = DrivingFacts(
    width=512,
    height=512,
    format="mp4",
    codec="h264",
    rotation=0,
    has_audio=True,
    duration=24.0,
    frames=600,
    counted=True,
    rate=25.0,
    variable_rate=False,
    wanted=24,
    samples=tuple(sample(index, moved(index)) for index in range(24)),
    crop=Crop(90, 90, 370),
    decode_seconds=0.001,
    landmark_seconds=0.01,
    memory_mb=200.0,
)


def driving(**changes: Any) -> DrivingFacts:
    return replace(DRIVING, **changes)


def faces(**changes: Any) -> DrivingFacts:
    return driving(samples=tuple(sample(i, moved(i, **changes)) for i in range(24)))


def missing(count: int) -> DrivingFacts:
    return driving(
        samples=tuple(sample(i, None if i < count else moved(i)) for i in range(24)), frames=600
    )


def said(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(item.level, item.code, item.about) for item in findings]


def test_nothing_is_said_of_good_inputs() -> None:
    assert judge(SPEC, SOURCE, DRIVING) == []
    assert judge(SPEC, None, None) == []


def test_what_was_changed_about_an_input_is_said() -> None:
    noted = replace(SOURCE, notes=("hdr", "broken_profile"))
    assert said(judge(SPEC, noted, driving(notes=("hdr",)))) == [
        ("note", "hdr", "source"),
        ("note", "broken_profile", "source"),
        ("note", "hdr", "driving"),
    ]
    large = replace(SOURCE, width=4001)
    assert judge(SPEC, large, DRIVING) == []
    pasted = replace(SPEC, output_mode="paste-back")
    assert judge(pasted, SOURCE, DRIVING) == []
    [finding] = judge(pasted, large, DRIVING)
    assert finding.code == "reduced_picture" and "4001 x 512" in finding.message


def test_of_faces_that_move() -> None:
    def of(face: str, there: int) -> list[tuple[str, str, str]]:
        spec = replace(SPEC, face=face, driving="/driving.mp4")
        return said(judge(spec, replace(SOURCE, faces=there), None))

    crowd = ("note", "several_faces", "source")
    assert of("all", 3) == of("all;2=/b.mp4", 3) == of("2=/driving.mp4", 2) == [crowd]
    assert of("2=/driving.mp4", 1) == [("error", "face_not_found", "source")]
    assert of("all;1=/b.mp4", 1) == of("all", 17) == [("error", "invalid_option", "source")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"crop": Crop(0, 0, 100)}, ("warning", "small_face", "source")),
        ({"turn": -0.6}, ("warning", "turned_face", "source")),
        ({"lean": 88.0}, ("warning", "leaning_face", "source")),
        ({"eyes": 0.05}, ("note", "eyes_closed", "source")),
        ({"mouth": 0.8}, ("warning", "mouth_open", "source")),
        ({"inside": 0.5}, ("warning", "cut_off_face", "source")),
        ({"sharpness": 5.0}, ("warning", "blurred_face", "source")),
        ({"brightness": 10.0}, ("warning", "dark_face", "source")),
    ],
)
def test_of_the_source(change: dict[str, Any], expected: tuple[str, str, str]) -> None:
    findings = judge(SPEC, replace(SOURCE, face=replace(FACE, **change)), None)
    assert said(findings) == [expected]


def test_a_smaller_result_needs_a_smaller_face() -> None:
    small = replace(SOURCE, face=replace(FACE, crop=Crop(0, 0, 100)))
    assert judge(replace(SPEC, size=128), small, None) == []


@pytest.mark.parametrize(
    ("framing", "side"),
    [({"size": "auto"}, 256), ({"size": 512}, 374), ({"size": 512, "margin": 4.0}, None)],
)
def test_a_small_face_is_one_that_is_shown_much_larger(
    framing: dict[str, Any], side: int | None
) -> None:
    small = replace(SOURCE, face=replace(FACE, crop=Crop(0, 0, 120)))
    found = judge(replace(SPEC, **framing), small, None)
    assert said(found) == ([("warning", "small_face", "source")] if side else [])
    assert not side or f"120 pixels and is enlarged to {side}." in found[0].message


def test_of_several_faces() -> None:
    (finding,) = judge(SPEC, replace(SOURCE, faces=3), None)
    assert (finding.level, finding.code) == ("note", "several_faces")
    assert "3 faces" in finding.message and "--face" in finding.advice
    crowd = driving(samples=tuple(sample(i, moved(i), 4) for i in range(24)))
    assert said(judge(SPEC, None, crowd)) == [("note", "several_faces", "driving")]


@pytest.mark.parametrize(
    ("count", "policy", "sure", "expected"),
    [
        (1, "hold", True, ("note", "face_missing", "driving")),
        (6, "hold", True, ("warning", "face_missing", "driving")),
        (1, "fail", True, ("warning", "face_missing", "driving")),
        (6, "fail", True, ("error", "face_lost", "driving")),
        (6, "fail", False, ("warning", "face_missing", "driving")),
        (24, "hold", True, ("error", "no_face", "driving")),
        (24, "hold", False, ("warning", "no_face", "driving")),
    ],
)
def test_of_frames_without_a_face(
    count: int, policy: Any, sure: bool, expected: tuple[str, str, str]
) -> None:
    findings = judge(replace(SPEC, missing_face=policy), None, missing(count), sure=sure)
    assert expected in said(findings)
    assert ("note", "other_detector", "") in said(findings) or sure


def test_the_interval_of_coverage_is_told() -> None:
    (finding,) = judge(SPEC, None, missing(6))
    assert "6 of 24" in finding.message and "12% to 45%" in finding.message


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (faces(pixels=30.0), ("warning", "small_face", "driving")),
        (faces(turn=0.6), ("warning", "turned_face", "driving")),
        (faces(sharpness=5.0), ("warning", "blurred_face", "driving")),
        (faces(brightness=10.0), ("warning", "dark_face", "driving")),
        (faces(mouth=0.05), ("note", "little_motion", "driving")),
        (driving(variable_rate=True), ("note", "variable_rate", "driving")),
        (driving(has_audio=False), ("note", "no_sound", "driving")),
        (driving(duration=None), ("warning", "length_unknown", "driving")),
        (driving(wanted=40), ("note", "partly_looked_at", "driving")),
    ],
)
def test_of_the_driving_video(facts: DrivingFacts, expected: tuple[str, str, str]) -> None:
    assert said(judge(SPEC, None, facts)) == [expected]


@pytest.mark.parametrize("change", [{"crop": Crop(600, 100, 350)}, {"pixels": 90.0}])
def test_a_cut_is_told_with_its_time(change: dict[str, Any]) -> None:
    cut = [sample(i, moved(i, **(change if i >= 10 else {}))) for i in range(24)]
    (finding,) = judge(SPEC, None, driving(samples=tuple(cut)))
    assert (finding.level, finding.code) == ("warning", "face_jumps")
    assert "at least 1 cut, before 10.0 s" in finding.message


def test_another_face_of_several_is_no_cut() -> None:
    other = [sample(i, moved(i, crop=Crop(600 * (i % 2), 0, 350)), 2) for i in range(24)]
    assert said(judge(SPEC, None, driving(samples=tuple(other)))) == [
        ("note", "several_faces", "driving")
    ]


def test_of_poses_that_have_nothing_in_common() -> None:
    findings = judge(SPEC, SOURCE, faces(turn=0.35))
    assert said(findings) == [("warning", "pose_differs", "")]
    looking = replace(SOURCE, face=replace(FACE, turn=0.3))
    assert judge(SPEC, looking, faces(turn=0.35)) == []


def test_the_interval_of_a_share() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    # Table of Newcombe (1998), Statistics in Medicine 17, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_the_documentation_lists_every_code_with_its_meaning() -> None:
    text = (Path(__file__).parents[3] / "docs" / "check.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [a-z, ]+ \| (.+?) \|", text, flags=re.MULTILINE)
    assert dict(rows) == CODES
    assert not set(CODES) & set(errors.CODES)
