"""Persons animated by jobs: with a model that refers to its frames, and frame by frame."""

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
from animator.animation.inputs import open_inputs
from animator.animation.kinds import plan_job
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.persons.figure import PersonPlan
from animator.animation.persons.following import Bodies
from animator.animation.persons.generator import PersonGenerator
from animator.animation.persons.plan import PersonOptions, plan_person
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.animation.rollout.engine import Engine
from animator.checks.job import check_job
from animator.errors import AnimatorError
from animator.files.local import content_hash
from animator.jobs.content_key import content_key
from animator.jobs.preflight import check_files
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.persons.bodies import Body
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.importing import import_weights
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from gfla.data.pose_tables import Annotation, write_annotations
from gfla.guidance.pose import pose_heatmaps
from gfla.guidance.skeleton import skeleton_structures
from gfla.joints import MISSING, found
from tests.animator.animation.resumed_job import JOB
from tests.animator.media_files import numbered, write_video
from tests.animator.weights_files import KINDS, write_published
from tests.gfla.person_files import standing, write_picture
from tests.helpers import small_generator

SIZE = (100, 80)
FRAMES = 7


@pytest.fixture
def settings() -> Settings:
    return Settings.from_environment()


def write_pose(path: Path, joints: np.ndarray | None) -> Path:
    """OpenPose's JSON of one person, or of nobody."""
    people = []
    if joints is not None:
        there = found(joints)[:, None]
        values = np.concatenate([np.where(there, joints, 0), there], 1)
        people = [{"pose_keypoints_2d": values.ravel().tolist()}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"people": people}))
    return path


def dancing(frame: int, size: tuple[int, int] = (200, 200)) -> np.ndarray:
    """Somebody who raises an arm, in a larger picture than the source's."""
    joints = standing(size, 2)
    joints[[3, 4], 1] -= 6 * frame
    return joints


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    """A job with joints from files, so that no detector is needed."""
    source = write_picture(tmp_path / "person.png", SIZE, 1)
    own = write_pose(tmp_path / "person.json", standing(SIZE, 1))
    for frame in range(FRAMES):
        write_pose(tmp_path / "dance" / f"f{frame}_keypoints.json", dancing(frame))
    weights = tmp_path / "dance.safetensors"
    checkpoint.save(
        weights, small_generator(KINDS["dance"][0]), {"name": "little", "structure_size": 64}
    )
    return JobSpec(
        str(source), str(tmp_path / "dance"), str(tmp_path / "out.mp4"), weights=str(weights),
        source_pose=str(own), device="cpu",
    )  # fmt: skip


def of_pose_transfer(spec: JobSpec, size: tuple[int, int] = (64, 32)) -> JobSpec:
    path = Path(spec.weights).with_name("fashion.safetensors")
    info = {"name": "fashion", "image_size": list(size), "picture_size": [96, 66]}
    checkpoint.save(path, small_generator(KINDS["fashion"][0]), info)
    return replace(spec, weights=str(path))


def planned(spec: JobSpec, settings: Settings) -> JobPlan:
    watch = Watch(lambda progress: None, lambda: False)
    return plan_job(spec, open_inputs(spec, settings), settings, watch)


def person_of(plan: JobPlan) -> PersonPlan:
    assert isinstance(plan.face, PersonPlan)
    return plan.face


def decoded(path: str) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return [picture for batch in reader for picture in batch.pixels]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The frames that jobs of this process give to the encoder."""
    frames: list[np.ndarray] = []
    write = VideoWriter.write

    def spy(self: VideoWriter, frame: np.ndarray, pts: int) -> None:
        frames.append(frame.copy())
        write(self, frame, pts)

    monkeypatch.setattr(VideoWriter, "write", spy)
    return frames


def pixels_of(image: torch.Tensor) -> np.ndarray:
    return ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def seen_of(plan: JobPlan, size: tuple[int, int]) -> torch.Tensor:
    """What the networks see of the source, cut and resized by other means than the job's."""
    left, top, width, height = person_of(plan).source.square.box
    whole = np.pad(plan.source.picture, ((200, 200), (200, 200), (0, 0)), mode="edge")
    part = whole[top + 200 : top + 200 + height, left + 200 : left + 200 + width]
    small = Image.fromarray(part).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small))[None].permute(0, 3, 1, 2).float() / 127.5 - 1


