from __future__ import annotations

import pytest
import torch

from gfla.models.ablations import BilinearSampling
from gfla.models.blocks import Encoder
from gfla.models.renderer import Renderer, ViewEncoder

WIDTHS = (4, 6)


@pytest.fixture
def renderer() -> Renderer:
    """One that takes the reference's features at layer 1 along a flow."""
    torch.manual_seed(0)
    return Renderer(Encoder(5, WIDTHS), {1: {"reference": BilinearSampling()}}, WIDTHS, 3).eval()


def rendered(renderer: Renderer, features: torch.Tensor, mask: float) -> torch.Tensor:
    structure = torch.linspace(-1, 1, 5 * 16 * 16).view(1, 5, 16, 16)
    reference = ("reference", renderer.prepare("reference", [features, features]))
    estimates = {1: (torch.zeros(1, 1, 2, 8, 8), torch.full((1, 1, 1, 8, 8), mask))}
    with torch.no_grad():
        return renderer(renderer.encode(structure), [reference], estimates)


def test_the_mask_decides_between_reference_and_target(renderer):
    one, other = torch.randn(2, 1, 4, 8, 8)
    assert rendered(renderer, one, 0.0).shape == (1, 3, 16, 16)
    assert torch.equal(rendered(renderer, one, 0.0), rendered(renderer, other, 0.0))
    assert not torch.equal(rendered(renderer, one, 1.0), rendered(renderer, other, 1.0))


def test_the_blends_of_several_references_are_added(renderer):
    torch.manual_seed(1)
    target, source = torch.randn(2, 1, 4, 8, 8)
    prepared = renderer.prepare("reference", [source, source])
    masks = torch.rand(1, 2, 1, 8, 8)
    estimates = {1: (torch.zeros(1, 2, 2, 8, 8), masks)}
    references = [("reference", prepared)] * 2
    wanted = sum((1 - masks[:, i]) * target + masks[:, i] * source for i in range(2))
    torch.testing.assert_close(renderer._attend(1, target, references, estimates), wanted)


def test_a_view_grows_into_features_two_layers_up():
    (features,) = ViewEncoder(21, 4, 6)(torch.rand(2, 21, 3, 2))
    assert features.shape == (2, 6, 12, 8)
