"""Jobs in every format, at several rates, with every kind of sound, and killed on their way.

The network is small and untrained: what is looked at is files, times, sound and resuming.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from animator.animation.pipeline import animate
from animator.errors import AnimatorError
from animator.formats import FORMATS, check_format
from animator.media.decode import VideoReader
from animator.provenance.containers import look_for_marks, media_hash
from animator.record import Result
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from tests.animator.animation.resumed_job import JOB
from tests.animator.media_files import (
    delay_seconds,
    noise,
    shown_times,
    sound_on_timeline,
    video_times,
    write_video,
)
from tests.helpers import COMPACT, small_generator

pytestmark = pytest.mark.slow

FRAMES, SEGMENT = 14, 4
SIZE = (256, 256)
BASE = Fraction(1, 30000)
PTS = [1001 * t for t in range(FRAMES)]
SECONDS = FRAMES * Fraction(1001, 30000)
VIDEOS = [
    (suffix, codec)
    for suffix in (".mp4", ".mov", ".mkv", ".webm")
    for codec in FORMATS[suffix].codecs
]
OTHERS = ["out.gif", "out.webp", "out.apng", "out/", "out-%03d.png"]
LONG = "ANIMATOR_LONG_TESTS" in os.environ
OFTEN_KILLED = pytest.mark.skipif(not LONG, reason="takes a minute")
RATES = ["keep", "24", "60"]
SOUNDS = ["driving", "none", "file"]
MADE = [
    (*video, rate, sound)
    for number, video in enumerate(VIDEOS)
    for second, rate in enumerate(RATES)
    for third, sound in enumerate(SOUNDS)
    if LONG or video == (".mp4", "h264") or (number + second + third) % 3 == 0
]
"""All of the usual video, and of every other each rate and each sound once."""
NAMES = {"h264": "h264", "h265": "hevc", "av1": "av1", "vp9": "vp9"}
UNITS = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000), "webm": Fraction(1, 1000)}
UNITS["mkv"] = UNITS["webm"]


@pytest.fixture(scope="module", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The landmarks are found once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
        patch.setenv("ANIMATOR_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def own_landmarks() -> None:
    """Takes the place of the fixture that gives every test a state of its own."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def pictures(samples: tuple[Path, Path]) -> list[np.ndarray[Any, Any]]:
    with VideoReader(samples[1]) as reader:
        batches = itertools.islice(reader, 2)
        return [cv2.resize(picture, SIZE) for batch in batches for picture in batch.pixels][:FRAMES]