# What comes out is the networks' own


def test_a_dance_is_what_its_network_renders(
    spec: JobSpec, settings: Settings, written: list[np.ndarray]
) -> None:
    result = animate(spec, settings=settings)
    plan = planned(spec, settings)
    network = checkpoint.load(Path(spec.weights)).generator.to(memory_format=torch.channels_last)
    own, targets = person_of(plan).points, person_of(plan).targets

    def drawn(joints: np.ndarray, role: str) -> torch.Tensor:
        drawn = skeleton_structures(joints[None], (64, 64), style="published", role=role)
        return drawn.contiguous(memory_format=torch.channels_last)  # which rounds alike

    expected = []
    with torch.inference_mode():
        state = network.start(seen_of(plan, (64, 64)), drawn(own, "source"))
        for joints in targets:
            state, prediction = network.step(state, drawn(joints, "frame"))
            expected.append(pixels_of(prediction.image[0]))
    assert result.frames == len(written) == FRAMES and result.weights.startswith("little@")
    assert all(np.array_equal(*pair) for pair in zip(written, expected, strict=True))
    assert np.abs(written[-1].astype(int) - written[0]).mean() > 1


def test_pose_transfer_renders_frame_by_frame_in_the_models_aspect(
    spec: JobSpec, settings: Settings, written: list[np.ndarray]
) -> None:
    spec = of_pose_transfer(spec)
    animate(spec, settings=settings)
    plan = planned(spec, settings)
    network = checkpoint.load(Path(spec.weights)).generator.to(memory_format=torch.channels_last)
    joints = np.concatenate([person_of(plan).points[None], person_of(plan).targets])
    maps = pose_heatmaps(torch.from_numpy(joints).float(), (64, 32))
    maps = maps.contiguous(memory_format=torch.channels_last)  # which rounds alike
    assert len(written) == FRAMES
    for number, frame in enumerate(written):
        with torch.inference_mode():
            image = network(seen_of(plan, (64, 32)), maps[:1], maps[number + 1 : number + 2]).image
        # 64 high and 66/96 as wide.
        expected = Image.fromarray(pixels_of(image[0])).resize((44, 64), Image.Resampling.BICUBIC)
        assert np.array_equal(frame, np.array(expected))


