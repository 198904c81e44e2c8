from __future__ import annotations

import dataclasses

import torch

from tests.helpers import COMPACT, face_inputs, small_generator

CORRECTED = dataclasses.replace(COMPACT, fusion_hidden=6)


def test_fusion_takes_pictures_larger_than_the_structures():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs(image_size=192)
    with torch.no_grad():
        state = generator.start(image, structure, landmarks)
        state, prediction = generator.step(state, structure, landmarks)
        _, prediction = generator.step(state, structure, landmarks)
    assert prediction.image.shape == (1, 3, 192, 192)
    torch.testing.assert_close(prediction.blend.sum(1), torch.ones(1, 192, 192))


def test_the_correction_of_the_blend_sees_both_structures_and_learns():
    generator = small_generator(CORRECTED)
    image, structure, landmarks = face_inputs(image_size=128)
    other = structure.flip(1)
    state = generator.start(image, structure, landmarks)
    generator.step(state, structure, landmarks)[1].image.mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in generator.fusion.parameters())
    with torch.no_grad():  # with the rest of the network deaf to structures
        for parameter in generator.renderer.out.parameters():
            parameter.zero_()
        for head in (generator.flow_estimator.flow_heads, generator.flow_estimator.mask_heads):
            for parameter in head.parameters():
                parameter.zero_()
        seen = generator.step(state, structure, landmarks)[1].image
        assert not torch.equal(seen, generator.step(state, other, landmarks)[1].image)
        moved = generator.start(image, other, landmarks)
        assert not torch.equal(seen, generator.step(moved, structure, landmarks)[1].image)


def test_an_untrained_extended_model_is_near_the_landmark_warp():
    """With zero residual flow and shares on the source, a still face gives the source itself."""
    generator = small_generator(dataclasses.replace(COMPACT, mouth_head=(), eye_head=()))
    for heads in (generator.flow_estimator.flow_heads, generator.renderer.out[1]):
        for parameter in heads.parameters():
            torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(generator.fusion.bias[-1:], 50.0)
    image, structure, landmarks = face_inputs(image_size=128)
    with torch.no_grad():
        state = generator.start(image, structure, landmarks)
        _, prediction = generator.step(state, structure, landmarks)
    torch.testing.assert_close(prediction.image, image, atol=1e-3, rtol=0)
