from __future__ import annotations

import dataclasses

import pytest
import torch

from gfla.config import AnimationConfig
from gfla.errors import GflaError
from tests.helpers import COMPACT, NARROW, face_inputs, small_generator

SEPARATE = dataclasses.replace(NARROW, flow_estimators="separate")


CORRECTED = dataclasses.replace(COMPACT, fusion_hidden=6)


@pytest.mark.parametrize("previous", [1, 2, 4])
@pytest.mark.parametrize(
    "config",
    [NARROW, SEPARATE, COMPACT, CORRECTED],
    ids=["published", "separate", "extended", "corrected"],
)
def test_shapes_and_names_of_a_step(config, previous):
    generator = small_generator(dataclasses.replace(config, previous_frames=previous))
    image, structure, landmarks = face_inputs(batch=2)
    with torch.no_grad():
        state = generator.start(image, structure, landmarks)
        state, prediction = generator.step(state, structure, landmarks)
    assert prediction.image.shape == (2, 3, 64, 64)
    assert prediction.image.abs().max() <= 1
    names = generator.config.references
    assert len(names) == previous + 1 == len(state.previous) + 1
    assert set(prediction.flows) == {(layer, name) for layer in (3, 2) for name in names}
    assert prediction.flows[3, "reference"].shape == (2, 2, 8, 8)
    assert prediction.masks[2, "previous"].shape == (2, 1, 16, 16)


def test_separate_estimators_see_one_reference_each():
    generator = small_generator(SEPARATE)
    image, structure, _ = face_inputs()
    other = face_inputs(seed=1)[0]
    with torch.no_grad():
        state = generator.start(image, structure)
        changed = dataclasses.replace(state, previous=generator.start(other, structure).previous)
        one = generator.step(state, structure)[1].flows
        two = generator.step(changed, structure)[1].flows
    assert torch.equal(one[3, "reference"], two[3, "reference"])
    assert not torch.equal(one[3, "previous"], two[3, "previous"])


def test_clips_of_a_batch_do_not_see_each_other():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs(batch=2)

    def run(part):
        with torch.no_grad():
            state = generator.start(image[part], structure[part], landmarks[part])
            state, _ = generator.step(state, structure[part], landmarks[part])
            return generator.step(state, structure[part], landmarks[part])[1].image

    together, alone = run(slice(0, 2)), run(slice(1, 2))
    # Convolutions round differently by batch size, and a rollout of noise amplifies it.
    torch.testing.assert_close(together[1:], alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize("config", [NARROW, SEPARATE], ids=["joint", "separate"])
def test_gradients_flow_through_a_block_and_stop_at_its_border(config):
    generator = small_generator(config)
    image, structure, _ = face_inputs()
    state, _ = generator.step(generator.start(image, structure), structure)
    through = generator.step(state, structure)[1].image.mean()
    assert state.previous[0].image.requires_grad
    through.backward()
    assert all(p.grad is not None for p in generator.parameters())
    assert not state.detach().previous[0].image.requires_grad
    assert not state.detach().previous[0].features[3].projection.requires_grad


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda i, s, m: (i, s[:, :15], m), "invalid_shape"),
        (lambda i, s, m: (i, s[..., :60], m), "invalid_shape"),
        (lambda i, s, m: (i[..., :60], s, m), "invalid_shape"),
        (lambda i, s, m: (i[..., :32, :32], s[..., :32, :32], m), "invalid_shape"),
        (lambda i, s, m: (i[:0], s[:0], m[:0]), "invalid_shape"),
        (lambda i, s, m: (i, s, m[:, :67]), "invalid_shape"),
        (lambda i, s, m: (i, s, None), "landmarks_needed"),
    ],
)
def test_wrong_inputs_are_refused(change, code):
    generator = small_generator(COMPACT)
    with pytest.raises(GflaError) as caught:
        generator.start(*change(*face_inputs()))
    assert caught.value.code == code


def test_larger_pictures_need_fusion():
    image, structure, _ = face_inputs(image_size=128)
    with pytest.raises(GflaError, match="fusion"):
        small_generator().start(image, structure)


@pytest.mark.parametrize(
    "wrong",
    [
        {"previous_frames": 5},
        {"attention": ((2, 5), (3, 3))},
        {"attention": ((3, 4),)},
        {"attention": ((4, 3),)},
        {"flow_widths": (4, 4)},
        {"structure_channels": 0},
        {"prior_ridge": 0.0},
        {"flow_estimators": "many"},
        {"fusion_hidden": 8},
        {"flow_widths": (4,) * 5000},
        {"attention": ((3, 3),) * 5000},
    ],
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(GflaError) as caught:
        AnimationConfig(**wrong)
    assert caught.value.code == "invalid_config"
    assert len(caught.value.message) < 200


def test_configurations_survive_json():
    config = dataclasses.replace(COMPACT, previous_frames=3)
    assert AnimationConfig.from_dict(config.to_dict()) == config
    with pytest.raises(GflaError, match="no_such_field"):
        AnimationConfig.from_dict({"no_such_field": 1})
