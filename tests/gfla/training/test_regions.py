"""The region heads' stage: what it trains, on which data, with and without critics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from gfla import checkpoint
from gfla.build import Generator, build_generator
from gfla.config import AnimationConfig
from gfla.data.packs import write_pack
from gfla.data.region_packs import mosaic
from gfla.errors import GflaError
from gfla.ops.regions import MOUTH, RIGHT_EYE
from gfla.training.launch import RunRequest, RunResult, launch, open_samples_for
from gfla.training.loop import Limits
from gfla.training.state import Run
from gfla.training.tasks.base import BatchOutcome
from tests.gfla.training.training_data import configured, differing, lines_of, state_of
from tests.golden.faces import MEAN_FACE

REGIONS = """
model: {kind: animation, encoder_widths: [4, 6, 8], flow_widths: [4, 4, 6, 6, 6],
        attention_hidden: 4, image_fusion: true, flow_prior: true,
        mouth_head: [8, 8], eye_head: [8, 8]}
stage: regions
data: {kind: face-regions, image_size: [64, 64], workers: 0}
losses: {reconstruction: 5, rendered: 1.5, tone: 3, adversarial: 0, perceptual: 0, style: 0,
         correctness: 0, regularity: 0}
critics: {kind: non-saturating, image: [4, 6, 8], spectral_norm: false, gradient_penalty: 0.1}
optimizer: {learning_rate: 3e-3, betas: [0.9, 0.99], critic_ratio: 1}
batch: 4
steps: 30
ema: 0.9
record: {log_every: 10, sheet_every: 0, sheet_rows: 2}
"""
CRITIC = "losses.adversarial=0.2"
SIDE = 128
FRAMES = 6
KINDS = {"mouth": MOUTH, "eye": RIGHT_EYE}


def faces() -> NDArray[np.float32]:
    """Landmarks of frames: a mouth that opens while both eyes close."""
    landmarks = np.repeat(MEAN_FACE[None], FRAMES, 0).astype(np.float32)
    share = np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    landmarks[:, 55:60, 1] += 0.08 * share
    landmarks[:, 65:68, 1] += 0.08 * share
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        landmarks[:, upper, 1] += 0.9 * share[:, 0] * (MEAN_FACE[lower, 1] - MEAN_FACE[upper, 1])
    return landmarks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Region packs of two people: smooth noise, the darker inside a mouth the more it opens."""
    folder = tmp_path_factory.mktemp("regions")
    (folder / "train").mkdir()
    for seed in range(2):
        random = np.random.default_rng(seed)
        picture = cv2.resize(random.integers(170, 230, (8, 8, 3), np.uint8), (SIDE, SIDE))
        landmarks, mosaics = faces(), []
        for points, inside in zip(landmarks, np.linspace(200, 0, FRAMES), strict=True):
            inner = (points[60:68] * SIDE).round().astype(np.int32)
            frame = cv2.fillPoly(picture.copy(), [inner], (inside, 0, 0))
            mosaics.append(mosaic(np.asarray(frame, np.uint8), points))
        meta = {"identity": f"person {seed}"}
        write_pack(folder / "train" / f"{seed}.npz", mosaics, landmarks, meta)
    return folder


def train(data: Path, out: Path, *overrides: str, max_steps: int | None = None) -> RunResult:
    config = configured(out.parent, REGIONS, *overrides)
    return launch(RunRequest(config, data, out, device="cpu", limits=Limits(max_steps=max_steps)))


def outcome_of(data: Path, run: Run) -> BatchOutcome:
    """Of the run's first samples."""
    samples = open_samples_for(RunRequest(run.config, data, data), "train")
    batch = default_collate([samples[index] for index in range(run.config.batch)])
    outcome: BatchOutcome = run.task(batch, 0, [], (1, 2), run.critics)
    return outcome


