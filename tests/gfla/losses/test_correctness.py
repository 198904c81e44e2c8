from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gfla.errors import GflaError
from gfla.losses.correctness import (
    SamplingCorrectness,
    cosine_maxima,
    sampling_correctness,
    warped_distance,
)
from gfla.ops.reference import bilinear_clamped
from gfla.ops.warp import pixel_grid
from tests.gfla.ops.obvious import obvious_gaussian

SAMPLINGS = ("gaussian", "bilinear")


class LargestTensor(TorchDispatchMode):
    """Watches the size of every tensor that an operation makes, forward and backward."""

    def __init__(self):
        super().__init__()
        self.mebibytes = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                size = value.numel() * value.element_size() / 2**20
                self.mebibytes = max(self.mebibytes, size)
        return result


def inputs(batch=2, channels=6, height=7, width=9, dtype=torch.float32, spread=2.0, seed=0):
    random = torch.Generator().manual_seed(seed)
    source, target = torch.rand(2, batch, channels, height, width, generator=random, dtype=dtype)
    flow = spread * torch.randn(batch, 2, height, width, generator=random, dtype=dtype)
    return flow, source, target


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_value_as_the_equations_say(sampling):
    flow, source, target = inputs(dtype=torch.float64)
    height, width = flow.shape[2:]
    if sampling == "gaussian":
        warped = obvious_gaussian(source, flow, 4, 2.0).flatten(2)
    else:
        x, y = (flow + pixel_grid(height, width, flow)).flatten(2).unbind(1)
        warped = bilinear_clamped(source, x, y)
    similarity = F.cosine_similarity(warped, target.flatten(2), dim=1)
    everywhere = F.cosine_similarity(
        source.flatten(2)[..., :, None], target.flatten(2)[..., None, :], dim=1
    )
    expected = torch.exp(-similarity / everywhere.amax(1)).mean() - math.exp(-1)
    torch.testing.assert_close(sampling_correctness(flow, source, target, sampling), expected)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_right_flow_costs_least(sampling):
    random = torch.Generator().manual_seed(0)
    target = torch.rand(1, 64, 12, 12, generator=random)
    source = target.roll(shifts=2, dims=3)
    still = torch.zeros(1, 2, 12, 12)
    right = still + torch.tensor([2.0, 0.0]).view(1, 2, 1, 1)
    right_cost = sampling_correctness(right, source, target, sampling)
    assert right_cost < sampling_correctness(still, source, target, sampling)
    assert right_cost < sampling_correctness(-right, source, target, sampling)


