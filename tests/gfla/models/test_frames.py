from __future__ import annotations

import pytest
import torch

from gfla.config import PoseTransferConfig
from gfla.errors import GflaError
from gfla.models.frames import FrameByFrame
from tests.helpers import small_generator

WIDTHS = {"encoder_widths": (4, 6, 8), "flow_widths": (4, 4, 6, 6, 8), "attention_hidden": 8}


@pytest.mark.parametrize("sampling", ["local", "bilinear", "none"])
def test_a_frame_is_what_the_generator_gives_whatever_came_before(sampling: str) -> None:
    config = PoseTransferConfig(**WIDTHS, sampling=sampling)  # type: ignore[arg-type]
    generator = small_generator(config)
    image, own, first, second = (
        torch.rand(2, channels, 64, 32, generator=torch.Generator().manual_seed(channels + seed))
        for seed, channels in enumerate((3, 18, 18, 18))
    )
    network = FrameByFrame(generator)
    with torch.inference_mode():
        expected = generator(image, own, second)
        state = network.start(image, own)
        after, _ = network.step(state, first)
        after, prediction = network.step(after, second)
    assert after is state and state.previous == ()
    assert torch.equal(prediction.image, expected.image)
    assert prediction.flows.keys() == expected.flows.keys()
    assert all(torch.equal(prediction.flows[key], expected.flows[key]) for key in expected.flows)
    with pytest.raises(GflaError):
        network.step(state, first[..., :16])