def test_a_run_learns_changes_the_heads_alone_and_draws_a_sheet(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run")
    assert not any("critic" in name for name in lines_of(tmp_path / "run")[-1])
    begun, done = (Run(configured(tmp_path, REGIONS, "batch=16")) for _ in range(2))
    done.load_state_dict(state_of(tmp_path / "run"))
    losses = [float(outcome_of(data, run)["loss"].detach()) for run in (begun, done)]
    assert losses[1] < 0.8 * losses[0]
    changed = differing(begun.generator.state_dict(), done.generator.state_dict())
    assert changed and all(name.startswith(".regions.heads.") for name in changed)
    sheet = cv2.imread(str(tmp_path / "run" / "samples" / "0000030.png"))
    # Two samples with an eye on each side.
    high, wide = 2 * 2 * RIGHT_EYE.height, 4 * (MOUTH.width + RIGHT_EYE.width)
    assert sheet.shape == (2 * high, 2 * wide, 3)
    assert sheet.std() > 10


def test_a_run_with_critics_goes_on_exactly_where_it_stopped(data: Path, tmp_path: Path) -> None:
    options = (CRITIC, "critics.start=2", "steps=6", "record.log_every=1")
    train(data, tmp_path / "whole", *options)
    for steps in (3, 1, 9):
        train(data, tmp_path / "parts", *options, max_steps=steps)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert not differing(state_of(whole), state_of(parts))
    assert lines_of(whole) == lines_of(parts)
    played = ["critic_mouth" in line and "penalty_eye" in line for line in lines_of(whole)]
    assert played == [False] * 2 + [True] * 4
    begun = Run(configured(tmp_path, REGIONS, *options)).critics
    assert begun is not None
    moved = differing(begun.state_dict(), state_of(whole)["critics"])
    assert {name.split(".")[2] for name in moved} == set(KINDS)


def test_critics_see_what_may_be_drawn_and_give_gradients_to_the_heads(
    data: Path, tmp_path: Path
) -> None:
    only = ("losses.reconstruction=0", "losses.rendered=0", "losses.tone=0")
    run = Run(configured(tmp_path, REGIONS, CRITIC, *only))
    outcome = outcome_of(data, run)
    assert set(outcome["real"]) == set(outcome["fake"]) == set(KINDS)
    for kind, region in KINDS.items():
        real, fake = outcome["real"][kind], outcome["fake"][kind]
        pairs = {"mouth": 4, "eye": 8}[kind]
        wanted = (pairs, 3 + region.maps + 1, region.height, region.width)
        assert real.shape == fake.shape == wanted
        assert torch.equal(real[:, 3:], fake[:, 3:])
        assert not real.requires_grad and not fake.requires_grad
    outcome["loss"].backward()
    heads = run.generator.get_submodule("regions").parameters()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in heads)
    assert run.critics is not None and all(p.grad is None for p in run.critics.parameters())
    losses = run.critics(outcome["real"], outcome["fake"])
    assert set(losses) == {"critic_mouth", "critic_eye", "penalty_mouth", "penalty_eye"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in run.critics.parameters())


def test_neighbouring_frames_have_a_flicker_term(data: Path, tmp_path: Path) -> None:
    single, clips = (
        Run(configured(tmp_path, REGIONS, "losses.flicker=1", *frames))
        for frames in ((), ("frames=2", "block=2"))
    )
    assert outcome_of(data, clips)["terms"]["flicker"] > 0
    assert "flicker" not in outcome_of(data, single)["terms"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.mouth_head=[]", "model.eye_head=[]"], "without mouth_head and eye_head"),
        (["stage=all", "data.kind=faces"], "losses.tone is 3.0; allowed: 0 but for regions"),
        (["losses.flicker=1", "stage=flow", "data.kind=faces", "losses.tone=0"], "losses.flicker"),
        (["data.kind=faces"], "data.kind is 'faces'; allowed: face-regions"),
        (["critics.temporal=[4]", "frames=3", "block=3"], "critics.temporal"),
        (["critics.spectral_norm=true"], "critics.gradient_penalty is 0.1"),
    ],
)
def test_what_does_not_fit_the_stage_is_refused(
    tmp_path: Path, overrides: list[str], said: str
) -> None:
    with pytest.raises(GflaError) as caught:
        configured(tmp_path, REGIONS, *overrides)
    assert caught.value.code == "invalid_config"
    assert said in caught.value.message


def test_heads_are_added_to_weights_without_any_but_not_to_another_model(tmp_path: Path) -> None:
    def begun(*overrides: str) -> Generator:
        start = f"start_from={tmp_path / 'trained.safetensors'}"
        return Run(configured(tmp_path, REGIONS, start, *overrides)).generator

    with_heads = configured(tmp_path, REGIONS).model
    assert isinstance(with_heads, AnimationConfig)
    trained = build_generator(replace(with_heads, mouth_head=(), eye_head=()))
    checkpoint.save(tmp_path / "trained.safetensors", trained, {})
    taken = begun().state_dict()
    assert not differing(trained.state_dict(), {name: taken[name] for name in trained.state_dict()})
    assert any(name.startswith("regions.heads.mouth") for name in taken)
    with pytest.raises(GflaError, match="another model") as caught:
        begun("model.attention_hidden=5")
    assert caught.value.code == "bad_checkpoint"

    checkpoint.save(tmp_path / "trained.safetensors", begun("seed=2"), {})
    assert not differing(begun("seed=2").state_dict(), begun("seed=3").state_dict())
    with pytest.raises(GflaError, match="another model") as caught:
        begun("model.mouth_head=[8, 9]")
    assert caught.value.code == "bad_checkpoint"
