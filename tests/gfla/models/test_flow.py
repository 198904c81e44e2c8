from __future__ import annotations

import pytest
import torch

from gfla.models.flow import FlowEstimator


@pytest.mark.parametrize("references", [1, 3])
def test_every_layer_gets_flows_and_masks_of_its_size(references):
    torch.manual_seed(0)
    estimator = FlowEstimator(5, (4, 6, 6, 8), (3, 1), references)
    estimates = estimator(torch.randn(2, 5, 64, 32))
    assert list(estimates) == [3, 1]
    for layer, (flows, masks) in estimates.items():
        size = (64 // 2**layer, 32 // 2**layer)
        assert flows.shape == (2, references, 2, *size) and masks.shape == (2, references, 1, *size)
        assert 0 < masks.min() and masks.max() < 1


def test_a_condition_joins_at_the_deepest_layer():
    torch.manual_seed(0)
    estimator = FlowEstimator(3, (4, 6, 8), (2,), condition=5)
    picture, condition = torch.randn(1, 3, 32, 32), torch.randn(1, 5, 4, 4)
    flows, _ = estimator(picture, condition)[2]
    others, _ = estimator(picture, -condition)[2]
    assert not torch.equal(flows, others)
    estimator(picture, condition)[2][0].square().mean().backward()
    assert all(p.grad is not None for p in estimator.join.parameters())


def test_flows_are_single_precision_whatever_the_features_are():
    estimator = FlowEstimator(3, (4, 6), (1,))
    with torch.autocast("cpu", torch.bfloat16):
        flows, masks = estimator(torch.randn(1, 3, 16, 16))[1]
    assert (flows.dtype, masks.dtype) == (torch.float32, torch.bfloat16)
