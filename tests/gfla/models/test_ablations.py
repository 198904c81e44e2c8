from __future__ import annotations

import torch

from gfla.build import build_generator
from gfla.config import ABLATIONS
from gfla.models.ablations import BilinearSampling, GlobalAttention
from gfla.models.attention import SourceFeatures
from tests.golden.make_golden import narrow


def test_ablations_differ_from_the_full_model_in_their_parts_alone():
    networks = {name: build_generator(narrow(config)) for name, config in ABLATIONS.items()}
    names = {name: set(network.state_dict()) for name, network in networks.items()}
    attention = {key for key in names["full"] if ".attention." in key}
    assert names["bilinear"] == names["full"] - attention
    assert not any("flow_estimator" in key for key in names["global-attention"])
    assert all(key.startswith("renderer.") for key in names["baseline"])


def test_bilinear_sampling_moves_features_along_the_flow():
    source = torch.arange(20.0).view(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 1  # one pixel to the right
    sampler = BilinearSampling()
    moved = sampler(torch.zeros_like(source), sampler.prepare(source), flow)
    torch.testing.assert_close(moved[..., :4], source[..., 1:])


def test_global_attention_is_the_weighted_sum_that_its_weights_say():
    torch.manual_seed(0)
    sampler = GlobalAttention(6).double()
    target, source = torch.randn(2, 6, 3, 5).double(), torch.randn(2, 6, 4, 2).double()
    prepared = SourceFeatures(source)
    weights = sampler.weights(target, prepared)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 15).double())
    attended = (weights @ source.flatten(2).transpose(1, 2)).transpose(1, 2).view(2, 6, 3, 5)
    torch.testing.assert_close(sampler(target, prepared), sampler.project(attended))
