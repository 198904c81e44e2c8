from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.ops.gaussian import gaussian_sample
from tests.gfla.ops.obvious import obvious_gaussian
from tests.helpers import TOLERANCE


def inputs(batch=2, channels=6, height=7, width=9, dtype=torch.float32, spread=2.0, seed=0):
    random = torch.Generator().manual_seed(seed)
    source, target = torch.rand(2, batch, channels, height, width, generator=random, dtype=dtype)
    flow = spread * torch.randn(batch, 2, height, width, generator=random, dtype=dtype)
    return flow, source, target


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("window", "sigma"), [(4, 2.0), (2, 0.7)])
def test_gaussian_samples(dtype, window, sigma):
    flow, image, _ = inputs(height=5, width=7, dtype=dtype, spread=4.0)
    flow = flow[..., :4, :]  # more than the map may be asked for, or less
    expected = obvious_gaussian(image, flow, window, sigma)
    torch.testing.assert_close(
        gaussian_sample(image, flow, window, sigma), expected, **TOLERANCE[dtype]
    )


def test_gaussian_arguments_are_checked():
    flow, image, _ = inputs()
    for wrong in ({"window": 3}, {"window": 0}, {"sigma": 0.0}):
        with pytest.raises(GflaError) as caught:
            gaussian_sample(image, flow, **wrong)
        assert caught.value.code == "invalid_config"
    with pytest.raises(GflaError):
        gaussian_sample(image[:0], flow[:0])
