"""Objects shown from other sides, by jobs like all others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animator.animation.explain.frame import explain
from animator.animation.pipeline import animate
from animator.animation.rollout.loading import load_animating
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.spec import JobSpec
from animator.views.turntable import seen_from, turntable
from animator.weights.importing import import_weights
from animator.workspace.attempt import Workspace
from gfla.data.views import view_vector
from gfla.ops.ranges import from_bytes
from gfla.pictures import to_picture
from tests.animator.animation.resumed_job import JOB
from tests.animator.media_files import video_times
from tests.animator.weights_files import write_published

SIZE = (96, 64)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "car.png"
    noise = np.random.default_rng(1).integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def spec(photo: Path, tmp_path: Path, state_dir: Path) -> JobSpec:
    views = tmp_path / "turn.json"
    views.write_text(turntable(seen_from(40, 10), elevations=[0]).to_json())
    file = write_published(tmp_path, "car", "shapenet")
    weights = import_weights(file, settings=Settings.from_environment()).name
    return JobSpec(str(photo), str(views), str(tmp_path / "out.mp4"), weights=weights, device="cpu")


def test_every_frame_is_the_networks_own_of_that_side(spec: JobSpec, tmp_path: Path) -> None:
    result = animate(replace(spec, output=f"{tmp_path}/out/"))
    assert result.frames == 18
    network = load_animating(spec.weights, "cpu", "float32", Settings.from_environment()).network
    # The photo, with its upper and lower border repeated until it is as wide as high.
    photo = np.asarray(Image.open(spec.source))
    square = np.pad(photo, ((16, 16), (0, 0), (0, 0)), mode="edge")
    seen = np.asarray(Image.fromarray(square).resize((256, 256), Image.Resampling.BICUBIC))
    image = from_bytes(torch.from_numpy(seen.copy()).permute(2, 0, 1)[None])
    for number in (0, 17):
        with torch.inference_mode():
            wanted = network.generator(
                image.contiguous(memory_format=torch.channels_last),
                view_vector(2, 1)[None],
                view_vector((2 + number) % 18, 0)[None],
            )
        got = np.asarray(Image.open(tmp_path / "out" / f"{number:05d}.png"))
        np.testing.assert_array_equal(got, to_picture(wanted.image[0]))


def test_times_and_parts(spec: JobSpec) -> None:
    animate(spec)
    assert video_times(Path(spec.output)) == [Fraction(n, 6) for n in range(18)]
    animate(replace(spec, driving_fps="12", start="0.5", end="1"))
    assert video_times(Path(spec.output)) == [Fraction(n, 12) for n in range(6)]
    assert animate(replace(spec, fps="30")).frames == 90


def test_the_whole_picture_keeps_its_shape(spec: JobSpec, tmp_path: Path) -> None:
    out = tmp_path / "whole/"
    animate(replace(spec, output=f"{out}/", output_mode="paste-back", end="0.2"))
    assert Image.open(out / "00000.png").size == SIZE


def test_a_killed_job_goes_on_to_the_same_bytes(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "4")
    animate(replace(spec, output=str(tmp_path / "whole.mp4")))
    file = tmp_path / "spec.json"
    file.write_text(spec.to_json())
    attempt = [sys.executable, "-m", "tests.animator.animation.resumed_job", str(file), "1"]
    died = subprocess.run([*attempt, "generate", "9"], env=os.environ)
    assert died.returncode == -signal.SIGKILL
    workspace = Workspace.take(spec.output, JOB, 2)
    assert animate(spec, workspace=workspace).resumed == 8
    assert Path(spec.output).read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_sheet_of_a_view(spec: JobSpec, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    explained = explain(replace(spec, output=str(sheet)), settings=Settings.from_environment())
    assert explained.frame == 9  # from behind
    assert Image.open(sheet).size[0] > 1000


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"strength": 2.0}, "invalid_option"),
        ({"motion": "absolute"}, "invalid_option"),
        ({"face": "all"}, "invalid_option"),
        ({"detector": "dlib"}, "invalid_option"),
        ({"start": "10"}, "no_frames"),
        ({"driving": "photo"}, "invalid_view"),
    ],
)
def test_what_does_not_apply_is_refused(spec: JobSpec, change: dict, code: str) -> None:
    if change.get("driving") == "photo":
        change = {"driving": spec.source}
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, **change))
    assert caught.value.code == code


def test_more_views_than_a_video_may_have(spec: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATOR_MAX_FRAMES", "17")
    with pytest.raises(AnimatorError) as caught:
        animate(spec)
    assert caught.value.code == "too_long"


def test_a_view_that_is_not_known(spec: JobSpec) -> None:
    Path(spec.driving).write_text(json.dumps({"views": [[0, 0], [30, 0]]}))
    with pytest.raises(AnimatorError) as caught:
        animate(spec)
    assert caught.value.code == "invalid_view" and "30" in caught.value.message