@pytest.fixture(scope="module")
def driving(pictures: list[np.ndarray[Any, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("driving") / "driving.mp4"
    sound = noise(float(SECONDS), 48000)
    return write_video(path, PTS, BASE, pictures=pictures, size=SIZE, sound=sound)


@pytest.fixture(scope="module")
def other_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "music.mkv"
    sound = noise(2.0, 48000, seed=5)
    return write_video(path, range(10), Fraction(1, 10), sound=sound, sound_codec="pcm_s16le")


@pytest.fixture
def spec(samples: tuple[Path, Path], driving: Path, weights: str, tmp_path: Path) -> JobSpec:
    (tmp_path / "results").mkdir()
    return JobSpec(
        str(samples[0]), str(driving), str(tmp_path / "results" / "out.mp4"),
        size=128, margin=1.75, detector="dlib", device="cpu", weights=weights,
    )  # fmt: skip


def placed(spec: JobSpec, name: str, **options: Any) -> JobSpec:
    """The job with another name for its output."""
    return replace(spec, output=str(Path(spec.output).parent / name) + "/" * name.endswith("/"),
                   **options)  # fmt: skip


def expected_times(rate: str) -> list[Fraction]:
    if rate == "keep":
        return [pts * BASE for pts in PTS]
    return [number / Fraction(rate) for number in range(round(SECONDS * Fraction(rate)))]


def check_times(found: list[Fraction], rate: str, unit: Fraction) -> None:
    wanted = expected_times(rate)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert abs(one - other) <= unit / 2


@pytest.mark.parametrize(("suffix", "codec", "rate", "sound"), MADE)
def test_videos(
    suffix: str, codec: Any, rate: str, sound: str, spec: JobSpec, driving: Path, other_sound: Path
) -> None:
    """Format x coding x rate x sound: frames, times and what is heard."""
    audio = str(other_sound) if sound == "file" else sound
    job = placed(spec, f"out{suffix}", codec=codec, fps=rate, audio=audio)
    result = animate(job)
    output = Path(job.output)
    with VideoReader(output) as reader:
        frames = [picture for batch in reader for picture in batch.pixels]
    assert len(frames) == result.frames
    check_times(video_times(output), rate, UNITS.get(suffix[1:], Fraction(0)))
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == (sound != "none")
    if sound != "none":
        heard = sound_on_timeline(driving if sound == "driving" else other_sound)
        after = sound_on_timeline(output)
        length = round(0.4 * 48000)
        assert abs(delay_seconds(heard[:length], after[:length])) < 0.001
        assert np.corrcoef(heard[2000:length], after[2000:length])[0, 1] > 0.8
        # Sound of another file ends with the picture, but for the rest of a packet.
        assert len(after) / 48000 < float(SECONDS) + 0.05
    assert result.warnings == ()
    if shutil.which("ffprobe"):
        check_with_ffprobe(output, NAMES[codec], len(frames), sound != "none")
    assert os.listdir(output.parent) == [output.name]


def check_with_ffprobe(path: Path, codec: str, frames: int, sounds: bool) -> None:
    command = [
        "ffprobe", "-v", "error", "-count_frames", "-of", "json",
        "-show_entries", "stream=codec_type,codec_name,nb_read_frames", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    streams = {stream["codec_type"]: stream for stream in json.loads(done.stdout)["streams"]}
    assert done.stderr == ""
    assert (streams["video"]["codec_name"], int(streams["video"]["nb_read_frames"])) == (
        codec, frames,
    )  # fmt: skip
    assert ("audio" in streams) == sounds


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", OTHERS)
def test_pictures_that_move_and_pictures_one_by_one(name: str, rate: str, spec: JobSpec) -> None:
    job = placed(spec, name, fps=rate)
    result = animate(job)
    kind = check_format(job.output)
    if kind.kind == "pictures":
        shown = [np.asarray(Image.open(path)) for path in found_pictures(job)]
        assert len(shown) == result.frames == len(expected_times(rate))
        check_same(shown, lossless(spec, rate))
        return
    output = Path(job.output)
    rate = "50" if (name, rate) == ("out.gif", "60") else rate
    check_times(shown_times_of(output), rate, UNITS.get(kind.name, Fraction(1, 10**5)))
    with Image.open(output) as image:
        assert image.n_frames == result.frames
        assert image.info["loop"] == 0
    slow = ("A GIF shows at most 50 frames a second; the result was made with as many.",)
    assert result.warnings == (slow if rate == "50" else ())


def shown_times_of(path: Path) -> list[Fraction]:
    if path.suffix == ".apng":  # of which libav rounds every delay
        found = [Fraction(0)]
        with Image.open(path) as image:
            for number in range(image.n_frames):
                image.seek(number)
                image.load()
                found.append(found[-1] + Fraction(image.info["duration"]) / 1000)
        return found[:-1]
    if path.suffix == ".webp":  # which libav cannot play
        with VideoReader(path) as reader:
            return [pts * reader.info.time_base for batch in reader for pts in batch.pts]
    return shown_times(path)


def found_pictures(job: JobSpec) -> list[Path]:
    path = Path(job.output)
    folder = path if job.output.endswith("/") else path.parent
    return sorted(folder.glob("*.png"))


def lossless(spec: JobSpec, rate: str) -> list[np.ndarray[Any, Any]]:
    """The frames as APNG keeps them."""
    job = placed(spec, "lossless.apng", fps=rate)
    animate(job)
    with VideoReader(job.output) as reader:
        frames = [picture for batch in reader for picture in batch.pixels]
    Path(job.output).unlink()
    return frames


def check_same(found: list[np.ndarray[Any, Any]], wanted: list[np.ndarray[Any, Any]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other)


def test_at_the_driving_videos_own_rate_frames_are_the_same(spec: JobSpec) -> None:
    """29.97 by name: interpolated nowhere, so bit for bit what the driving video's times give."""
    kept, named = placed(spec, "a.apng"), placed(spec, "b.apng", fps="29.97")
    found = []
    for job in (kept, named):
        animate(job)
        with VideoReader(job.output) as reader:
            found.append([picture for batch in reader for picture in batch.pixels])
    check_same(*found)


def test_twice_the_rate_renders_between_and_repeats_nothing(spec: JobSpec) -> None:
    frames = lossless(spec, "60000/1001")
    assert len(frames) == 2 * FRAMES
    changes = [
        float(np.abs(late.astype(int) - early).mean()) for early, late in itertools.pairwise(frames)
    ]
    # Up to the last driving frame every frame is another one; it then holds for its second half.
    assert min(changes[:-1]) > 0


def test_the_default_is_what_it_always_was(spec: JobSpec) -> None:
    """Options that only say what is so anyway change no byte."""
    said = placed(
        spec, "b.mp4", codec="h264", crf=18, preset="veryfast", pixel_format="yuv420p", fps="keep",
        audio="driving",
    )  # fmt: skip
    animate(spec)
    animate(said)
    usual, other = (
        media_hash(path, look_for_marks(path)) for path in (spec.output.path, said.output.path)
    )
    assert usual == other


def test_folders_of_pictures_drive_and_are_driven(
    spec: JobSpec, pictures: list[np.ndarray[Any, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "driving"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    job = replace(spec, driving=str(folder), driving_fps="10")
    result = animate(job)
    assert video_times(Path(job.output)) == [Fraction(number, 10) for number in range(FRAMES)]
    with av.open(job.output) as container:
        assert not container.streams.audio
    assert result.warnings == ()
    # The same landmarks at another rate are not those that were kept.
    again = placed(spec, "b.mp4", driving=str(folder / "%03d.png"), driving_fps="20")
    animate(again)
    assert video_times(Path(again.output))[1] == Fraction(1, 20)
    both = placed(spec, "c.mp4", source=str(folder), driving=str(folder), fps="20", end="0.3")
    assert animate(both).frames == 6


@pytest.mark.parametrize("mode", ["side-by-side", "paste-back"])
def test_other_modes_at_another_rate(mode: Any, spec: JobSpec) -> None:
    """The driving picture beside the result is the latest that has begun."""
    result = animate(placed(spec, "out.webm", fps="60", output_mode=mode))
    assert result.frames == len(expected_times("60"))


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "unreadable_video"), (b"x" * 1000, "unreadable_video")]
)
def test_a_file_without_sound_is_told_before_anything(
    content: bytes, code: str, spec: JobSpec, tmp_path: Path
) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, audio=str(path)))
    assert caught.value.code == code
    silent = write_video(tmp_path / "silent.mp4", range(3), Fraction(1, 25))
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, audio=str(silent)))
    assert caught.value.code == "no_audio"
    assert os.listdir(Path(spec.output).parent) == []


# -- killed on the way -------------------------------------------------------------------------


def die(spec: JobSpec, attempt: int, *place: str) -> None:
    file = Path(spec.output).parents[1] / "spec.json"
    file.write_text(spec.to_json())
    command = [sys.executable, "-m", "tests.animator.animation.resumed_job"]
    done = subprocess.run(
        [*command, str(file), str(attempt), *place], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def finish(spec: JobSpec, attempt: int) -> Result:
    workspace = Workspace.take(spec.output, JOB, attempt)
    result = animate(spec, workspace=workspace)
    workspace.remove()
    return result


def content(job: JobSpec) -> dict[str, bytes]:
    """All files of a result."""
    place = Path(job.output)
    files = place.iterdir() if place.is_dir() else place.parent.iterdir()
    return {path.name: path.read_bytes() for path in files if path.is_file()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.mkv", {"codec": "av1"}), ("out.gif", {}), ("out-%03d.png", {"fps": "24"}),
        *(
            pytest.param(name, options, marks=OFTEN_KILLED)
            for name, options in [
                ("out.mp4", {"codec": "h265"}), ("out.webm", {}), ("out.mov", {"fps": "24"}),
                ("out.webp", {}), ("out.apng", {"fps": "60"}), ("out/", {}),
            ]
        ),
    ],
)  # fmt: skip
def test_a_killed_job_goes_on_to_the_same_bytes(
    name: str, options: dict[str, Any], spec: JobSpec, tmp_path: Path
) -> None:
    undisturbed = placed(replace(spec, output=str(tmp_path / "whole" / "x.mp4")), name, **options)
    (tmp_path / "whole").mkdir()
    animate(undisturbed)
    job = placed(spec, name, **options)
    die(job, 1, "generate", "6")  # in the second segment
    if check_format(job.output).kind == "video":
        die(job, 2, "animator.animation.render.join")
    else:
        making = "write_pictures" if name.endswith(("/", ".png")) else "write_animation"
        die(job, 2, f"animator.animation.render.{making}")
    result = finish(job, 3)
    assert result.resumed > 0
    assert content(job) == content(undisturbed)
    # Nothing else is left: no hidden folder of the attempts.
    assert [path.name for path in Path(spec.output).parent.iterdir() if path.name[0] == "."] == []


def test_pictures_that_were_written_are_not_written_again(spec: JobSpec) -> None:
    """Killed in the middle of the pictures; those that are whole are taken over as they are."""
    job = placed(spec, "out/")
    die(job, 1, "animator.media.pictures.write_whole")
    workspace = Workspace.take(job.output, JOB, 2)
    folder = workspace.path / "pictures"
    assert folder.is_dir() and not list(folder.iterdir())
    other = Image.new("RGB", (64, 64), (9, 90, 9))
    other.save(folder / "00000.png")
    animate(job, workspace=workspace)
    workspace.remove()
    made = content(job)
    assert len(made) == FRAMES
    assert Image.open(io.BytesIO(made["00000.png"])).tobytes() == other.tobytes()
    assert made["00001.png"].startswith(b"\x89PNG")


def test_another_choice_begins_anew(spec: JobSpec) -> None:
    """Segments of one coding are not joined with those of another."""
    job = placed(spec, "out.mkv", codec="h264")
    die(job, 1, "generate", "6")
    changed = replace(job, codec="h265")
    result = finish(changed, 2)
    assert result.resumed == 0
    with av.open(changed.output) as container:
        assert container.streams.video[0].codec_context.name == "hevc"


def test_other_sound_renders_nothing_again(spec: JobSpec) -> None:
    job = placed(spec, "out.mkv")
    die(job, 1, "animator.animation.render.join")
    assert finish(replace(job, audio="none"), 2).resumed == FRAMES
