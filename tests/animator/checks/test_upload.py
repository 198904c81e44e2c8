"""The look at one file: what it is by its content, and what it shows."""

from __future__ import annotations

import io
from base64 import b64decode
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from animator.checks.upload import THUMBNAIL, look, look_at, still
from animator.errors import AnimatorError
from animator.settings import DEFAULT_LIMITS, MediaLimits
from animator.web.files.looking import read_facts
from tests.animator.media_files import edge_cases, hard_portraits, noise, number, write_video
from tests.animator.motions import moving, write_motion

FRAMES = [np.full((48, 64, 3), shade, np.uint8) for shade in (20, 120, 220)]


def task(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    return {"path": str(path), "limits": vars(limits), "seconds": 30.0}


def told(path: Path, **given: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    look(task(path, **given), answers.append)
    (answer,) = answers
    return answer


def saved(tmp_path: Path, kind: str, frames: int = 1, **given: Any) -> Path:
    """A picture, or an animated one, in a file whose name says nothing."""
    path = tmp_path / "file"
    pictures = [Image.fromarray(frame) for frame in FRAMES[:frames]]
    if frames > 1:
        given |= {"save_all": True, "append_images": pictures[1:], "duration": 100}
    if kind == "HEIF":
        pillow_heif.from_pillow(pictures[0]).save(path)
    else:
        pictures[0].save(path, format=kind, **given)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("PNG", "png"),
        ("JPEG", "jpeg"),
        ("WEBP", "webp"),
        ("AVIF", "avif"),
        ("HEIF", "heic"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("TIFF", "tiff"),
        ("PPM", "pnm"),
        ("TGA", "tga"),
        ("JPEG2000", "jpeg2000"),
        ("ICO", "ico"),
    ],
)
def test_pictures_are_known_by_their_content(tmp_path: Path, kind: str, name: str) -> None:
    facts, picture = look_at(saved(tmp_path, kind), DEFAULT_LIMITS, 5.0)
    assert (facts.kind, facts.format) == ("picture", name)
    assert (facts.height, facts.width) == picture.shape[:2]
    assert facts.seconds is None and facts.frames is None and not facts.has_audio


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"), [("GIF", "gif"), ("PNG", "apng"), ("WEBP", "webp"), ("AVIF", "avif")]
)
def test_pictures_that_move_are_videos(tmp_path: Path, kind: str, name: str) -> None:
    facts, _ = look_at(saved(tmp_path, kind, 3), DEFAULT_LIMITS, 5.0)
    assert (facts.kind, facts.format) == ("video", name)
    assert (facts.width, facts.height) == (64, 48) and not facts.has_audio
    assert facts.frames == 3


def test_a_picture_of_several_pages_does_not_move(tmp_path: Path) -> None:
    path = saved(tmp_path, "TIFF", 3)
    assert look_at(path, DEFAULT_LIMITS, 5.0)[0].kind == "picture"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("mp4", "libx264", "mp4"),
        ("mov", "libx264", "quicktime"),
        ("matroska", "libx264", "matroska"),
        ("webm", "libvpx-vp9", "webm"),
        ("avi", "mpeg4", "avi"),
        ("mpegts", "libx264", "mpegts"),
        ("flv", "libx264", "flv"),
        ("asf", "msmpeg4", "asf"),
    ],
)
def test_videos_are_known_by_their_content(
    tmp_path: Path, container: str, codec: str, name: str
) -> None:
    path = tmp_path / "portrait.png"
    write_video(path, range(12), Fraction(1, 25), codec=codec, container=container)
    facts, picture = look_at(path, DEFAULT_LIMITS, 5.0)
    assert (facts.kind, facts.format) == ("video", name)
    assert (facts.width, facts.height) == (160, 96) and number(picture) == 0


@pytest.mark.slow
def test_a_video_is_described_as_it_is_shown(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", range(50), Fraction(1, 25), sound=noise(2.0, 48000), rotation=90
    )
    answer = told(path)
    facts = answer["facts"]
    assert (facts["width"], facts["height"], facts["frames"]) == (96, 160, 50)
    assert facts["seconds"] == pytest.approx(2, abs=0.05) and facts["has_audio"]
    assert [finding["code"] for finding in facts["findings"]] == ["no_face"]
    assert {finding["level"] for finding in facts["findings"]} == {"warning"}
    # Longer than a job may use is for the job's start and end to say.
    assert "facts" in told(path, limits=MediaLimits(max_seconds=1, max_frames=3))


def test_faces_are_found_from_the_left(samples: tuple[Path, Path], tmp_path: Path) -> None:
    one = np.asarray(Image.open(samples[0]))
    path = tmp_path / "two.png"
    Image.fromarray(np.concatenate([one, one[:, ::-1]], 1)).save(path)
    facts, _ = look_at(path, DEFAULT_LIMITS, 5.0)
    left, right = facts.faces
    assert left.box[2] < 512 < right.box[0]
    assert left.crop.side == pytest.approx(right.crop.side, rel=0.1)
    assert [finding.code for finding in facts.findings] == ["several_faces"]