def test_where_and_how_large_the_driver_stood_makes_no_difference(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    for frame in range(FRAMES):
        joints = dancing(frame) * 2.5 + [300, 40]
        write_pose(tmp_path / "other" / f"f{frame}_keypoints.json", joints)
    one = person_of(planned(spec, settings))
    other = person_of(planned(replace(spec, driving=str(tmp_path / "other")), settings))
    assert np.abs(one.targets - other.targets).max() < 0.5
    assert one.source.square == other.source.square
    away = np.linalg.norm(one.targets - one.targets[0], axis=-1)
    assert away[-1, 4] > 5 and away[-1, 13] < 3  # the hand moves, the other foot stays


def test_what_is_shown(spec: JobSpec, settings: Settings, written: list[np.ndarray]) -> None:
    animate(replace(spec, output_mode="paste-back"), settings=settings)
    picture = np.array(Image.open(spec.source))
    assert written[0].shape == (100, 80, 3)
    assert not np.array_equal(written[0], picture)
    written.clear()
    animate(replace(spec, output_mode="side-by-side", size=128), settings=settings)
    height, width = written[0].shape[:2]
    assert height == 128 and width > 200
    left, right = written[-1][:, : width - 128], written[-1][:, width - 128 :]
    assert left.max() > 200 and np.median(left) == 0  # a skeleton on black
    assert np.abs(right.astype(int) - written[0][:, width - 128 :]).mean() > 1


def test_the_part_of_a_paste_back_is_a_rectangle(
    spec: JobSpec, settings: Settings, tmp_path: Path, written: list[np.ndarray]
) -> None:
    write_picture(tmp_path / "wide.png", (200, 400), 1)
    joints = standing((120, 60), 1) + [200, 40]
    wide = replace(
        of_pose_transfer(spec), source=str(tmp_path / "wide.png"), output_mode="paste-back",
        source_pose=str(write_pose(tmp_path / "wide.json", joints)),
    )  # fmt: skip
    animate(wide, settings=settings)
    left, top, width, height = person_of(planned(wide, settings)).source.square.box
    assert width / height == pytest.approx(66 / 96, abs=0.01)
    picture = np.array(Image.open(wide.source))
    changed = (written[0] != picture).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert changed.mean() > 0.1
    assert columns[0] >= max(left, 0) and columns[-1] < left + width
    assert rows[0] >= max(top, 0) and rows[-1] < top + height


# Driving files of all kinds


def test_times_of_joints_are_those_that_are_asked_for(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    plan = planned(replace(spec, driving_fps="10"), settings)
    assert [at * plan.time.time_base for at in plan.pts] == [Fraction(i, 10) for i in range(7)]
    part = planned(replace(spec, driving_fps="10", start="0.15", end="0.45"), settings)
    assert len(part.pts) == 3
    assert person_of(part).names == ("f2", "f3", "f4")
    slow = planned(replace(spec, driving_fps="10", fps="20"), settings)
    assert len(slow.pts) == 14 and (slow.kept[:4] == [0, 0, 1, 1]).all()
    middle = (slow.targets[0] + slow.targets[2]) / 2
    assert np.abs(slow.targets[1] - middle).max() < 1e-3
    write_annotations(
        tmp_path / "k.csv", [Annotation("a.png", dancing(0)), Annotation("b.png", dancing(5))]
    )
    row = planned(replace(spec, driving=f"{tmp_path}/k.csv#b.png"), settings)
    assert len(row.pts) == 1 and len(planned(replace(spec, driving=f"{tmp_path}/k.csv"),
                                            settings).pts) == 2  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "frames"), [("hold", 7), ("interpolate", 7), ("skip", 5), ("fail", None)]
)
def test_frames_that_show_nobody(
    policy: str, frames: int | None, spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    for frame in (3, 4):
        write_pose(tmp_path / "dance" / f"f{frame}_keypoints.json", None)
    job = replace(spec, missing_face=policy, smoothing=0)  # type: ignore[arg-type]
    if frames is None:
        with pytest.raises(AnimatorError) as caught:
            planned(job, settings)
        assert caught.value.code == "face_lost"
        return
    plan = planned(job, settings)
    assert len(plan.pts) == frames and person_of(plan).missing == ((3, 4),)
    height = person_of(plan).targets[:, 4, 1]  # the hand, which rises
    if policy == "hold":
        assert height[3] == height[4] == height[2]
    if policy == "interpolate":
        assert height[2] > height[3] > height[4] > height[5]
    result = animate(job, settings=settings)
    assert result.missing == ((3, 4),) and "show nobody" in " ".join(result.warnings)


class Finder:
    """Finds two persons in every picture; counts how often it was asked."""

    asked = 0

    def find(self, picture: np.ndarray) -> list[Body]:
        self.asked += 1
        height, width = picture.shape[:2]
        half = standing((height, width // 2), 1)
        left = Body(half, (0, 0, width / 2, height), 0.9)
        right = Body(half + [width / 2, 0], (width / 2, 0, width, height * 0.9), 0.9)
        return [left, right]


def test_videos_are_looked_at_once_and_the_person_can_be_chosen(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    pictures = [numbered(number) for number in range(5)]
    video = write_video(tmp_path / "v.mp4", [0, 3, 4, 8, 9], Fraction(1, 30), pictures=pictures)
    job = replace(spec, driving=str(video), source_pose="auto", source_face=2)
    finder, watch = Finder(), Watch(lambda progress: None, lambda: False)

    def plan(job: JobSpec) -> JobPlan:
        bodies = Bodies(lambda: finder, lambda: LandmarkCache(job, settings, "finder: 1"))
        inputs = open_inputs(job, settings)
        return plan_person(job, inputs, settings, watch, PersonOptions(bodies))

    first = plan(job)
    assert finder.asked == 6 and first.cached == () and first.source.faces == 2
    times = [at * first.time.time_base for at in first.pts]
    assert times == [Fraction(at, 30) for at in (0, 3, 4, 8, 9)]
    again = plan(job)
    assert finder.asked == 6 and set(again.cached) == {"source", "driving"}
    assert np.array_equal(first.targets, again.targets)
    assert again.source.points[0, 0] > SIZE[1] / 2  # the right one of the source
    left = plan(replace(job, source_face=1))
    assert finder.asked == 7 and left.source.points[0, 0] < SIZE[1] / 2
    with pytest.raises(AnimatorError, match="no number 3") as caught:
        plan(replace(job, source_face=3))
    assert caught.value.code == "no_body"
    still = plan(replace(job, driving=spec.source))
    assert len(still.pts) == 1 and finder.asked > 7
    frames = [Image.fromarray(picture) for picture in pictures[:3]]
    frames[0].save(tmp_path / "v.gif", save_all=True, append_images=frames[1:], duration=100)
    assert len(plan(replace(job, driving=str(tmp_path / "v.gif"))).pts) == 3


# Attempts


@pytest.mark.slow
def test_a_killed_job_goes_on_and_gives_the_same_frames(
    spec: JobSpec, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame by frame; `tests/worker/test_persons.py` kills a worker that refers to its frames."""
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "2")
    (tmp_path / "results").mkdir()
    job = replace(of_pose_transfer(spec), output=str(tmp_path / "results" / "out.mp4"))
    animate(job)
    expected = decoded(job.output)
    os.remove(job.output)
    (tmp_path / "spec.json").write_text(job.to_json())
    command = [sys.executable, "-m", "tests.animator.animation.resumed_job"]
    command += [str(tmp_path / "spec.json"), "1", "generate", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr
    workspace = Workspace.take(job.output, JOB, 2)
    result = animate(job, workspace=workspace)
    workspace.remove()
    assert result.resumed >= 2
    assert np.array_equal(decoded(job.output), expected)
    assert os.listdir(tmp_path / "results") == ["out.mp4"]


# What is told beforehand


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"blink": "auto"}, "--blink"),
        ({"strength": 0.5}, "--strength"),
        ({"head": 0.5}, "--head"),
        ({"expression": 0.5}, "--expression"),
        ({"regions": "mouth"}, "--regions"),
        ({"margin": 2.0}, "--margin"),
        ({"source_motion": "replace"}, "--source-motion"),
        ({"audio": "source"}, "--audio source"),
        ({"face": "all"}, "--face"),
        ({"detector": "dlib"}, "keypoint-rcnn"),
        ({"driving": "https://example.org/dance.json"}, "files of this machine"),
        ({"source_pose": "https://example.org/pose"}, "files of this machine"),
    ],
)
def test_options_of_faces_are_refused(
    options: dict[str, object], says: str, spec: JobSpec, tmp_path: Path
) -> None:
    settings = replace(Settings.from_environment(), allowed_urls=("https://example.org/",))
    with pytest.raises(AnimatorError) as caught:
        check_files(replace(spec, **options), settings)  # type: ignore[arg-type]
    assert caught.value.code == "invalid_option" and says in caught.value.message


def test_options_of_persons_are_refused_for_faces(spec: JobSpec, settings: Settings) -> None:
    face = replace(spec, weights="default", source_pose="auto", driving=spec.source)
    check_files(face, settings)
    for options, code in (
        ({"window": "whole"}, "invalid_option"),
        ({"source_pose": spec.source_pose}, "invalid_option"),
        ({"detector": "keypoint-rcnn"}, "invalid_option"),
        ({"driving": spec.driving}, "no_frames"),
    ):
        with pytest.raises(AnimatorError) as caught:
            check_files(replace(face, **options), settings)
        assert caught.value.code == code, options


def test_an_output_that_is_there_is_compared_with_files_of_rows_and_patterns(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    table = tmp_path / "poses.csv"
    write_annotations(table, [Annotation("a.jpg", standing(SIZE, 1))])
    Path(spec.output).write_bytes(b"an older result")
    for places in ({"driving": f"{table}#a.jpg"}, {"source_pose": f"{table}#a.jpg"}):
        job = replace(spec, **places)
        with pytest.raises(AnimatorError, match="exists; --force") as caught:
            check_files(job, settings)
        assert caught.value.code == "output_exists"
        check_files(job, settings, overwrite=True)


def test_a_detector_of_the_settings_is_for_its_own_kind(spec: JobSpec, settings: Settings) -> None:
    faces = replace(settings, detector="dlib")
    assert animate(faces.apply_to(spec), settings=faces).frames == FRAMES


@pytest.mark.slow
def test_a_check_looks_at_persons_without_a_detector(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    report = check_job(spec, settings)
    assert report.ok and report.source is not None and report.driving is not None
    assert (report.source.faces, report.source.face) == (1, None)
    assert (report.driving.format, report.driving.frames) == ("joints", FRAMES)
    (tmp_path / "bad.json").write_text("[")
    write_pose(tmp_path / "far.json", standing(SIZE) + 5000)
    for options, code in (
        ({"driving": str(tmp_path / "bad.json")}, "invalid_pose"),
        ({"source_pose": str(tmp_path / "far.json")}, "invalid_pose"),
        ({"blink": "auto"}, "invalid_option"),
    ):
        report = check_job(replace(spec, **options), settings)
        assert [one.code for one in report.findings if one.level == "error"] == [code]


def test_keys_know_all_files_of_joints(spec: JobSpec, settings: Settings, tmp_path: Path) -> None:
    key, own = content_key(spec, settings), content_hash(spec.driving)
    write_pose(tmp_path / "dance" / "f3_keypoints.json", dancing(9))
    assert content_key(spec, settings) != key and content_hash(spec.driving) != own
    key = content_key(spec, settings)
    write_pose(tmp_path / "person.json", standing(SIZE, 5))
    assert content_key(spec, settings) != key
    face = replace(spec, source_pose="auto", weights="default", driving=spec.source)
    assert "source_pose" not in face.chosen() and "window" not in face.chosen()
    write_annotations(
        tmp_path / "k.csv", [Annotation("a.png", dancing(0)), Annotation("b.png", dancing(5))]
    )
    rows = {content_hash(f"{tmp_path}/k.csv{row}") for row in ("", "#a.png", "#b.png")}
    assert len(rows) == 3


@pytest.mark.slow
def test_sheets_of_persons(spec: JobSpec, settings: Settings, tmp_path: Path) -> None:
    for job, rows in ((spec, 4), (of_pose_transfer(spec), 2)):
        job = replace(job, output=str(tmp_path / f"sheet{rows}.png"))
        explained = explain(job, settings=settings)
        assert (explained.frame, explained.frames) == (FRAMES - 1, FRAMES)
    tall, short = (Image.open(tmp_path / f"sheet{rows}.png").height for rows in (4, 2))
    assert tall > short > 500


@pytest.mark.slow
def test_published_checkpoints_run_by_their_name(
    spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    for kind, size in (("dance", (256, 256)), ("fashion", (176, 256)), ("market", (64, 128))):
        import_weights(write_published(tmp_path, kind, kind), settings=settings)
        result = animate(replace(spec, weights=kind, end="0.1"), settings=settings)
        with VideoReader(spec.output) as reader:
            assert (reader.info.width, reader.info.height) == size
        assert result.frames == 3 and result.hashes["pose"]


def test_missing_joints_stay_missing(spec: JobSpec, settings: Settings, tmp_path: Path) -> None:
    for frame in range(FRAMES):
        joints = dancing(frame)
        joints[10] = joints[13] = MISSING
        write_pose(tmp_path / "dance" / f"f{frame}_keypoints.json", joints)
    targets = person_of(planned(spec, settings)).targets
    assert not found(targets)[:, [10, 13]].any() and found(targets)[:, [0, 4, 9]].all()
    assert animate(spec, settings=settings).frames == FRAMES


@pytest.mark.parametrize("kind", ["dance", "fashion"])
def test_clips_of_persons_step_together(kind: str, spec: JobSpec) -> None:
    path = Path(spec.weights if kind == "dance" else of_pose_transfer(spec).weights)
    generator = PersonGenerator(path, torch.device("cpu"), "float32")
    height, width = generator.size
    sources = np.random.default_rng(0).integers(0, 256, (3, height, width, 3)).astype(np.uint8)
    poses = [standing((height, width), seed) for seed in range(6)]
    engine = Engine(generator, 3, batched=True)
    clips = [engine.open(generator.begin(source, poses[0])) for source in sources]
    for number in range(3):
        alone = generator.begin(sources[number], poses[0])
        together = list(clips[number].render(poses[1:]))
        for joints, (frame, _) in zip(poses[1:], together, strict=True):
            alone, expected = generator.step(alone, joints)
            assert frame.shape == (height, width, 3)
            assert np.abs(frame.astype(int) - expected).max() <= 1
    for clip in clips:
        clip.close()
