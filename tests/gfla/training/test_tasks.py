"""What a batch costs: terms, gradients, blocks, critics, stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from gfla.data.readers import Wanted
from gfla.training.config import TrainingConfig
from gfla.training.state import Run
from gfla.training.tasks.base import Batch, BatchOutcome, feature_layers
from tests.gfla.training.training_data import FACE, PAIRS, Synthetic, configured
from tests.helpers import random_vgg

SEED = (1, 2)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    random_vgg(path, ["relu5_2"], "vgg19")
    return path


def batch_of(config: TrainingConfig, first: int = 0) -> Batch:
    data = config.data
    wanted = Wanted("train", data.image_size, data.seen_size, config.frames, 1)
    samples = Synthetic(data.kind, wanted, config.model.structure_channels)
    batch: Batch = default_collate([samples[first + i] for i in range(config.batch)])
    return batch


def outcome_of(
    run: Run, batch: Batch, block: int = 0, carried: BatchOutcome | None = None
) -> BatchOutcome:
    before = [] if carried is None else carried["carried"]
    outcome: BatchOutcome = run.task(batch, block, before, SEED, run.critics)
    return outcome


ALL = ("losses.perceptual=0.5", "losses.style=500", "losses.correctness=5",
       "losses.feature_distance=1", "features.distance=[relu1_2, relu2_2]")  # fmt: skip


def test_all_published_terms_of_a_pair_have_gradients(tmp_path: Path, vgg: Path) -> None:
    config = configured(tmp_path, PAIRS, *ALL, f"features.path={vgg}", "losses.roughness=0.1")
    run = Run(config)
    outcome = outcome_of(run, batch_of(config))
    assert set(outcome["terms"]) == {
        "reconstruction", "adversarial", "perceptual", "style", "correctness", "regularity",
        "warped", "roughness", "feature_distance",
    }  # fmt: skip
    weights = run.task.weights()
    total = sum(weights[name] * term for name, term in outcome["terms"].items())
    assert float(outcome["loss"].detach()) == pytest.approx(float(total))
    outcome["loss"].backward()
    without = [n for n, p in run.generator.named_parameters() if p.grad is None]
    # Attention is at layer 2 alone, so nothing sees the source's features of layer 3.
    assert without and all(name.startswith("encoder.downs.2") for name in without)
    assert run.critics is not None and all(p.grad is None for p in run.critics.parameters())


def test_all_terms_of_a_clip_have_gradients(tmp_path: Path, vgg: Path) -> None:
    more = ("features.crop=48", "features.detail=32", "losses.detail=1", "model.fusion_hidden=4",
            "losses.anchor=1")  # fmt: skip
    config = configured(tmp_path, FACE, *ALL, f"features.path={vgg}", *more)
    run = Run(config)
    outcome = outcome_of(run, batch_of(config))
    assert {"expression", "flow_correctness"}.isdisjoint(outcome["terms"])
    assert {"correctness", "regularity", "rendered", "adversarial", "detail", "anchor"} <= set(
        outcome["terms"]
    )
    outcome["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in run.generator.parameters())
    assert outcome["fake"]["temporal"].shape == (1, 6, 64, 64)
    assert not any(fake.requires_grad for fake in outcome["fake"].values())


@pytest.mark.parametrize("sampling", ["none", "global", "bilinear", "local"])
def test_the_ablations_train(tmp_path: Path, sampling: str) -> None:
    config = configured(tmp_path, PAIRS, f"model.sampling={sampling}")
    run = Run(config)
    outcome = outcome_of(run, batch_of(config))
    assert ("regularity" in outcome["terms"]) == (sampling in ("bilinear", "local"))
    outcome["loss"].backward()
    assert run.task.sheet(run.averaged, batch_of(config)).dtype.name == "uint8"


def test_views_train(tmp_path: Path) -> None:
    view = ("model.kind=view-synthesis", "model.structure_channels=21",
            "data.kind=synthetic-views", "model.attention=[[3, 3], [2, 5]]")  # fmt: skip
    config = configured(tmp_path, PAIRS, *view)
    run = Run(config)
    outcome_of(run, batch_of(config))["loss"].backward()
    assert run.task.sheet(run.averaged, batch_of(config)).shape == (64, 2 * 4 * 64, 3)


@pytest.mark.parametrize("text", [PAIRS, FACE])
def test_stage_1_trains_the_flow_estimator_alone(tmp_path: Path, vgg: Path, text: str) -> None:
    config = configured(tmp_path, text, "stage=flow", f"features.path={vgg}")
    assert feature_layers(config)[-1] == "relu3_1" if text is PAIRS else "relu4_1"
    run = Run(config)
    assert run.critics is None
    outcome = outcome_of(run, batch_of(config))
    assert set(outcome["terms"]) == {"correctness", "regularity"}
    terms = outcome["terms"]
    total = 20 * terms["correctness"] + 0.01 * terms["regularity"]
    assert float(outcome["loss"].detach()) == pytest.approx(float(total))
    outcome["loss"].backward()
    moved = {n.split(".")[0] for n, p in run.generator.named_parameters() if p.grad is not None}
    assert moved == {"flow_estimator"}


def test_a_second_block_goes_on_from_the_first_without_its_graph(tmp_path: Path) -> None:
    config = configured(tmp_path, FACE, "frames=6", "critics.temporal=[]")
    whole = configured(tmp_path, FACE, "frames=6", "block=6", "critics.temporal=[]")
    run, batch = Run(config), batch_of(config)
    first = outcome_of(run, batch)
    assert all(not picture.requires_grad for picture in first["carried"])
    second = outcome_of(run, batch, 1, first)
    together = outcome_of(Run(whole), batch)
    for name in ("reconstruction", "warped", "regularity"):
        halves = (first["terms"][name] + second["terms"][name]) / 2
        torch.testing.assert_close(halves, together["terms"][name])
    torch.testing.assert_close(second["carried"][0], together["carried"][0])


def test_several_previous_frames_are_carried(tmp_path: Path) -> None:
    config = configured(tmp_path, FACE, "frames=6", "model.previous_frames=2")
    run, batch = Run(config), batch_of(config)
    first = outcome_of(run, batch)
    assert len(first["carried"]) == 2
    outcome_of(run, batch, 1, first)["loss"].backward()


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    config = configured(tmp_path, FACE, "frames=6", "block=6")
    run, batch = Run(config), batch_of(config)
    shown = [
        run.task(batch, 0, [], seed, run.critics)["real"]["image"] for seed in [(1, 1), (1, 1)]
    ]
    assert torch.equal(*shown)
    others = [run.task(batch, 0, [], (1, n), run.critics)["real"]["image"] for n in range(4)]
    assert not all(torch.equal(shown[0], other) for other in others)


def test_judging_changes_no_critic(tmp_path: Path) -> None:
    config = configured(tmp_path, PAIRS)
    run = Run(config)
    assert run.critics is not None
    before = {name: value.clone() for name, value in run.critics.state_dict().items()}
    outcome = outcome_of(run, batch_of(config))
    assert all(torch.equal(value, run.critics.state_dict()[n]) for n, value in before.items())
    assert all(parameter.requires_grad for parameter in run.critics.parameters())
    run.critics(outcome["real"], outcome["fake"])["critic_image"].backward()
    assert all(p.grad is not None for p in run.critics.parameters())


def test_bfloat16_keeps_the_losses_near(tmp_path: Path) -> None:
    config = configured(tmp_path, FACE, "losses.adversarial=0")
    run, batch = Run(config), batch_of(config)
    exact = outcome_of(run, batch)["terms"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = outcome_of(run, batch)["terms"]
    for name, term in exact.items():
        assert rough[name].dtype == torch.float32, name
        assert float(rough[name]) == pytest.approx(float(term), rel=0.15), name
