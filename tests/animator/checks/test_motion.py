"""A check of a motion file in the place of a driving video."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from animator.checks.job import check_job
from animator.checks.motion import facts_of
from animator.checks.report import CheckReport
from animator.settings import Settings
from animator.spec import JobSpec
from tests.animator.motions import moving, write_motion


@pytest.fixture
def spec(samples: tuple[Path, Path], tmp_path: Path) -> JobSpec:
    motion = write_motion(tmp_path / "a.motion", moving(100))
    return JobSpec(str(samples[0]), str(motion), str(tmp_path / "out.mp4"), device="cpu")


def codes(report: CheckReport) -> set[str]:
    return {finding.code for finding in report.findings if finding.about == "driving"}


@pytest.mark.slow
def test_a_motion_is_looked_at_as_a_video_is(spec: JobSpec, state_dir: Path) -> None:
    report = check_job(replace(spec, start="1"), Settings.from_environment())
    driving = report.driving
    assert report.ok and driving is not None
    assert (driving.format, driving.frames, driving.duration) == ("motion", 75, 3.0)
    assert driving.variable_rate is False and driving.coverage[0] == 1
    assert len(driving.samples) == 24 and driving.samples[0].seconds == 1.0
    face = driving.seen[0]
    assert 70 < face.pixels < 110 and face.sharpness is None and face.brightness is None
    assert driving.crop is not None and driving.crop.side > face.pixels
    assert codes(report) == {"no_sound"}
    (sound,) = [one.message for one in report.findings if one.code == "no_sound"]
    assert sound == "A motion file has no sound, so the result has none."
    json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.slow
def test_a_damaged_motion_is_an_error_with_its_code(spec: JobSpec, state_dir: Path) -> None:
    path = Path(spec.driving)
    path.write_bytes(path.read_bytes()[:-20])
    report = check_job(spec, Settings.from_environment())
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert (error.code, error.about) == ("unreadable_motion", "driving") and error.advice


def test_what_a_motion_lacks_is_told_of() -> None:
    driving = moving(100, range(20, 60), (70,))
    steps = np.where(np.arange(99) % 3, 512, 900)
    uneven = replace(driving, pts=[0, *np.cumsum(steps).tolist()], rate=None)
    facts = facts_of(uneven, 100)
    assert facts.variable_rate and facts.rate is None
    assert len(facts.seen) == 60 and [one for one in facts.samples if one.cut][0].seconds > 0
    assert facts_of(moving(1), 24).variable_rate is None


def test_fewer_frames_than_are_wanted_are_all_looked_at() -> None:
    facts = facts_of(moving(5), 24)
    assert facts.wanted == len(facts.samples) == 5