def test_a_video_of_a_face(samples: tuple[Path, Path]) -> None:
    facts, _ = look_at(samples[1], DEFAULT_LIMITS, 5.0)
    assert len(facts.faces) == 1 and facts.has_audio and facts.shown_at == 0
    assert facts.frames == 180 and not facts.findings


@pytest.mark.slow
def test_a_video_that_begins_without_a_face_shows_one(
    samples: tuple[Path, Path], tmp_path: Path
) -> None:
    face = np.asarray(Image.open(samples[0]))
    pictures = [np.zeros_like(face)] * 25 + [face] * 35
    path = write_video(
        tmp_path / "a.mp4", range(60), Fraction(1, 25), pictures=pictures, size=(512, 512)
    )
    facts, picture = look_at(path, DEFAULT_LIMITS, 5.0)
    assert facts.shown_at >= 1 and len(facts.faces) == 1 and picture.mean() > 20


@pytest.mark.slow
@pytest.mark.parametrize("path", [*edge_cases(), *hard_portraits()], ids=lambda path: path.name)
def test_real_files(path: Path) -> None:
    answer = told(path)
    assert answer["facts"]["kind"] == ("video" if path.parent.name == "edge_cases" else "picture")
    thumbnail = Image.open(io.BytesIO(b64decode(answer["thumbnail"])))
    assert max(thumbnail.size) <= THUMBNAIL
    shape = answer["facts"]["width"] / answer["facts"]["height"]
    assert thumbnail.width / thumbnail.height == pytest.approx(shape, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("longer", ["width", "height"])
def test_a_thumbnail_is_small_whatever_it_shows(tmp_path: Path, longer: str) -> None:
    path = tmp_path / "file"
    shape = (1800, 2500, 3) if longer == "width" else (2500, 1800, 3)
    wild = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(wild).save(path, format="BMP")
    thumbnail = b64decode(told(path)["thumbnail"])
    assert len(thumbnail) < 500_000
    assert getattr(Image.open(io.BytesIO(thumbnail)), longer) == THUMBNAIL


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "file"
    Image.new("RGB", size).save(path, format="PNG")
    answer = told(path)
    assert (answer["facts"]["width"], answer["facts"]["height"]) == size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"\xef\xbb\xbf\n <svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(100),
        b"#!/bin/sh\n",
        b"only words",
        bytes(100_000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ],
    ids=range(12),
)
def test_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "portrait.png"
    path.write_bytes(content)
    answer = told(path)
    assert answer["code"] == "unsupported_format"
    assert answer["message"].startswith("The file ") and str(tmp_path) not in answer["message"]


def test_damage_is_told_as_such(tmp_path: Path, samples: tuple[Path, Path]) -> None:
    for which, length, code in ((0, 4000, "unreadable_image"), (1, 3000, "no_frames")):
        path = tmp_path / "file"
        path.write_bytes(samples[which].read_bytes()[:length])
        assert told(path)["code"] == code


def test_limits_on_pixels_and_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path, "PNG")
    assert told(path, limits=MediaLimits(max_image_pixels=100))["code"] == "too_large"
    assert told(path, limits=MediaLimits(max_bytes=10))["code"] == "too_large"


def test_sound_alone_is_no_upload(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "a.mp4"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    with pytest.raises(AnimatorError) as info:
        look_at(path, DEFAULT_LIMITS, 5.0)
    assert info.value.code in ("no_video_stream", "unsupported_format")


def test_the_still_of_a_video_is_from_its_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(101), Fraction(1, 25))
    answers: list[dict[str, Any]] = []
    still(task(path), answers.append)
    picture = np.asarray(Image.open(io.BytesIO(b64decode(answers[0]["still"]))))
    assert number(picture) == pytest.approx(50, abs=2)
    answers.clear()
    still(task(tmp_path / "none.mp4"), answers.append)
    assert answers[0]["code"] == "no_such_file"


def test_a_motion_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "file", moving(50, range(5)))
    answer = told(path)
    facts = answer["facts"]
    assert (facts["kind"], facts["format"]) == ("motion", "motion")
    assert (facts["width"], facts["height"], facts["frames"]) == (320, 240, 50)
    assert (facts["seconds"], facts["has_audio"], facts["shown_at"]) == (2.0, False, 0.2)
    assert len(facts["faces"]) == 1
    assert {finding["code"] for finding in facts["findings"]} == {"no_sound", "face_missing"}
    assert read_facts(facts).kind == "motion"
    # What is shown of it is a figure where the face is.
    thumbnail = np.asarray(Image.open(io.BytesIO(b64decode(answer["thumbnail"]))))
    left, top, right, bottom = (round(float(edge)) for edge in facts["faces"][0]["box"])
    inside = thumbnail[top:bottom, left:right].max(-1)
    assert thumbnail.shape == (240, 320, 3) and (inside > 90).mean() > 0.01
    assert (thumbnail[:, :20] < 60).all()


@pytest.mark.parametrize("place", [70, -40])
def test_a_damaged_motion_file_is_an_error(tmp_path: Path, place: int) -> None:
    path = write_motion(tmp_path / "file")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    answer = told(path)
    assert answer["code"] == "unreadable_motion" and answer["message"].startswith("The file is")
