from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.ops.spline import landmark_flow, reach_of_heads
from tests.golden.faces import MEAN_FACE


def points(count: int = 20, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return 0.25 + 0.5 * torch.rand(1, count, 2, generator=random)


def test_leads_every_landmark_to_its_place_in_the_reference():
    target = points()
    moves = 0.02 * torch.randn(1, 1, 20, 2, generator=torch.Generator().manual_seed(1))
    flow = landmark_flow(target, target[:, None] + moves, (256, 256), ridge=1e-9)[0, 0]
    places = (target[0] * 256).long()
    found = flow[:, places[:, 1], places[:, 0]].T / 256
    assert (found - moves[0, 0]).abs().max() < 0.004


def test_is_zero_where_nothing_moves_and_nearly_so_at_the_border():
    target = points()
    still = landmark_flow(target, target[:, None], (64, 64), ridge=3e-4)
    assert still.abs().max() < 1e-3
    moved = landmark_flow(target, target[:, None] + 0.05, (64, 64), ridge=3e-4)[0, 0]
    assert moved[:, 32, 32].mean() > 2
    assert moved[:, 0, 0].abs().max() < 0.4


def test_references_are_independent_of_each_other():
    target, first, second = points(), points(seed=2), points(seed=3)
    both = landmark_flow(target, torch.stack([first, second], 1), (32, 48), ridge=1e-3)
    alone = landmark_flow(target, second[:, None], (32, 48), ridge=1e-3)
    assert both.shape == (1, 2, 2, 32, 48)
    torch.testing.assert_close(both[:, 1:], alone, atol=2e-3, rtol=0)


def test_heads_reach_their_surroundings_and_no_further():
    face = 0.5 + 0.4 * (torch.tensor(MEAN_FACE, dtype=torch.float32)[None] - 0.5)
    moved = face + torch.tensor([0.3, 0.0])
    reach = reach_of_heads(face, torch.stack([face, moved], 1), (64, 64), 1.2)
    assert reach.shape == (1, 2, 1, 64, 64)
    at = (face[0] * 64).long()
    assert (reach[0, 0, 0, at[:, 1], at[:, 0]] == 1).all()
    assert reach[0, :, 0, -3:].max() == 0  # what lies below
    # Where the reference has its head it leads, too: nothing of that head may stay behind.
    there = (moved[0] * 64).long().clamp(max=63)
    assert (reach[0, 1, 0, there[:, 1], there[:, 0]] == 1).all()
    assert reach[0, 0, 0, there[16, 1], there[16, 0]] == 0


def test_coinciding_landmarks_do_not_break_the_system():
    target = points().repeat(1, 2, 1)
    flow = landmark_flow(target, target[:, None] + 0.01, (16, 16), ridge=3e-4)
    assert torch.isfinite(flow).all()


@pytest.mark.parametrize(
    ("target", "references", "message"),
    [
        ((0, 68, 2), (0, 1, 68, 2), "target is (0, 68, 2)"),
        ((1, 68, 3), (1, 1, 68, 2), "needs B N 2"),
        ((1, 68, 2), (1, 68, 2), "needs 1 R 68 2"),
        ((1, 68, 2), (1, 1, 67, 2), "needs 1 R 68 2"),
    ],
)
def test_wrong_shapes_are_refused(target, references, message):
    with pytest.raises(GflaError) as caught:
        landmark_flow(torch.zeros(target), torch.zeros(references), (8, 8), 1e-3)
    assert caught.value.code == "invalid_shape"
    assert message in caught.value.message


def test_landmarks_far_away_give_finite_flows():
    target = torch.rand(1, 68, 2)
    flow = landmark_flow(target, 1e6 * torch.rand(1, 1, 68, 2), (5, 7), 1e-3)
    assert torch.isfinite(flow).all()
