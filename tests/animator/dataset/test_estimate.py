"""The estimate of a run by the headers of its driving files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from animator.dataset.estimate import estimate
from animator.dataset.options import RunOptions
from animator.dataset.samples import Sample
from animator.settings import Settings
from animator.values import Location
from tests.animator.media_files import write_video
from tests.animator.motions import moving, write_motion


@pytest.mark.slow
def test_frames_of_videos_and_of_motion_files_are_counted(tmp_path: Path, state_dir: Path) -> None:
    video = write_video(tmp_path / "a.mp4", [512 * n for n in range(40)], Fraction(1, 12800))
    motion = write_motion(tmp_path / "a.motion", moving(100))
    broken = tmp_path / "b.motion"
    broken.write_bytes(motion.read_bytes()[:-1])
    # There is no portrait, so that nothing is tried: frames alone can be told.
    source = Location(tmp_path / "nobody.png")
    spans = ((video, None), (motion, None), (motion, "1"), (broken, None))
    samples = [
        Sample(id=f"s{number}", row=number, source=source, driving=Location(path), start=start)
        for number, (path, start) in enumerate(spans, 1)
    ]
    settings = Settings.from_environment()
    told = estimate(None, samples[:3], 0, RunOptions(detector="dlib"), settings, {})
    assert told.frames == 40 + 100 + 75
    # What cannot be read is taken to be as long as the others.
    assert estimate(None, samples[1:], 0, RunOptions(detector="dlib"), settings, {}).frames == 262
