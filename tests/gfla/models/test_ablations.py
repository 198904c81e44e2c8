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
    sampler = GlobalAttention(16).double()
    assert sampler.query.weight.shape == sampler.key.weight.shape == (2, 16, 1, 1)
    target, source = torch.randn(2, 16, 3, 5).double(), torch.randn(2, 16, 3, 5).double()
    prepared = SourceFeatures(source)
    # A gate that is shut at the begin.
    assert sampler(target, prepared).abs().max() == 0
    torch.nn.init.constant_(sampler.gate, 0.7)

    def projected(convolution, features):
        weight, bias = convolution.weight[:, :, 0, 0], convolution.bias[:, None]
        return weight @ features.flatten(1) + bias

    weights = sampler.weights(target, prepared)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 15).double())
    for index in range(2):
        queries = projected(sampler.query, source[index])
        keys = projected(sampler.key, target[index])
        values = projected(sampler.value, source[index])
        found = torch.zeros(16, 15).double()
        for place in range(15):
            likeness = torch.stack([queries[:, place] @ keys[:, other] for other in range(15)])
            shares = likeness.exp() / likeness.exp().sum()
            torch.testing.assert_close(weights[index, place], shares)
            found[:, place] = (values * shares).sum(1)
        torch.testing.assert_close(sampler(target, prepared)[index].flatten(1), 0.7 * found)
