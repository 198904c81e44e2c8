"""Jobs with other weights than those shipped, from the command to the frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import feature
from typer.testing import CliRunner

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.loading import load_portrait
from animator.cli import app
from animator.errors import AnimatorError
from animator.faces.crop import crop_square, fit_size
from animator.jobs.client import Client
from animator.media.encode import VideoWriter
from animator.settings import Settings
from animator.spec import JobSpec
from animator.weights.importing import import_weights
from animator.weights.library import entry_path
from gfla import checkpoint
from gfla.guidance.face import LABELS, face_structure
from tests.animator.plans import planned
from tests.animator.weights_files import write_published
from tests.golden.faces import MEAN_FACE
from tests.helpers import COMPACT, small_generator

SIZE, END = 128, "0.1"
PUBLISHED_SIZE = 256


@pytest.fixture
def library(state_dir: Path, tmp_path: Path) -> Settings:
    settings = Settings.from_environment()
    for name, kind in (("narrow", "face"), ("dance", "dance"), ("shapenet", "shapenet")):
        import_weights(write_published(tmp_path, name, kind), settings=settings)
    return settings


@pytest.fixture
def spec(library: Settings, samples: tuple[Path, Path], tmp_path: Path) -> JobSpec:
    source, driving = map(str, samples)
    return JobSpec(
        source, driving, str(tmp_path / "out.mp4"), end=END, size=SIZE, margin=1.75,
        detector="dlib", device="cpu", weights="narrow",
    )  # fmt: skip


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The frames that jobs of this process give to the encoder."""
    frames: list[np.ndarray] = []
    write = VideoWriter.write

    def spy(self, frame, pts):
        frames.append(frame.copy())
        return write(self, frame, pts)

    monkeypatch.setattr(VideoWriter, "write", spy)
    return frames


def expected_structure(points, picture, source_points):
    """Guidance of a frame with the edges of the source's background, put together anew."""
    size = PUBLISHED_SIZE
    source = face_structure(source_points * size - 0.5, size, style="published")
    structure = face_structure(points * size - 0.5, size, style="published")
    canny = feature.canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), sigma=1)
    drawn = (source[0] == 0).astype(np.uint8)
    clear = cv2.distanceTransform(drawn, cv2.DIST_L1, 3) > 2
    background = canny & clear & (source[LABELS] == 0) & (structure[LABELS] == 0)
    assert background.any()
    structure[0] = np.maximum(structure[0], background)
    return torch.from_numpy(structure)[None]


def direct_rollout(spec: JobSpec, weights: Path) -> list[np.ndarray]:
    """The frames of a job, from the networks alone."""
    plan = planned(spec)
    network = checkpoint.load(weights).generator.to(memory_format=torch.channels_last)
    source_points = plan.source.crop_units(plan.source.points)
    picture = crop_square(plan.source.picture, plan.source.square, PUBLISHED_SIZE)
    image = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    own = face_structure(source_points * PUBLISHED_SIZE - 0.5, PUBLISHED_SIZE, picture, "published")
    last = torch.channels_last  # as everything on a CPU: sums of other orders round otherwise
    frames = []
    with torch.inference_mode():
        state = network.start(image, torch.from_numpy(own)[None].contiguous(memory_format=last))
        for points in plan.targets:
            structure = expected_structure(points, picture, source_points)
            state, prediction = network.step(state, structure.contiguous(memory_format=last))
            pixels = ((prediction.image[0] + 1) * 127.5).round().clamp(0, 255).byte()
            frames.append(fit_size(pixels.permute(1, 2, 0).numpy(), SIZE))
    return frames


def test_a_name_renders_what_its_network_renders(spec, library, samples, written, tmp_path):
    arguments = [
    *map(str, samples), "--end", END, f"--size={SIZE}", "--margin=1.75", "--detector", "dlib",
]  # fmt: skip
    arguments += ["--device", "cpu", "--json", "--force", "-o", spec.output]
    done = CliRunner().invoke(app, ["run", *arguments, "--weights", "narrow"])
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["spec"]["weights"] == "narrow"
    sha256 = json.loads((library.weights_dir / "narrow.json").read_text())["sha256"]
    assert record["weights"] == f"narrow@{sha256[:12]}"
    assert record["hashes"]["weights"] == sha256
    ours = list(written)
    direct = direct_rollout(spec, entry_path("narrow", library))
    assert len(ours) == len(direct) > 1
    assert all(np.array_equal(a, b) for a, b in zip(ours, direct, strict=True))
    written.clear()
    assert CliRunner().invoke(app, ["run", *arguments]).exit_code == 0
    assert np.abs(np.stack(written).astype(int) - np.stack(ours)).mean() > 5


def test_a_clip_goes_on_from_its_state_alone(spec, library):
    generator = load_portrait("narrow", "cpu", "float32", Settings.from_environment()).generator
    plan = planned(spec)
    state, _ = generator.step(plan.start(), plan.targets[0])
    state, frame = generator.step(state, plan.targets[1])
    other = PortraitGenerator(entry_path("narrow", library), torch.device("cpu"), "float32")
    state, _ = generator.step(plan.start(), plan.targets[0])
    assert np.array_equal(other.step(state, plan.targets[1])[1], frame)


def test_guidance_has_background_only_where_weights_ask_for_it(library, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", small_generator(COMPACT), {"structure_size": 64})
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    points = np.asarray(MEAN_FACE, np.float32)
    for weights, size, wanted in (
        ("narrow", 256, True),
        (str(tmp_path / "a.safetensors"), 64, False),
    ):
        generator = load_portrait(weights, "cpu", "float32", Settings.from_environment()).generator
        state = generator.start(fit_size(picture, size), points)
        corner = state.source.structure[0, 0, : size // 8, : size // 8]
        assert bool(corner.any()) is wanted
        structure, _ = generator.guidance(points + 0.01, state)
        assert torch.equal(structure[0, 0, : size // 8, : size // 8], corner)


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("weights", "code", "says"),
    [
        ("shapenet", "invalid_view", "is no JSON file of views"),
        ("missing", "no_such_weights", "known are default, dance, narrow, shapenet"),
        ("broken.safetensors", "weights_unreadable", "cannot be used"),
        ("narrow_net_G.pth", "weights_unreadable", "`animator weights import`"),
        ("none.safetensors", "no_such_file", "none.safetensors"),
    ],
)
def test_weights_are_checked_before_work(verb, weights, code, says, library, samples, tmp_path,
                                         monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"none")
    done = CliRunner().invoke(app, [verb, *map(str, samples), "--weights", weights])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error [{code}]: ")
    assert says in done.stderr
    assert not (library.state_dir / "redis").exists()
    assert not list(tmp_path.glob("*.mp4"))


def test_a_queued_job_keeps_the_name(spec, settings, store, tmp_path):
    with pytest.raises(AnimatorError, match="known are default"):
        Client.connect(settings).submit(replace(spec, weights="other"))
    record = Client.connect(settings).submit(spec)
    assert store.get(record.id).spec.weights == "narrow"


def test_a_job_notices_that_its_weights_have_changed(spec, library):
    path = entry_path("narrow", library)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        load_portrait("narrow", "cpu", "float32", Settings.from_environment())
    assert caught.value.code == "weights_changed"


def test_a_file_of_another_kind_is_refused_by_the_pipeline_too(spec, library):
    for weights in ("dance", str(entry_path("shapenet", library))):
        with pytest.raises(AnimatorError) as caught:
            load_portrait(weights, "cpu", "float32", Settings.from_environment())
        assert caught.value.code == "weights_wrong_kind"