def test_copying_a_picture_costs_nothing():
    _, picture, _ = inputs()
    still = torch.zeros(2, 2, 7, 9)
    assert sampling_correctness(still, picture, picture, "bilinear").abs() < 1e-6


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_gradients_in_float64(sampling):
    flow, source, target = inputs(height=5, width=4, dtype=torch.float64, spread=0.5)
    # Off whole positions, where a window moves on or a bilinear sample has a kink.
    flow = (flow.round() + flow.frac().abs().clamp(0.2, 0.8)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: sampling_correctness(f, source, target, sampling), flow
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_flows_far_outside_stay_finite(sampling):
    flow, source, target = inputs()
    flow = (flow.sign() * torch.logspace(0, 30, flow.numel()).view_as(flow)).requires_grad_()
    loss = sampling_correctness(flow, source, target, sampling)
    loss.backward()
    assert loss.isfinite()
    assert flow.grad.isfinite().all()
    assert not flow.grad[..., -1, :].any()  # there only border pixels are seen


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("empty", ["source", "target", "both", "a few"])
def test_locations_without_features_stay_finite(sampling, empty):
    flow, source, target = inputs()
    if empty in ("source", "both"):
        source.zero_()
    if empty in ("target", "both"):
        target.zero_()
    if empty == "a few":
        source[..., :4], target[..., 3:, :] = 0, 0
    flow.requires_grad_()
    loss = sampling_correctness(flow, source, target, sampling)
    loss.backward()
    assert loss.isfinite()
    assert flow.grad.isfinite().all()
    if empty != "a few":
        assert loss.item() == pytest.approx(1 - math.exp(-1))
        assert not flow.grad.any()


def test_features_get_no_gradient():
    flow, source, target = inputs()
    source.requires_grad_()
    target.requires_grad_()
    flow.requires_grad_()
    sampling_correctness(flow, source, target).backward()
    assert source.grad is None
    assert target.grad is None
    assert flow.grad.abs().sum() > 0


def test_maxima_are_the_same_in_parts():
    _, source, target = inputs(height=13, width=11)
    whole = cosine_maxima(source, target)
    assert whole.shape == (2, 13, 11)
    for mebibytes in (1e-9, 0.001, 0.01, math.inf):
        torch.testing.assert_close(cosine_maxima(source, target, mebibytes), whole)


def test_no_more_is_held_than_allowed():
    flow, source, target = inputs(batch=1, channels=4, height=64, width=64)
    flow.requires_grad_()
    with LargestTensor() as unbounded:
        sampling_correctness(flow, source, target, max_mebibytes=64)
    assert unbounded.mebibytes == 64  # all similarities at once
    with LargestTensor() as watched:
        sampling_correctness(flow, source, target, max_mebibytes=2).backward()
    assert watched.mebibytes <= 2


def test_autocast_does_not_round():
    flow, source, target = inputs()
    expected = sampling_correctness(flow, source, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert sampling_correctness(flow, source, target) == expected
        rounded = sampling_correctness(flow, source.bfloat16(), target.bfloat16())
    assert rounded.dtype == torch.float32
    assert rounded == pytest.approx(expected.item(), abs=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_cuda_agrees_with_cpu(sampling):
    flow, source, target = inputs(height=33, width=20)
    there = flow.cuda().requires_grad_()
    flow.requires_grad_()
    loss = sampling_correctness(flow, source, target, sampling)
    other = sampling_correctness(there, source.cuda(), target.cuda(), sampling)
    torch.testing.assert_close(other.cpu(), loss, atol=1e-5, rtol=1e-5)
    loss.backward()
    other.backward()
    torch.testing.assert_close(there.grad.cpu(), flow.grad, atol=1e-6, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    flow, source, target = inputs()
    for wrong in (
        (flow[:0], source[:0], target[:0]),
        (flow[:1], source, target),
        (flow[:, :1], source, target),
        (flow, source[:, :3], target),
        (flow[..., :5], source, target),
        (flow, source, target[..., :5]),
    ):
        with pytest.raises(GflaError) as caught:
            sampling_correctness(*wrong)
        assert caught.value.code == "invalid_shape"
    for call in (
        lambda: sampling_correctness(flow, source, target, "cubic"),
        lambda: sampling_correctness(flow, source, target, max_mebibytes=0),
        lambda: SamplingCorrectness("cubic"),
    ):
        with pytest.raises(GflaError) as caught:
            call()
        assert caught.value.code == "invalid_config"


def test_the_flows_of_a_prediction_add_up():
    small, large = inputs(), inputs(height=14, width=18, seed=1)
    sources = {
        "reference": {"relu4_1": small[1], "relu3_1": large[1]},
        "previous": {"relu4_1": small[1].flip(1)},
    }
    target = {"relu4_1": small[2], "relu3_1": large[2]}
    flows = {(3, "reference"): small[0], (2, "reference"): large[0], (3, "previous"): small[0]}
    got = SamplingCorrectness()(flows, sources, target)
    expected = (
        sampling_correctness(*small)
        + sampling_correctness(*large)
        + sampling_correctness(small[0], small[1].flip(1), small[2])
    )
    torch.testing.assert_close(got, expected)
    for wrong in ({(0, "reference"): small[0]}, {(2, "previous"): large[0]}, {(3, "older"): None}):
        with pytest.raises(GflaError) as caught:
            SamplingCorrectness()(wrong, sources, target)
        assert caught.value.code == "unknown_layer"


def test_warped_distance_is_zero_for_the_right_flow():
    reference = torch.rand(1, 3, 32, 32)
    target = torch.roll(reference, shifts=-4, dims=3)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 1
    right = warped_distance(reference[..., :28], target[..., :28], flow[..., :7])
    wrong = warped_distance(reference, target, torch.zeros_like(flow))
    assert right < wrong / 3


def test_published_bilinear_samples_of_a_shortened_flow_with_nothing_outside():
    source = torch.rand(1, 3, 5, 4, dtype=torch.float64) + 0.1
    target = torch.rand(1, 3, 5, 4, dtype=torch.float64)
    flow = torch.zeros(1, 2, 5, 4, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 1.2, -2.5
    expected = 0.0
    for y in range(5):
        for x in range(4):
            px, py = x + 1.2 * (4 - 1) / 4, y - 2.5 * (5 - 1) / 5
            x0, y0 = math.floor(px), math.floor(py)
            found = torch.zeros(3, dtype=torch.float64)
            for row in (y0, y0 + 1):
                for column in (x0, x0 + 1):
                    if 0 <= row < 5 and 0 <= column < 4:
                        share = (1 - abs(px - column)) * (1 - abs(py - row))
                        found += share * source[0, :, row, column]
            wanted = target[0, :, y, x]
            best = F.cosine_similarity(source[0].flatten(1), wanted[:, None], dim=0).max()
            mu = F.cosine_similarity(found, wanted, dim=0)
            expected += (torch.exp(-mu / best) - math.exp(-1)) / 20
    found = sampling_correctness(flow, source, target, "published-bilinear")
    torch.testing.assert_close(found, torch.as_tensor(expected))
    assert sampling_correctness(flow, source, target, "bilinear") != found


def test_a_mask_says_where_correctness_counts():
    flow, source, target = inputs(dtype=torch.float64)
    height, width = flow.shape[2:]
    maps = []
    for y in range(height):
        for x in range(width):
            one = torch.zeros(len(flow), 1, height, width)
            one[..., y, x] = 1
            maps.append(sampling_correctness(flow, source, target, mask=one))
    everywhere = torch.stack(maps)
    torch.testing.assert_close(everywhere.mean(), sampling_correctness(flow, source, target))
    # A soft mask of twice the size: every other of its pixels counts, by as much as it says.
    mask = torch.rand(1, 1, 2 * height, 2 * width, dtype=torch.float64).expand(
        len(flow), -1, -1, -1
    )
    shares = mask[0, 0, ::2, ::2].flatten()
    expected = (shares * everywhere).sum() / shares.sum()
    torch.testing.assert_close(sampling_correctness(flow, source, target, mask=mask), expected)
    assert sampling_correctness(flow, source, target, mask=torch.zeros_like(mask)) == 0
    with pytest.raises(GflaError, match="mask"):
        sampling_correctness(flow, source, target, mask=mask[:, 0])
