from __future__ import annotations

import dataclasses

import pytest
import torch

from gfla.build import build_generator
from gfla.config import PUBLISHED, AnimationConfig
from gfla.errors import GflaError
from gfla.models.rollout import RolloutState, known_of, overwrite, split, stack
from gfla.ops.regions import (
    REGIONS,
    align,
    paste,
)
from tests.helpers import COMPACT, TOLERANCE, face_inputs, small_generator


def closing(points: torch.Tensor) -> torch.Tensor:
    """With lips and lids much closer together."""
    points = points.clone()
    for region in REGIONS:
        for upper, lower in zip(region.upper[1:-1], region.lower[1:-1], strict=True):
            middle = (points[:, upper] + points[:, lower]) / 2
            points[:, upper] = points[:, lower] = middle
    return points


def rollout(config: AnimationConfig, batch: int = 1, image_size: int = 64):
    generator = small_generator(config)
    image, structure, landmarks = face_inputs(batch, image_size=image_size)
    with torch.no_grad():
        state = generator.start(image, structure, closing(landmarks))
        return generator, state, *generator.step(state, structure, landmarks)


def test_heads_draw_regions_and_nothing_else():
    generator, _, _, prediction = rollout(COMPACT, image_size=128)
    with torch.no_grad():
        generator.regions = None
        image, structure, landmarks = face_inputs(image_size=128)
        before = generator.step(
            generator.start(image, structure, closing(landmarks)), structure, landmarks
        )[1].image
    assert prediction.regions is not None
    assert set(prediction.regions.shares) == {region.name for region in REGIONS}
    changed = (prediction.image - before).abs().amax(1) > 1e-6
    assert 0.001 < float(changed.float().mean()) < 0.2
    crops = [(torch.ones(1, 1, r.height, r.width), align(r, landmarks)) for r in REGIONS]
    covered = paste(torch.zeros(1, 1, 128, 128), crops)
    assert not (changed & (covered[:, 0] == 0)).any()


@pytest.mark.parametrize("finished", [False, True])
def test_the_frames_after_refer_to_it_with_or_without_its_regions(finished):
    config = dataclasses.replace(COMPACT, finished_reference=finished)
    _, _, state, prediction = rollout(config)
    same = torch.equal(state.previous[0].image, prediction.image)
    assert same is finished


def test_clips_of_a_batch_are_drawn_as_they_are_alone():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs(batch=3)
    with torch.no_grad():
        together = generator.step(
            generator.start(image, structure, landmarks), structure, landmarks
        )[1]
        states = [
            generator.start(image[i, None], structure[i, None], landmarks[i, None])
            for i in range(3)
        ]
        merged = RolloutState(
            stack([state.source for state in states]),
            (stack([state.previous[0] for state in states]),),
        )
        stacked = generator.step(merged, structure, landmarks)[1]
        alone = generator.step(states[1], structure[1, None], landmarks[1, None])[1]
    torch.testing.assert_close(stacked.image, together.image, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.image[1, None], alone.image, atol=1e-4, rtol=0)


def test_what_heads_keep_of_a_source_moves_with_its_state():
    _, state, _, _ = rollout(COMPACT, batch=2)
    parts = split(state.source, 2)
    for name, levels in state.source.regions.items():
        for level, (whole, part) in enumerate(zip(levels, parts[1].regions[name], strict=True)):
            assert torch.equal(whole[1:], part), (name, level)
    overwrite(parts[0], parts[1])
    assert torch.equal(parts[0].regions["eye"][0], parts[1].regions["eye"][0])


def test_the_published_configurations_have_no_heads():
    for config in PUBLISHED.values():
        assert getattr(build_generator(config), "regions", None) is None


def test_heads_have_two_million_parameters_at_most():
    config = AnimationConfig(image_fusion=True, mouth_head=(40, 72, 112), eye_head=(32, 56, 88))
    with torch.device("meta"):
        heads = build_generator(config).regions
    assert heads is not None
    assert sum(parameter.numel() for parameter in heads.parameters()) <= 2_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_fusion": False, "flow_prior": False}, "mouth_head is .* without image_fusion"),
        ({"mouth_head": (8,)}, "mouth_head is .* 2 to 4 positive widths"),
        ({"eye_head": (8, 0)}, "eye_head is .* positive widths"),
        ({"eye_head": (8,) * 5}, "2 to 4"),
    ],
)
def test_impossible_heads_are_refused(changes, message):
    with pytest.raises(GflaError, match=message) as caught:
        dataclasses.replace(COMPACT, **changes)
    assert caught.value.code == "invalid_config"


def test_heads_ask_for_landmarks():
    generator = small_generator(dataclasses.replace(COMPACT, flow_prior=False))
    image, structure, _ = face_inputs()
    with pytest.raises(GflaError, match="a region head needs landmarks") as caught:
        generator.start(image, structure)
    assert caught.value.code == "landmarks_needed"


def test_gradients_reach_the_picture_and_the_head():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs()
    assert generator.regions is not None
    picture = image.clone().requires_grad_()
    finished = generator.regions(
        picture, landmarks, generator.regions.source(image, landmarks), closing(landmarks)
    )
    finished.picture.mean().backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert all(p.grad is not None for p in generator.regions.parameters())


def test_half_precision_is_for_features_alone():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs()
    assert generator.regions is not None
    with torch.no_grad():
        source = generator.regions.source(image, landmarks)
        exact = generator.regions(image, landmarks, source, closing(landmarks))
        with torch.autocast("cpu", torch.bfloat16):
            source = generator.regions.source(image, landmarks)
            half = generator.regions(image, landmarks, source, closing(landmarks))
    assert half.picture.dtype == torch.float32
    torch.testing.assert_close(half.picture, exact.picture, **TOLERANCE[torch.bfloat16])
    for name, before in half.before.items():
        assert torch.equal(before, exact.before[name])


def test_regions_that_are_open_as_in_the_source_are_left_alone():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs(image_size=128)
    shut = landmarks.clone()
    shut[:, 60:68] = closing(landmarks)[:, 60:68]  # the mouth alone
    state = generator.start(image, structure, landmarks)
    learning = generator.step(state, structure, shut)[1]
    with torch.inference_mode():
        state = generator.start(image, structure, landmarks)
        told = generator.tell(structure, shut, known_of(state))
        prediction = generator.advance(state, told)[1]
        finished = generator.finish(prediction.image, shut, state.source)
        same = generator.finish(prediction.image, landmarks, state.source)
    assert set(learning.regions.shares) == {region.name for region in REGIONS}
    assert set(finished.shares) == {"mouth"}
    torch.testing.assert_close(finished.picture, learning.image, **TOLERANCE[torch.float32])
    assert not same.shares
    assert torch.equal(same.picture, prediction.image)
