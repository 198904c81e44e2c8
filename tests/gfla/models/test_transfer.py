from __future__ import annotations

import pytest
import torch

from gfla.config import ABLATIONS, PUBLISHED, PoseTransferConfig, ViewSynthesisConfig
from gfla.errors import GflaError
from tests.golden.make_golden import narrow
from tests.helpers import small_generator

CONFIGS = {"view": PUBLISHED["view"], "person-market": PUBLISHED["person-market"]} | ABLATIONS

IDLE = {
    "person-market": "encoder.downs.2.",  # nothing looks at the published network's third Down
    "view": "renderer.encoder.ups.0.body.0.weight",  # scales the norm of a constant map: zeros
}


def inputs(config, batch=2, height=64, width=64):
    random = torch.Generator().manual_seed(0)
    size = (1, 1) if isinstance(config, ViewSynthesisConfig) else (height, width)
    structure = (batch, config.structure_channels, *size)
    return (
        torch.rand(batch, 3, height, width, generator=random) * 2 - 1,
        torch.rand(structure, generator=random),
        torch.rand(structure, generator=random),
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_every_part_of_every_model_learns(name):
    generator = small_generator(narrow(CONFIGS[name]))
    prediction = generator(*inputs(generator.config))
    assert prediction.image.shape == (2, 3, 64, 64)
    assert prediction.image.abs().max() <= 1
    prediction.image.square().mean().backward()
    idle = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(n.startswith(IDLE.get(name, "-")) for n in idle)
    assert all(p.grad.isfinite().all() for p in generator.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("full", {3, 2}),
        ("bilinear", {3, 2}),
        ("view", {3, 2}),
        ("person-market", {2}),
        ("global-attention", set()),
        ("baseline", set()),
    ],
)
def test_flows_and_masks_where_the_model_samples_along_a_flow(name, layers):
    generator = small_generator(narrow(CONFIGS[name]))
    with torch.no_grad():
        prediction = generator(*inputs(generator.config))
    assert set(prediction.flows) == set(prediction.masks) == {(k, "reference") for k in layers}
    for (layer, _), flow in prediction.flows.items():
        assert flow.shape == (2, 2, 64 >> layer, 64 >> layer)
        assert prediction.masks[layer, "reference"].shape == (2, 1, 64 >> layer, 64 >> layer)


@pytest.mark.parametrize("name", CONFIGS)
def test_pictures_of_a_batch_do_not_see_each_other(name):
    generator = small_generator(narrow(CONFIGS[name]))
    source, before, after = inputs(generator.config)
    with torch.no_grad():
        together = generator(source, before, after).image
        alone = generator(source[1:], before[1:], after[1:]).image
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_target_structure_matters(name):
    generator = small_generator(narrow(CONFIGS[name]))
    source, before, after = inputs(generator.config)
    with torch.no_grad():
        moved = generator(source, before, after).image
        still = generator(source, before, before).image
    assert (moved - still).abs().mean() > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        lambda s, a, b: (s[:0], a[:0], b[:0]),
        lambda s, a, b: (s[:, :2], a, b),
        lambda s, a, b: (s, a[:, :17], b),
        lambda s, a, b: (s, a, b[..., :32]),
        lambda s, a, b: (s, a, b[:1]),
        lambda s, a, b: (s[..., :60], a[..., :60], b[..., :60]),
        lambda s, a, b: (s[..., :32, :32], a[..., :32, :32], b[..., :32, :32]),
    ],
)
def test_wrong_inputs_are_refused(change):
    generator = small_generator(narrow(PoseTransferConfig()))
    with pytest.raises(GflaError) as caught:
        generator(*change(*inputs(generator.config)))
    assert caught.value.code == "invalid_shape"


def test_views_are_vectors():
    generator = small_generator(narrow(ViewSynthesisConfig()))
    source, view, _ = inputs(generator.config)
    with pytest.raises(GflaError, match="1 1"):
        generator(source, view.expand(-1, -1, 64, 64), view)


def test_unknown_sampling_is_refused():
    with pytest.raises(GflaError, match="local, bilinear, global, none"):
        PoseTransferConfig(sampling="nearest")
