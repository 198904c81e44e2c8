"""The published order of a step and its sums, made here by hand with PyTorch alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import default_collate

from gfla.data.readers import Wanted
from gfla.errors import GflaError
from gfla.training.config import TrainingConfig
from gfla.training.launch import RunResult
from gfla.training.state import Run
from tests.gfla.training.training_data import (
    FACE,
    PAIRS,
    Synthetic,
    configured,
    differing,
    state_of,
)

FIRST = ("critics.first=true", "losses.warped=0", "losses.regularity=0", "ema=0")
CLIPS = (
    *("model.image_fusion=false", "model.flow_prior=false", "losses.expression=1"),
    *("losses.rendered=0", "losses.roughness=0", "frames=6", "block=6", *FIRST),
    *("optimizer.gradient_clip=0", "optimizer.schedule=constant", "optimizer.warmup_steps=0"),
)


def batch_of(config: TrainingConfig) -> dict[str, Tensor]:
    data = config.data
    wanted = Wanted("train", data.image_size, data.seen_size, config.frames, config.seed)
    samples = Synthetic(data.kind, wanted, config.model.structure_channels)
    batch: dict[str, Tensor] = default_collate([samples[i] for i in range(config.batch)])
    return batch


def pictures(values: Tensor) -> Tensor:
    return values.float() / 127.5 - 1


def test_critics_step_first_and_judge_as_they_learned(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    config = configured(tmp_path, PAIRS, *FIRST)
    begun, batch = Run(config), batch_of(config)
    generator = copy.deepcopy(begun.generator).train()
    assert begun.critics is not None
    critic = copy.deepcopy(begun.critics.critics["image"]).train()
    # By hand: Adam on the critic, real and rendered pictures a pass each, then on the generator.
    source, truth = pictures(batch["source"]), pictures(batch["target"])
    critic_adam = torch.optim.Adam(critic.parameters(), 1e-4, (0.0, 0.999))
    adam = torch.optim.Adam(generator.parameters(), 1e-3, (0.0, 0.999))
    result = generator(source, batch["source_structure"], batch["target_structure"]).image
    real, fake = critic(truth), critic(result.detach())
    (((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2).backward()
    critic_adam.step()
    adam.zero_grad()
    loss = 5 * (result - truth).abs().mean() + 2 * ((critic(result) - 1) ** 2).mean()
    loss.backward()
    adam.step()
    # And by the trainer.
    run(PAIRS, "run", *FIRST, max_steps=1)
    state = state_of(tmp_path / "run")
    for name, value in critic.state_dict().items():
        torch.testing.assert_close(state["critics"][f"critics.image.{name}"], value)
    for name, value in generator.state_dict().items():
        begin = begun.generator.state_dict()[name]
        # Steps of Adam at its first step have no size of their own: 1e-3 wherever there is a slope.
        same = ((state["generator"][name] - begin) - (value - begin)).abs() < 2e-4
        assert same.float().mean() > 0.97, name
    # The weights for use are the latest ones.
    for name, value in state["generator"].items():
        assert torch.equal(state["average"][f"module.{name}"], value)


def test_critics_that_step_first_see_pictures_without_a_graph(tmp_path: Path) -> None:
    config = configured(tmp_path, PAIRS, *FIRST)
    shown: list[dict[str, Tensor]] = []
    begun = Run(config)
    begun.task(batch_of(config), 0, [], (1, 2), begun.critics, lambda *sides: shown.extend(sides))
    real, fake = shown
    assert not fake["image"].requires_grad
    assert torch.equal(real["image"], pictures(batch_of(config)["target"]))


def test_spectral_norm_moves_three_times_in_a_step(tmp_path: Path) -> None:
    config = configured(tmp_path, PAIRS, *FIRST)
    begun = Run(config)
    critics = begun.critics
    assert critics is not None
    head = critics.critics["image"].head[1]
    weight = head.parametrizations.weight.original.detach().flatten(1)
    looks = []
    head.parametrizations.weight[0].register_forward_hook(
        lambda module, given, found: looks.append((module._u.clone(), module._v.clone()))
    )
    left = torch.nn.functional.normalize(torch.randn(weight.shape[0]), dim=0)
    head.parametrizations.weight[0]._u.copy_(left)

    def move(real: dict[str, Tensor], fake: dict[str, Tensor]) -> None:
        critics(real, fake)

    begun.task(batch_of(config), 0, [], (1, 2), critics, move)
    assert len(looks) == 3
    for found_left, found_right in looks:
        right = weight.T @ left / (weight.T @ left).norm()
        left = weight @ right / (weight @ right).norm()
        torch.testing.assert_close(found_right, right)
        torch.testing.assert_close(found_left, left)


@pytest.mark.parametrize("added", [True, False])
def test_terms_of_a_block_are_added_and_critics_count_once(tmp_path: Path, added: bool) -> None:
    config = configured(tmp_path, FACE, *CLIPS, f"block_sum={str(added).lower()}")
    begun, batch = Run(config), batch_of(config)
    images = pictures(batch["images"])
    # By hand: frame after frame, each the next one's previous frame.
    state = begun.generator.start(images[:, 0], batch["structures"][:, 0], batch["landmarks"][:, 0])
    total, frames = torch.zeros(()), []
    for t in range(1, 7):
        state, prediction = begun.generator.step(state, batch["structures"][:, t])
        frames.append(prediction.image)
        total = total + (prediction.image - images[:, t]).abs().mean()
    reconstruction = total if added else total / 6
    moved: list[None] = []
    outcome = begun.task(batch, 0, [], (1, 2), begun.critics, lambda *sides: moved.append(None))
    terms = outcome["terms"]
    torch.testing.assert_close(terms["reconstruction"], reconstruction.detach())
    expected = 5 * terms["reconstruction"] + 2 * terms["adversarial"]
    torch.testing.assert_close(outcome["loss"].detach(), expected)
    # What the critics say is of one frame and of one window, with the weights of now.
    critics = begun.critics
    assert critics is not None and len(moved) == 1
    critics.eval()
    says = [critics.critics[name](outcome["fake"][name]) for name in ("image", "temporal")]
    by_hand = torch.stack([((said - 1) ** 2).mean() for said in says]).sum()
    torch.testing.assert_close(terms["adversarial"], by_hand, rtol=0.02, atol=0)


def test_the_four_draws_of_a_step_are_four(tmp_path: Path) -> None:
    config = configured(tmp_path, FACE, *CLIPS)
    begun, batch = Run(config), batch_of(config)
    truth = pictures(batch["images"])[:, 1:]

    def place(shown: dict[str, Tensor]) -> tuple[int, int]:
        frame = [torch.equal(shown["image"], truth[:, t]) for t in range(6)].index(True)
        first = [
            torch.allclose(shown["temporal"][:, :3], truth[:, t] - truth[:, t + 1])
            for t in range(5)
        ].index(True)
        return frame, first

    places = []
    for seed in range(9):
        shown: list[dict[str, Tensor]] = []
        outcome = begun.task(
            batch, 0, [], (1, seed), begun.critics, lambda real, fake, to=shown: to.append(real)
        )
        places.append((*place(shown[0]), *place(outcome["real"])))
    ours, ours_window, theirs, theirs_window = zip(*places, strict=True)
    assert ours != theirs and ours_window != theirs_window
    assert set(ours) | set(theirs) >= {0, 5}  # any frame
    assert max(ours_window + theirs_window) == 3  # the last window of three of six


def test_several_batches_a_step_need_critics_that_follow(tmp_path: Path) -> None:
    with pytest.raises(GflaError, match="accumulate is 2; allowed: 1 with critics.first"):
        configured(tmp_path, PAIRS, *FIRST, "accumulate=2")
    configured(tmp_path, PAIRS, *FIRST, "accumulate=2", "losses.adversarial=0")


@pytest.mark.parametrize("true", [True, False])
def test_the_flow_to_the_frame_before_is_judged_by_the_true_one_or_ours(
    tmp_path: Path, true: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = (f"true_previous={str(true).lower()}", "losses.adversarial=0", "block=3")
    config = configured(tmp_path, FACE, *CLIPS, *changes, "critics.temporal=[]")
    begun, batch = Run(config), batch_of(config)
    images = pictures(batch["images"])
    judged = []
    monkeypatch.setattr(
        begun.task, "flow_terms", lambda flows, seen, *rest: judged.append(seen["previous"]) or {}
    )
    first = begun.task(batch, 0, [], (1, 2), None)
    begun.task(batch, 1, first["carried"], (1, 3), None)
    assert torch.equal(judged[0], images[:, 0])  # before the first frame there is the source
    for t, picture in enumerate(judged[1:], 1):
        assert torch.equal(picture, images[:, t]) == true
    if not true:
        torch.testing.assert_close(judged[3], first["carried"][0])


def test_a_run_whose_critics_are_first_goes_on_where_it_stopped(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    run(PAIRS, "whole", *FIRST, max_steps=3)
    run(PAIRS, "parts", *FIRST, max_steps=1)
    run(PAIRS, "parts", *FIRST, max_steps=2)
    assert differing(state_of(tmp_path / "whole"), state_of(tmp_path / "parts")) == []


@pytest.mark.parametrize("sampling", ["gaussian", "bilinear", "published-bilinear"])
def test_how_correctness_samples_is_a_choice(tmp_path: Path, sampling: str) -> None:
    config = configured(tmp_path, PAIRS, f"features.sampling={sampling}", "losses.adversarial=0")
    assert Run(config).task.correctness.sampling == sampling
