"""The sheet that explains a frame: the frame is the job's own, and the sheet is there or is not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from animator.animation.explain import frame as explain_module
from animator.animation.explain import sheet as explain_sheet
from animator.animation.explain.frame import Explained, explain, look_inside
from animator.animation.explain.places import face_places as places
from animator.animation.explain.sheet import Insides
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError, JobCancelled
from animator.media.decode import read_image
from animator.media.encode import VideoWriter
from animator.media.sheet import TILE, WIDTH, Legend, Mark, Row, SheetTile, draw_sheet, readable
from animator.record import Progress
from animator.settings import DEFAULT_LIMITS, Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla import checkpoint, pictures
from tests.animator.media_files import write_video
from tests.animator.plans import planned
from tests.golden.faces import MEAN_FACE
from tests.helpers import COMPACT, NARROW, small_generator

pytestmark = pytest.mark.slow

Samples = tuple[Path, Path]
Picture = npt.NDArray[np.uint8]
REPOSITORY = Path(__file__).parents[3]
HEADLESS = replace(COMPACT, mouth_head=(), eye_head=())
MODELS = {
    "compact": HEADLESS,
    "published": NARROW,
    "three references": replace(HEADLESS, previous_frames=2),
    "region heads": replace(COMPACT, mouth_head=(8, 8), eye_head=(8, 8)),
}


def explained_by(spec: JobSpec, frame: int | None = None, **options: Any) -> Explained:
    """What `explain` says with the settings of the environment."""
    return explain(spec, frame, settings=Settings.from_environment(), **options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    for name, config in MODELS.items():
        info = {"name": name, "structure_size": 64}
        checkpoint.save(folder / f"{name}.safetensors", small_generator(config), info)
    return {name: str(folder / f"{name}.safetensors") for name in MODELS}


@pytest.fixture
def spec(samples: Samples, weights: dict[str, str], tmp_path: Path) -> JobSpec:
    (tmp_path / "out").mkdir()
    return JobSpec(
        source=str(samples[0]),
        driving=str(samples[1]),
        output=str(tmp_path / "out" / "sheet.png"),
        end="0.14",
        size=128,
        margin=1.75,
        detector="dlib",
        device="cpu",
        weights=weights["compact"],
    )


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Insides]:
    """What sheets were drawn of."""
    drawn: list[Insides] = []
    draw = explain_module.draw

    def spy(spec: JobSpec, plan: JobPlan, insides: Insides) -> Picture:
        drawn.append(insides)
        return draw(spec, plan, insides)

    monkeypatch.setattr(explain_module, "draw", spy)
    return drawn


@pytest.mark.parametrize("model", MODELS)
def test_the_frame_is_the_one_that_a_run_writes(
    model: str,
    spec: JobSpec,
    seen: list[Insides],
    weights: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(spec, weights=weights[model])
    frames: list[Picture] = []
    write = VideoWriter.write

    def spy(self: VideoWriter, frame: Picture, pts: int) -> None:
        frames.append(frame.copy())
        write(self, frame, pts)

    monkeypatch.setattr(VideoWriter, "write", spy)
    animate(replace(spec, output=spec.output + ".mp4"))
    explained = explained_by(spec, 2)
    assert (explained.frame, explained.frames) == (2, len(frames)) == (2, 5)
    assert explained.weights.startswith(f"{model}@")
    assert (seen[0].result == frames[2]).all()
    assert not (seen[0].result == frames[1]).all()
    assert set(seen[0].kernels) == set(seen[0].prediction.flows)
    assert (seen[0].prediction.blend is None) == (model == "published")
    sheet = read_image(spec.output)
    assert sheet.shape[1] == WIDTH


def test_regions_that_heads_drew_have_rows(
    spec: JobSpec, seen: list[Insides], weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[Row]] = []

    def spy(title: str, lines: list[str], rows: list[Row]) -> Picture:
        drawn.append(rows)
        return draw_sheet(title, lines, rows)

    monkeypatch.setattr(explain_sheet, "draw_sheet", spy)
    explained_by(spec, 1)
    explained_by(replace(spec, weights=weights["region heads"]), 1)
    plain, rows = drawn
    assert plain[-1].title == "The blend" and "of the result" in plain[-1].tiles[-1].caption
    assert [row.title for row in rows[-4:]] == [
        "The blend", "The mouth", "The left eye", "The right eye",
    ]  # fmt: skip
    finished = seen[1].prediction.regions
    assert finished is not None
    for row, name in zip(rows[-3:], ("mouth", "right eye", "left eye"), strict=True):
        mirror = -1 if name == "left eye" else 1  # seen in the picture, it is the right one
        before, share, after = (tile.picture[:, ::mirror] for tile in row.tiles)
        assert (before == pictures.to_picture(finished.before[name][0])).all()
        assert (share == pictures.heat_picture(finished.shares[name][0])).all()
        assert (after == pictures.to_picture(finished.after[name][0])).all()


def test_the_frame_by_default_is_furthest_from_the_source(
    spec: JobSpec, seen: list[Insides]
) -> None:
    plan = planned(spec)
    source = plan.source.crop_units(plan.source.points)
    moved = [np.square(target - source).sum() for target in plan.targets]
    assert explained_by(spec).frame == int(np.argmax(moved)) == seen[0].number


def test_the_references_are_the_frame_before_and_the_source(spec: JobSpec) -> None:
    watch = Watch(lambda progress: None, lambda: False)
    plan = planned(spec)
    with watch.stage("generate"):
        insides = [look_inside(spec, plan, number, DEFAULT_LIMITS, watch) for number in (0, 1)]
    first, second = (each.references for each in insides)
    assert list(first) == ["previous", "reference"]
    assert torch.equal(first["previous"], first["reference"])
    assert torch.equal(second["previous"], insides[0].prediction.image[0])
    assert torch.equal(second["reference"], first["reference"])
    driving = read_image(spec.driving)
    assert (insides[0].driving == driving).all() and not (insides[1].driving == driving).all()


WRONG_FRAMES = {-1: "counted from 0", 5: "has 5 frames, 0 to 4", 10**9: "has 5 frames"}


@pytest.mark.parametrize("frame", WRONG_FRAMES)
def test_a_frame_that_is_not_there(frame: int, spec: JobSpec) -> None:
    with pytest.raises(AnimatorError) as caught:
        explained_by(spec, frame)
    assert caught.value.code == "invalid_option"
    assert WRONG_FRAMES[frame] in caught.value.message
    assert os.listdir(Path(spec.output).parent) == []


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("sheet.gif", "invalid_option"),
        ("sheet", "invalid_option"),
        ("none/sheet.png", "output_not_writable"),
        ("folder.png", "output_exists_as_folder"),
    ],
)
def test_outputs_that_cannot_be_are_told_before_the_work(
    output: str, code: str, spec: JobSpec
) -> None:
    folder = Path(spec.output).parent
    (folder / "folder.png").mkdir()
    seen: list[Progress] = []
    with pytest.raises(AnimatorError) as caught:
        explained_by(replace(spec, output=str(folder / output)), report=seen.append)
    assert caught.value.code == code
    assert not seen
    assert os.listdir(folder) == ["folder.png"]


@pytest.mark.parametrize("stage", ["load", "landmarks", "generate", "draw"])
def test_it_stops_in_every_stage_and_leaves_nothing(stage: str, spec: JobSpec) -> None:
    seen: list[Progress] = []
    with pytest.raises(JobCancelled):
        explained_by(
            spec, report=seen.append, should_stop=lambda: bool(seen) and seen[-1].stage == stage
        )
    assert os.listdir(Path(spec.output).parent) == []


def test_progress_counts_the_frames_up_to_this_one(spec: JobSpec) -> None:
    seen: list[Progress] = []
    explained_by(spec, 3, report=seen.append)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["load", "landmarks", "generate", "draw"]
    last = [p for p in seen if p.stage == "generate"][-1]
    assert (last.frame, last.frames) == (4, 4)


def test_a_failure_to_write_leaves_what_was_there(
    spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(spec.output).write_text("precious")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AnimatorError) as caught:
        explained_by(spec, 0)
    assert caught.value.code == "disk_full"
    assert os.listdir(Path(spec.output).parent) == ["sheet.png"]
    assert Path(spec.output).read_text() == "precious"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_the_sheet_says_that_it_is_generated(suffix: str, spec: JobSpec) -> None:
    spec = replace(spec, output=str(Path(spec.output).with_suffix(suffix)))
    explained = explained_by(spec, 0)
    with Image.open(spec.output) as image:
        assert image.format == ("PNG" if suffix == ".png" else "JPEG")
        comment = image.info.get("Comment") or image.info["comment"].decode()
    assert "AI-generated" in comment and explained.weights in comment


@pytest.fixture
def interrupted(samples: Samples, tmp_path: Path) -> Path:
    """Frames 2 and 3 of 5 show no face."""
    face = np.asarray(cv2.resize(read_image(samples[1]), (256, 256)), np.uint8)
    blank = np.full_like(face, 90)
    return write_video(
        tmp_path / "gap.mp4", [512 * t for t in range(5)], Fraction(1, 12800),
        pictures=[face, face, blank, blank, face], size=(256, 256),
    )  # fmt: skip


def test_a_frame_without_a_face(spec: JobSpec, interrupted: Path, seen: list[Insides]) -> None:
    spec = replace(spec, driving=str(interrupted), end=None)
    assert explained_by(spec, 2).frames == 5  # as in a run, the last pose is held
    assert (seen[0].driving.astype(int) < 130).all()
    with pytest.raises(AnimatorError) as caught:
        explained_by(replace(spec, missing_face="fail"), 2)
    assert caught.value.code == "face_lost"
    assert explained_by(replace(spec, missing_face="skip"), 2).frames == 3
    assert (seen[-1].driving == seen[-1].driving[0, 0]).all(-1).mean() < 0.9  # shows a face


def test_a_driving_video_without_any_face(spec: JobSpec, interrupted: Path) -> None:
    with pytest.raises(AnimatorError) as caught:
        explained_by(replace(spec, driving=str(interrupted), start="0.08", end="0.15"), 0)
    assert caught.value.code == "no_face"
    assert os.listdir(Path(spec.output).parent) == []


def test_places_of_a_face() -> None:
    marked = {name: (x, y) for name, _, x, y in places(np.array(MEAN_FACE))}
    assert len(marked) == 6
    assert len({colour for _, colour, _, _ in places(np.array(MEAN_FACE))}) == 6
    assert marked["left eye"][0] < marked["nose"][0] < marked["right eye"][0]
    below = ("hair", "left eye", "nose", "corner of the mouth")
    heights = [marked[name][1] for name in below]
    assert heights == sorted(heights)
    assert marked["jaw"][1] > marked["nose"][1]
    far = places(np.array(MEAN_FACE) + 9)
    assert all(0 < x < 1 and 0 < y < 1 for _, _, x, y in far)


def tile(colour: int = 0, **values: object) -> SheetTile:
    picture = np.full((10, 20, 3), colour, np.uint8)
    return SheetTile(picture, "Title", "A caption of some words.", **values)  # type: ignore[arg-type]


def test_a_sheet_puts_pictures_on_one_grid() -> None:
    rows = [Row("One", "Text", [tile(), tile(), tile()]), Row("Two", "Text", [tile()] * 6)]
    sheet = draw_sheet("Head", ["A line"], rows)
    assert sheet.dtype == np.uint8 and sheet.shape[1:] == (WIDTH, 3)
    assert (sheet[:, :20] == 255).all() and (sheet[:, -20:] == 255).all()
    assert (sheet[:20] == 255).all() and (sheet[-16:] == 255).all()
    black = (sheet == 0).all(-1)
    wide = [row for row in black if row.sum() >= TILE]  # rows of pixels through tiles
    starts = {tuple(np.flatnonzero(np.diff(row.astype(int)) == 1)) for row in wide}
    columns = {start for row in starts for start in row}
    assert len(columns) == 4
    assert len(wide) == 3 * TILE // 2  # the second row has two lines; a picture keeps its shape


def test_marks_lie_where_they_are_put() -> None:
    marked = tile(200, marks=(Mark(0.75, 0.5, (250, 0, 0)),))
    sheet = draw_sheet("", [], [Row("", "", [marked])])
    red = np.argwhere((sheet == (250, 0, 0)).all(-1))
    plain = np.argwhere((sheet == 200).all(-1))
    left, right = plain[:, 1].min(), plain[:, 1].max()
    assert red.mean(0)[1] == pytest.approx(left + 0.75 * (right - left), abs=1)


def test_legends_and_keys_are_beside_the_tiles() -> None:
    green = np.zeros((16, 60, 3), np.uint8)
    green[..., 1] = 255
    row = Row("Row", "", [tile()], [Legend(green, "", ("0", "1"))], [((255, 0, 255), "key")])
    sheet = draw_sheet("", [], [row])
    assert (sheet == (0, 255, 0)).all(-1).sum() == green.shape[0] * green.shape[1]
    assert (sheet == (255, 0, 255)).all(-1).sum() > 50


def test_any_words_can_be_written() -> None:
    assert readable("a · 12 x 3") == "a · 12 x 3"
    assert readable("café") == "caf\\xe9"  # which the font would draw as an empty box
    assert readable("名\n\udcff") == "\\u540d\\n\\udcff"
    words = ["", " ", "long" * 200, "a  b", "名前" * 50]
    draw_sheet(words[2], words, [Row(text, text, [tile()]) for text in words])


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "animator", "explain", *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
    )


def test_the_command(spec: JobSpec, state_dir: Path) -> None:
    job = [
    spec.source, spec.driving, "--end", "0.1", "--size=128", "--margin=1.75", "--weights",
    spec.weights,
]  # fmt: skip
    done = run_command(*job, "-o", spec.output, "--frame", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{spec.output}\n"
    assert "generate: frame 0 of 2" in done.stderr
    assert "frame 1 of 3, counted from 0, by compact@" in done.stderr
    before = Path(spec.output).read_bytes()
    for arguments, code in (
        (["--frame", "1"], "output_exists"),
        (["--frame", "3", "--force"], "invalid_option"),
        (["-o", "clip.mp4"], "invalid_option"),
    ):
        done = run_command(*job, "-o", spec.output, *arguments)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith(f"error [{code}]: ")
    assert Path(spec.output).read_bytes() == before
