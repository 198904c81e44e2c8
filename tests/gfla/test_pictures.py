"""Pictures of the networks' insides: colours of known flows, attention where it must land."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gfla.config import ABLATIONS, AnimationConfig, PoseTransferConfig
from gfla.errors import GflaError
from gfla.ops.local_attention import gather
from gfla.pictures import (
    attention_heat,
    attention_picture,
    flow_picture,
    flow_scale,
    flow_wheel,
    heat_bar,
    heat_picture,
    kernels_by_reference,
    record_attention,
    to_picture,
    warped_picture,
)
from tests.helpers import COMPACT, NARROW, face_inputs, small_generator

RIGHT, RED = (1.0, 0.0), (255, 0, 0)
WHITE = (255, 255, 255)


def constant(x: float, y: float, height: int = 3, width: int = 4) -> torch.Tensor:
    return torch.tensor([x, y]).view(2, 1, 1).expand(2, height, width)


def test_a_tensor_becomes_a_picture() -> None:
    image = torch.tensor([-1.0, 0, 1, 2]).expand(3, 1, 4)
    assert to_picture(image).tolist() == [[[0] * 3, [128] * 3, [255] * 3, [255] * 3]]


def test_no_flow_is_white_and_a_flow_to_the_right_is_red() -> None:
    assert (flow_picture(constant(0, 0), 5) == WHITE).all()
    drawn = flow_picture(constant(5, 0), 5)
    assert drawn.shape == (3, 4, 3) and drawn.dtype == np.uint8
    assert np.abs(drawn.astype(int) - RED).max() <= 20


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_the_wheel_shows_the_colour_of_every_direction(degrees: int) -> None:
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    wheel = flow_wheel(201)
    place = wheel[round(100 + 50 * y), round(100 + 50 * x)]
    drawn = flow_picture(constant(3 * x, 3 * y), 6)[0, 0]
    assert np.abs(place.astype(int) - drawn).max() <= 6
    opposite = wheel[round(100 - 50 * y), round(100 - 50 * x)]
    assert np.abs(opposite.astype(int) - drawn).max() > 60


def test_the_wheel_is_round_and_white_in_the_middle() -> None:
    wheel = flow_wheel(101)
    assert (wheel[0, 0] == WHITE).all() and (wheel[-1, -1] == WHITE).all()
    assert wheel[50, 50].min() > 250
    assert (flow_wheel(101, (9, 9, 9))[0, 0] == 9).all()


def test_a_vector_has_its_colour_whatever_is_beside_it() -> None:
    alone, crowded = constant(2, 1).clone(), constant(2, 1).clone()
    crowded[:, 0, 0] = torch.tensor([90.0, -3])
    assert (flow_picture(alone, 4)[1:] == flow_picture(crowded, 4)[1:]).all()
    paler = flow_picture(alone, 40)[0, 0]
    assert paler.min() > flow_picture(alone, 4)[0, 0].min()


def test_vectors_beyond_the_scale_have_the_rims_colour() -> None:
    assert (flow_picture(constant(50, 0), 5) == flow_picture(constant(5, 0), 5)).all()


def test_the_scale_leaves_outliers_out() -> None:
    flow = constant(3, 4, 20, 20).clone()
    flow[:, 0, 0] = 1000
    assert flow_scale([flow, constant(0, 0)]) == pytest.approx(5)
    assert flow_scale([constant(0, 0)]) > 0


def test_heat_maps_have_the_colours_of_their_legend() -> None:
    drawn = heat_picture(torch.tensor([[[0.0, 1.0, 7.0]]]))
    bar = heat_bar(10, 2)
    assert (drawn[0, 0] == bar[0, 0]).all() and (drawn[0, 1] == bar[1, -1]).all()
    assert (drawn[0, 2] == drawn[0, 1]).all()
    lightness = bar[0].astype(int) @ [299, 587, 114]
    assert (np.diff(lightness) > 0).all()


def test_a_warped_picture_is_fetched_from_where_the_flow_leads() -> None:
    image = torch.linspace(-1, 1, 8).expand(3, 8, 8)
    drawn = warped_picture(image, constant(0.5, 0, 4, 4))  # one pixel of the picture
    assert (drawn[:, :-1] == to_picture(image)[:, 1:]).all()
    assert (drawn[:, -1] == 255).all()  # beyond the border lies the border


SHAPES = {
    "flow without y": lambda: flow_picture(torch.zeros(1, 4, 4), 1),
    "batch": lambda: heat_picture(torch.zeros(2, 4, 4)),
    "sizes that do not fit": lambda: warped_picture(torch.zeros(3, 9, 9), torch.zeros(2, 4, 4)),
    "wide": lambda: warped_picture(torch.zeros(3, 8, 16), torch.zeros(2, 4, 4)),
    "not square": lambda: attention_heat(torch.zeros(6, 4, 4), torch.zeros(2, 4, 4), []),
    "two sizes": lambda: attention_heat(torch.zeros(9, 4, 5), torch.zeros(2, 4, 4), []),
    "no colour": lambda: attention_picture(np.zeros((4, 4, 3), np.uint8), torch.ones(1, 2, 2), []),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(GflaError) as caught:
        SHAPES[name]()
    assert caught.value.code == "invalid_shape"


def test_values_that_mean_nothing_are_refused() -> None:
    for scale in (0.0, -1.0, math.nan):
        with pytest.raises(GflaError) as caught:
            flow_picture(constant(1, 1), scale)
        assert caught.value.code == "invalid_value"
    with pytest.raises(GflaError) as caught:
        attention_heat(torch.zeros(9, 4, 4), torch.zeros(2, 4, 4), [(4, 0)])
    assert caught.value.code == "invalid_value"


def test_attention_lands_where_flow_and_weights_say() -> None:
    weights = torch.zeros(9, 7, 8)
    weights[5] = 1  # row by row: the right neighbour
    heat = attention_heat(weights, constant(2, -1, 7, 8), [(4, 3)])
    assert heat[0].nonzero().tolist() == [[3, 6]]
    between = attention_heat(weights, constant(2.25, -1, 7, 8), [(4, 3)])
    assert between[0, 3, 6] == 0.75 and between[0, 3, 7] == 0.25
    outside = attention_heat(weights, constant(-99, 99, 7, 8), [(4, 3)])
    assert outside[0].nonzero().tolist() == [[6, 0]]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("reach", [0.4, 3.0, 40.0])
def test_attention_is_what_the_networks_gather(kernel: int, reach: float) -> None:
    random = torch.Generator().manual_seed(0)
    height, width = 6, 9
    source = torch.randn(1, 4, height, width, generator=random, dtype=torch.float64)
    flow = reach * torch.randn(1, 2, height, width, generator=random, dtype=torch.float64)
    logits = torch.randn(1, kernel**2, height, width, generator=random, dtype=torch.float64)
    weights = logits.softmax(1)
    cells = [(row, column) for row in range(height) for column in range(width)]
    heat = attention_heat(weights[0], flow[0], cells)
    torch.testing.assert_close(heat.sum((1, 2)), torch.ones(len(cells), dtype=torch.float64))
    gathered = torch.einsum("nhw,chw->cn", heat, source[0]).view(4, height, width)
    torch.testing.assert_close(gathered, gather(source, flow, weights)[0])


def test_attention_is_drawn_in_its_colour_over_a_grey_picture() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 200
    heat = torch.zeros(2, 4, 4)
    heat[0, 0, 0], heat[0, 0, 1] = 0.6, 0.3
    heat[1, 3, 3] = 0.01
    drawn = attention_picture(picture, heat, [(10, 20, 30), (0, 200, 0)])
    assert (drawn[:2, :2] == (10, 20, 30)).all()
    assert (drawn[6:, 6:] == (0, 200, 0)).all()  # each map by its own largest weight
    plain = drawn[4, 4]
    assert plain.max() - plain.min() == 0 and plain.min() > 60
    half = drawn[0, 2].astype(int)
    assert np.abs(half - (plain.astype(int) + (10, 20, 30)) / 2).max() <= 1
    assert picture[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("base", [NARROW, COMPACT], ids=["published", "compact"])
def test_every_block_is_recorded_for_every_reference(base: AnimationConfig, frames: int) -> None:
    config = AnimationConfig.from_dict({**base.to_dict(), "previous_frames": frames})
    generator = small_generator(config)
    image, structure, landmarks = face_inputs(2)
    with torch.no_grad():
        state = generator.start(image, structure, landmarks)
        state, plain = generator.step(state, structure.flip(-1), landmarks + 0.03)
        state, expected = generator.step(state, structure, landmarks)
        state = generator.start(image, structure, landmarks)
        state, _ = generator.step(state, structure.flip(-1), landmarks + 0.03)
        with record_attention(generator) as recorded:
            _, prediction = generator.step(state, structure, landmarks)
            generator.start(image, structure, landmarks)  # attends to nothing
        generator.step(state, structure, landmarks)
    assert torch.equal(prediction.image, expected.image)
    assert len(recorded) == len(config.attention) * (frames + 1)
    kernels = kernels_by_reference(recorded, prediction.flows)
    assert set(kernels) == set(prediction.flows)
    sides = dict(config.attention)
    for (layer, reference), found in kernels.items():
        assert found.block.endswith(f"{layer}.{reference.split('_')[0]}")
        side = 64 // 2**layer
        assert found.weights.shape == (2, sides[layer] ** 2, side, side)
        torch.testing.assert_close(found.weights.sum(1), torch.ones(2, side, side))
        assert torch.equal(found.flow, prediction.flows[layer, reference])
    with pytest.raises(GflaError) as caught:
        kernels_by_reference(recorded, plain.flows)
    assert caught.value.code == "invalid_value"


def test_hooks_are_gone_after_a_failure() -> None:
    generator = small_generator()
    with pytest.raises(GflaError), record_attention(generator) as recorded:
        generator.start(*face_inputs(1, 16)[:2])
    assert not any(module._forward_hooks for module in generator.modules())
    assert recorded == []


def small(config: PoseTransferConfig) -> PoseTransferConfig:
    narrow = {name: NARROW.to_dict()[name] for name in ("encoder_widths", "flow_widths")}
    return PoseTransferConfig.from_dict({**config.to_dict(), **narrow, "attention_hidden": 8})


def test_generators_with_one_reference_are_recorded_alike() -> None:
    generator = small_generator(small(PoseTransferConfig()))
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    poses = torch.rand(2, 1, 18, 64, 64)
    with torch.no_grad(), record_attention(generator) as recorded:
        prediction = generator(image, poses[0], poses[1])
    kernels = kernels_by_reference(recorded, prediction.flows)
    assert set(kernels) == {(3, "reference"), (2, "reference")}
    flow = prediction.flows[2, "reference"][0]
    heat = attention_heat(kernels[2, "reference"].weights[0], flow, [(5, 7)])
    assert float(heat.sum()) == pytest.approx(1, abs=1e-5)
    assert warped_picture(image[0], flow).shape == (64, 64, 3)


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_ablations_have_kernels_where_they_have_local_attention(name: str) -> None:
    config = small(ABLATIONS[name])
    generator = small_generator(config)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    poses = torch.rand(2, 1, 18, 64, 64)
    with torch.no_grad(), record_attention(generator) as recorded:
        prediction = generator(image, poses[0], poses[1])
    kernels = kernels_by_reference(recorded, prediction.flows)
    assert len(kernels) == (len(config.attention) if config.sampling == "local" else 0)
