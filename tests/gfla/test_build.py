from __future__ import annotations

import dataclasses

import pytest
import torch

from gfla.build import build_critic, build_generator, initialise
from gfla.config import PUBLISHED, CriticConfig


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (PUBLISHED["person-fashion"], 14_047_395),
        (PUBLISHED["face"], 16_906_667),
        # The published counts of these two are those with 18 structure channels.
        (dataclasses.replace(PUBLISHED["dance"], structure_channels=18), 23_504_031),
        (dataclasses.replace(PUBLISHED["view"], structure_channels=18), 14_314_227),
    ],
    ids=["person", "face", "dance", "view"],
)
def test_full_width_has_the_published_number_of_parameters(config, parameters):
    with torch.device("meta"):
        generator = build_generator(config)
    assert sum(p.numel() for p in generator.parameters()) == parameters


NARROW = CriticConfig(inputs=3, widths=(4, 6, 8))


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return build_critic(NARROW)


def test_initialise_reaches_the_weights_behind_the_normalisation(critic):
    initialise(critic, gain=0.5)
    for name, weight in critic.named_parameters():
        if "weight" in name:
            rows = weight.flatten(1)
            rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
            assert torch.allclose(rows @ rows.T, 0.25 * torch.eye(len(rows)), atol=1e-5)


def test_an_initialised_critic_is_normalised_at_once():
    torch.manual_seed(0)
    critic = build_critic(CriticConfig(3, (8, 16, 32))).eval()
    initialise(critic)
    weights = [m.weight for m in critic.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = torch.stack([torch.linalg.matrix_norm(w.flatten(1), 2) for w in weights])
    torch.testing.assert_close(norms, torch.ones_like(norms), atol=0.05, rtol=0)
