from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from animator.animation.persons.generator import MARKET, PersonGenerator
from animator.animation.persons.plan import choose_window
from animator.animation.persons.posing import PoseRequest, PoseResult, transfer_pose
from animator.animation.rollout.loading import load_animating
from animator.cli import app
from animator.errors import AnimatorError, JobCancelled
from animator.media.decode import VideoReader
from animator.persons.bodies import Body
from animator.persons.targets import table_canvas
from animator.persons.windows import Window
from animator.settings import Settings
from animator.weights.importing import import_weights
from gfla import checkpoint
from gfla.data.pose_tables import Annotation, write_annotations
from gfla.guidance.pose import pose_heatmaps
from tests.animator.media_files import noise, numbered, write_video
from tests.animator.weights_files import KINDS, write_published
from tests.gfla.person_files import standing, write_picture
from tests.helpers import small_generator

SIZE = (96, 66)
"""Of the test's pictures: nearly the aspect of DeepFashion's."""


class Finder:
    """Finds a person in pictures that are not dark; counts how often it was asked."""

    asked = 0

    def find(self, picture: np.ndarray) -> list[Body]:
        self.asked += 1
        if picture.max() < 40:
            return []
        height, width = picture.shape[:2]
        return [Body(standing((height, width)), (0, 0, width, height), 0.9)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A small model for 64 x 32 pictures that were 96 x 66."""
    path = tmp_path / "person.safetensors"
    info = {"name": "little", "image_size": [64, 32], "picture_size": list(SIZE)}
    checkpoint.save(path, small_generator(KINDS["fashion"][0]), info)
    return str(path)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(write_picture(tmp_path / "source.png", SIZE, seed=1))


def code_of(*arguments: object, **options: object) -> str:
    with pytest.raises(AnimatorError) as caught:
        transfer_pose(*arguments, **options)  # type: ignore[arg-type]
    return caught.value.code


def openpose(path: Path, joints: np.ndarray) -> str:
    values = np.column_stack([joints, np.ones(len(joints))]).ravel().tolist()
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": values}]}))
    return str(path)


def picture_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


# One pose


def test_a_photo_gives_its_pose(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    target = str(write_picture(tmp_path / "target.jpg", (120, 200), seed=2))
    request = PoseRequest(source, target, str(tmp_path / "out.png"), model)
    finder = Finder()
    result = transfer_pose(request, settings, detector=finder)
    assert (result.frames, result.held, finder.asked) == (1, 0, 2)
    assert result.weights.startswith("little@")
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (44, 64) and "AI-generated" in image.info["Comment"]


def test_json_and_tables_need_no_detector_and_mean_the_same(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    joints = standing(SIZE, seed=3).round(1)
    rows = [Annotation("other.png", standing(SIZE, 4)), Annotation("a/b.png", joints)]
    write_annotations(tmp_path / "poses.csv", rows)
    write_annotations(tmp_path / "own.csv", [Annotation("source.png", standing(SIZE, 1))])
    results = []
    for target in (openpose(tmp_path / "t.json", joints), f"{tmp_path}/poses.csv#b.png"):
        request = PoseRequest(
            source, target, f"{tmp_path}/{len(results)}.png", model, f"{tmp_path}/own.csv"
        )
        transfer_pose(request, settings)
        results.append(picture_of(tmp_path / f"{len(results)}.png"))
    assert np.array_equal(*results)


def test_the_result_is_the_networks_own(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    pose, own = standing(SIZE, 3), standing(SIZE, 1)
    target, source_pose = openpose(tmp_path / "t.json", pose), openpose(tmp_path / "s.json", own)
    request = PoseRequest(source, target, f"{tmp_path}/out.png", model, source_pose, size=96)
    transfer_pose(request, settings)
    # The networks alone, with the same layout in memory, which rounds alike.
    network = checkpoint.load(model).generator.to(memory_format=torch.channels_last)
    seen = np.array(Image.open(source).resize((32, 64), Image.Resampling.BICUBIC))
    image = torch.from_numpy(seen)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    joints = np.stack([own, pose]) * np.array([32 / 66, 64 / 96])
    maps = pose_heatmaps(torch.from_numpy(joints).float(), (64, 32))
    maps = maps.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        image = network(image, maps[:1], maps[1:]).image[0]
    pixels = ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    expected = Image.fromarray(pixels).resize((66, 96), Image.Resampling.BICUBIC)
    assert np.array_equal(picture_of(tmp_path / "out.png"), np.array(expected))


def test_which_part_of_a_picture_is_seen() -> None:
    joints = standing((100, 200))
    around = Window.around(joints, 0.6875)
    assert choose_window("auto", joints, (256, 180), 0.6875) == Window.whole((256, 180))
    assert choose_window("auto", joints, (100, 200), 0.6875) == around
    assert choose_window("auto", joints, None, 0.6875) == around
    assert choose_window("person", joints, (256, 180), 0.6875) == around
    assert choose_window("whole", joints, (100, 200), 0.6875) == Window.whole((100, 200))


def test_published_models_and_their_sizes(settings: Settings, tmp_path: Path) -> None:
    for name, seen, pictures in (
        ("fashion", (256, 256), (256, 176)),
        ("market", MARKET, MARKET),
    ):
        import_weights(write_published(tmp_path, name, name), settings=settings)
        generator = load_animating(name, "cpu", "float32", settings).generator
        assert isinstance(generator, PersonGenerator)
        assert (generator.size, generator.picture_size) == (seen, pictures)
    source = str(write_picture(tmp_path / "m.png", MARKET))
    target = openpose(tmp_path / "t.json", standing(MARKET, 2))
    own = openpose(tmp_path / "m.json", standing(MARKET))
    request = PoseRequest(source, target, str(tmp_path / "out.jpg"), "market", own, size=256)
    transfer_pose(request, settings)
    assert Image.open(tmp_path / "out.jpg").size == (128, 256)


def published_table(path: Path, **poses: np.ndarray) -> str:
    """A table as the paper's authors publish it: whole numbers of 176 x 256, y before x."""
    rows = ["name:keypoints_y:keypoints_x"]
    for name, joints in poses.items():
        y, x = (json.dumps([int(v) for v in joints[:, axis]]) for axis in (1, 0))
        rows.append(f"{name}.jpg:{y}:{x}")
    path.write_text("\n".join(rows))
    return str(path)


def test_published_tables_are_of_176_by_256_whatever_the_picture(
    settings: Settings, tmp_path: Path
) -> None:
    entry = import_weights(write_published(tmp_path, "fashion", "fashion"), settings=settings)
    raw = str(write_picture(tmp_path / "raw.jpg", (1101, 750), seed=1))
    own, pose = (standing((256, 176), seed).round() for seed in (1, 2))
    own[3] = pose[5] = -1
    table = published_table(tmp_path / "poses.csv", raw=own, other=pose)
    request = PoseRequest(raw, f"{table}#other.jpg", f"{tmp_path}/out.png", "fashion", table)
    result = transfer_pose(request, settings)
    assert any("176 x 256" in warning for warning in result.warnings)
    # The network sees all of the picture at 256 x 256, bilinear; a joint is at x / 176 * 256.
    seen = np.array(Image.open(raw).resize((256, 256), Image.Resampling.BILINEAR))
    places = [
        np.array(
            [(-1, -1) if x == -1 else (int(x / 176 * 256), int(y)) for x, y in joints.tolist()]
        )
        for joints in (own, pose)
    ]
    # What it makes is cut to whole levels.
    levels = made_by(entry.path, seen, *places)
    rendered = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    expected = np.array(rendered.resize((176, 256), Image.Resampling.BICUBIC))
    assert np.array_equal(picture_of(tmp_path / "out.png"), expected)


def made_by(path: str, seen: np.ndarray, own: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """What the network alone makes, with the same layout in memory, which rounds alike: 0..255."""
    network = checkpoint.load(path).generator.to(memory_format=torch.channels_last)
    image = torch.from_numpy(seen)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    maps = pose_heatmaps(torch.from_numpy(np.stack([own, pose])).float(), seen.shape[:2])
    maps = maps.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        made = network(image, maps[:1], maps[1:]).image[0]
    return ((made + 1) / 2 * 255).permute(1, 2, 0).numpy()


def test_a_table_that_fits_its_picture_is_left_alone(
    model: str, settings: Settings, tmp_path: Path
) -> None:
    # Not much larger, or with a joint beyond 176 x 256: coordinates are pixels, as ever.
    for size, seed in (((300, 206), 1), ((1101, 750), 2)):
        picture = str(write_picture(tmp_path / "a.png", size, seed=1))
        poses = standing(size, seed) if size[0] > 300 else standing((256, 176), seed)
        table = published_table(tmp_path / "poses.csv", a=poses)
        pixels = openpose(tmp_path / "a.json", poses.astype(int))
        results = []
        for target, own in ((table, table), (pixels, pixels)):
            request = PoseRequest(picture, target, f"{tmp_path}/out.png", model, own)
            assert transfer_pose(request, settings, overwrite=True).warnings == ()
            results.append(picture_of(tmp_path / "out.png"))
        assert np.array_equal(*results)


def test_tables_of_market_are_not_taken_for_those_of_fashion() -> None:
    small, large = standing(MARKET), (1101, 750)
    assert table_canvas("poses.csv", small, large) is None
    assert table_canvas("poses.csv#a.jpg", standing((256, 176)), large) == (256, 176)
    assert table_canvas("poses.json", standing((256, 176)), large) is None
    assert table_canvas("poses.csv", standing((256, 176)), (1101, 340)) is None
    assert table_canvas("poses.csv", np.full((18, 2), -1.0), large) is None


def test_models_trained_here_round_and_see_pictures_as_in_training(
    settings: Settings, tmp_path: Path
) -> None:
    info = {"image_size": [64, 32], "picture_size": list(SIZE)}
    for resample in ("bicubic", "bilinear"):
        path = tmp_path / f"{resample}.safetensors"
        network = small_generator(KINDS["fashion"][0])
        checkpoint.save(
            path, network, info | ({"resample": resample} if resample[2] == "l" else {})
        )
        generator = PersonGenerator(path, torch.device("cpu"), "float32")
        assert (generator.resample, generator.truncates) == (resample, False)


# Sequences


def test_a_video_gives_its_times_and_its_sound(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    pts = [0, 3, 4, 8, 9, 15]
    pictures = [numbered(i) if i != 2 else np.zeros((96, 160, 3), np.uint8) for i in range(6)]
    video = write_video(
        tmp_path / "dance.mov", pts, Fraction(1, 30), pictures=pictures, sound=noise(0.5, 48000)
    )
    request = PoseRequest(source, str(video), str(tmp_path / "out.mp4"), model)
    finder, stages = Finder(), []
    result = transfer_pose(
        request, settings, detector=finder, report=lambda p: stages.append(p.stage)
    )
    assert (result.frames, result.held, finder.asked) == (6, 1, 7)
    assert list(dict.fromkeys(stages)) == ["load", "poses", "generate"]
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert reader.info.has_audio and (reader.info.width, reader.info.height) == (44, 64)
        times = [at * batch.time_base for batch in reader for at in batch.pts]
    assert times == [Fraction(at, 30) for at in pts]


def test_a_folder_gives_a_folder_or_a_steady_video(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "poses").mkdir()
    for index in (2, 10, 1):
        openpose(tmp_path / "poses" / f"f{index}_keypoints.json", standing(SIZE, index))
    (tmp_path / "poses" / "f3_keypoints.json").write_text('{"people": []}')
    own = openpose(tmp_path / "s.json", standing(SIZE, 1))
    request = PoseRequest(source, f"{tmp_path}/poses", f"{tmp_path}/out", model, own)
    result = transfer_pose(request, settings)
    assert (result.frames, result.held) == (4, 1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["f1.png", "f10.png", "f2.png", "f3.png"]
    assert np.array_equal(
        picture_of(tmp_path / "out" / "f2.png"), picture_of(tmp_path / "out" / "f3.png")
    )
    request = PoseRequest(
        source, f"{tmp_path}/poses", f"{tmp_path}/out.mp4", model, own, fps=Fraction(10)
    )
    transfer_pose(request, settings)
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert [at * b.time_base for b in reader for at in b.pts] == [
            Fraction(i, 10) for i in range(4)
        ]


def test_photos_in_a_folder_and_rows_of_a_video(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    for index in range(2):
        write_picture(tmp_path / "photos" / f"{index}.png", (90, 70), index)
    request = PoseRequest(source, f"{tmp_path}/photos", f"{tmp_path}/one", model)
    assert transfer_pose(request, settings, detector=Finder()).frames == 2
    numbers = json.dumps(list(range(18)))
    rows = [f"clips/a.mp4:{i}:160:96:{numbers}:{numbers}" for i in (1, 0)]
    head = "path:frame:width:height:keypoints_y:keypoints_x"
    (tmp_path / "k.csv").write_text("\n".join([head, *rows]))
    request = PoseRequest(source, f"{tmp_path}/k.csv#a.mp4", f"{tmp_path}/two", model)
    transfer_pose(request, settings, detector=Finder())
    names = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert names == ["a-000000.png", "a-000001.png"]


# What is refused, and that nothing is left behind


def test_weights_are_needed_and_must_be_for_pose_transfer(
    source: str, settings: Settings, tmp_path: Path
) -> None:
    request = PoseRequest(source, source, str(tmp_path / "out.png"))
    with pytest.raises(AnimatorError, match="animator weights import") as caught:
        transfer_pose(request, settings)
    assert caught.value.code == "no_such_weights"
    for name in ("default", "face"):
        if name == "face":
            import_weights(write_published(tmp_path, "face"), settings=settings)
        request = PoseRequest(source, source, str(tmp_path / "out.png"), name)
        assert code_of(request, settings) == "weights_wrong_kind"


def test_weights_that_changed_since_their_import(
    source: str, settings: Settings, tmp_path: Path
) -> None:
    entry = import_weights(write_published(tmp_path, "market", "market"), settings=settings)
    checkpoint.save(Path(entry.path), small_generator(KINDS["market"][0], seed=5), {})
    request = PoseRequest(source, source, str(tmp_path / "out.png"), "market")
    assert code_of(request, settings, detector=Finder()) == "weights_changed"


@pytest.mark.parametrize("size", [[64], [60, 32], "64x32", [True, 32], [64, 99999]])
def test_weights_of_impossible_sizes(
    size: object, source: str, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "odd.safetensors"
    checkpoint.save(path, small_generator(KINDS["fashion"][0]), {"image_size": size})
    request = PoseRequest(source, source, str(tmp_path / "out.png"), str(path))
    assert code_of(request, settings, detector=Finder()) == "weights_unreadable"


def test_nobody_to_be_found(source: str, model: str, settings: Settings, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "dark.png")
    dark, out = str(tmp_path / "dark.png"), str(tmp_path / "out.png")
    assert code_of(PoseRequest(dark, source, out, model), settings, detector=Finder()) == "no_body"
    assert code_of(PoseRequest(source, dark, out, model), settings, detector=Finder()) == "no_body"
    assert not Path(out).exists()


def test_poses_that_are_broken(source: str, model: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[")
    (tmp_path / "bad.csv").write_text("name:keypoints_y:keypoints_x\na:[NaN]:[1]\n")
    write_annotations(tmp_path / "good.csv", [Annotation("a.png", standing(SIZE))])
    (tmp_path / "empty").mkdir()
    for target in ("bad.json", "bad.csv", "good.csv#nobody", "empty"):
        request = PoseRequest(source, f"{tmp_path}/{target}", f"{tmp_path}/out.png", model)
        assert code_of(request, settings, detector=Finder()) == "invalid_pose", target
    for target in ("none.json", "none.csv", "none.csv#a", "none.png"):
        request = PoseRequest(source, f"{tmp_path}/{target}", f"{tmp_path}/out.png", model)
        assert code_of(request, settings, detector=Finder()) == "no_such_file", target
    far = openpose(tmp_path / "far.json", standing(SIZE) + 5000)
    request = PoseRequest(source, far, f"{tmp_path}/out.png", model, far, frame="person")
    assert code_of(request, settings) == "invalid_pose"


def test_outputs_must_fit_the_target(
    source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    video = str(write_video(tmp_path / "v.mp4", range(3), Fraction(1, 25)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "there.png").touch()
    for target, output, code in (
        (source, "out.mp4", "invalid_option"),
        (source, "folder", "invalid_option"),
        (video, "out.png", "invalid_option"),
        (video, "full", "output_exists"),
        (video, "none/folder", "output_not_writable"),
        (source, "there.png", "output_exists"),
        (source, "none/out.png", "output_not_writable"),
        (source, "source.png", "invalid_option"),
    ):
        request = PoseRequest(source, target, f"{tmp_path}/{output}", model)
        assert code_of(request, settings, detector=Finder()) == code, output
    request = PoseRequest(source, source, f"{tmp_path}/there.png", model)
    assert isinstance(
        transfer_pose(request, settings, overwrite=True, detector=Finder()), PoseResult
    )


@pytest.mark.parametrize("output", ["out.mp4", "out"])
def test_a_sequence_that_is_stopped_leaves_nothing(
    output: str, source: str, model: str, settings: Settings, tmp_path: Path
) -> None:
    video = str(write_video(tmp_path / "v.mp4", range(5), Fraction(1, 25)))
    before = set(tmp_path.iterdir())
    stages: list[str] = []
    with pytest.raises(JobCancelled):
        transfer_pose(
            PoseRequest(source, video, f"{tmp_path}/{output}", model),
            settings,
            detector=Finder(),
            report=lambda progress: stages.append(progress.stage),
            should_stop=lambda: "generate" in stages,
        )
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "options", [{"size": 5}, {"fps": Fraction(0)}, {"device": "gpu"}, {"frame": "half"}]
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(AnimatorError) as caught:
        PoseRequest("a", "b", "c", **options)  # type: ignore[arg-type]
    assert caught.value.code == "invalid_option"


# On the command line


def test_the_command(source: str, model: str, state_dir: Path, tmp_path: Path) -> None:
    target = openpose(tmp_path / "t.json", standing(SIZE, 3))
    own = openpose(tmp_path / "s.json", standing(SIZE, 1))
    arguments = ["pose", source, target, "-o", f"{tmp_path}/out.png", "--source-pose", own]
    done = CliRunner().invoke(app, [*arguments, "--weights", model])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == f"{tmp_path}/out.png"
    failed = CliRunner().invoke(app, arguments)
    assert failed.exit_code == 1 and "error [no_such_weights]" in failed.stderr
