from __future__ import annotations

import dataclasses

import torch

from tests.helpers import COMPACT, NARROW, face_inputs, small_generator


def test_the_latest_frame_becomes_the_first_of_the_previous_ones():
    generator = small_generator(dataclasses.replace(NARROW, previous_frames=2))
    image, structure, _ = face_inputs()
    with torch.no_grad():
        start = generator.start(image, structure)
        first, one = generator.step(start, structure)
        second, two = generator.step(first, structure)
    assert second.previous[0].image is two.image
    assert second.previous[1].image is one.image
    assert start.previous[0].image is image  # the states before are untouched values


def test_a_clip_continues_from_a_state_as_if_it_had_never_stopped():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs()
    with torch.no_grad():
        state, _ = generator.step(
            generator.start(image, structure, landmarks), structure, landmarks
        )
        once = generator.step(state, structure, landmarks)[1].image
        again = generator.step(state, structure, landmarks)[1].image
    assert torch.equal(once, again)
