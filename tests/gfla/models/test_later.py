from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from gfla.models.later import Later, begin
from tests.helpers import COMPACT, face_inputs, small_generator


def test_it_is_made_in_another_thread_in_the_modes_of_this_one():
    def make() -> Mapping[str, object]:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return {
            "thread": threading.get_ident(),
            "inference": torch.is_inference_mode_enabled(),
            "type": product.dtype,
        }

    with ThreadPoolExecutor(1) as pool:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            there = Later(begin(pool, make))
        with torch.inference_mode():
            full = Later(begin(pool, make))
        assert there["thread"] != threading.get_ident()
        assert (there["inference"], there["type"], full["type"]) == (
            True,
            torch.bfloat16,
            torch.float32,
        )
        assert (len(there), list(there)) == (3, ["thread", "inference", "type"])
        # Gradients belong to the thread that wants them.
        assert Later(begin(pool, make))["thread"] == threading.get_ident()


def test_what_went_wrong_comes_to_whoever_looks():
    def fail() -> Mapping[str, int]:
        raise ValueError("no features")

    with ThreadPoolExecutor(1) as pool, torch.inference_mode():
        made = Later(begin(pool, fail))
        with pytest.raises(ValueError, match="no features"):
            made["any"]


def test_a_rollout_is_the_same_with_and_without_a_pool():
    generator = small_generator(COMPACT)
    image, structure, landmarks = face_inputs(image_size=64)

    def rollout() -> list[torch.Tensor]:
        pictures = []
        with torch.inference_mode():
            state = generator.start(image, structure, landmarks)
            for step in range(3):
                moved = landmarks + 0.01 * step
                state, prediction = generator.step(state, structure, moved)
                pictures.append(prediction.image)
        return pictures

    alone = rollout()
    with ThreadPoolExecutor(2) as pool:
        generator.pool = pool
        beside = rollout()
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
