"""Parity of critics, losses and heat maps with numbers recorded from the published code."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from gfla.guidance.pose import pose_heatmaps
from gfla.published.critics import critic_from_published, critic_to_published


def golden(shared_dir, name):
    return load_file(shared_dir / "golden" / f"{name}.safetensors")


@pytest.mark.parametrize("name", ["image", "market", "video"])
def test_discriminator(shared_dir, name):
    values = golden(shared_dir, f"discriminator_{name}")
    published = {k.removeprefix("state/"): v for k, v in values.items() if k.startswith("state/")}
    critic = critic_from_published(published)
    with torch.no_grad():
        torch.testing.assert_close(critic(values["in/x"]), values["out/logits"], atol=1e-5, rtol=0)
    exported = critic_to_published(critic)
    assert exported.keys() == published.keys()
    assert all(torch.equal(exported[name], published[name]) for name in published)


@pytest.mark.parametrize(("name", "annotated"), [("fashion", (256, 176)), ("market", (128, 64))])
def test_pose_heatmaps(shared_dir, name, annotated):
    values = golden(shared_dir, f"pose_heatmaps_{name}")
    wanted = values["out/heatmaps"]
    joints = values["in/keypoints_yx"].flip(-1)
    maps = pose_heatmaps(joints[None], tuple(wanted.shape[1:]), annotated)[0]
    torch.testing.assert_close(maps, wanted.float(), atol=1e-3, rtol=0)  # recorded as float16
    assert torch.equal(maps.flatten(1).argmax(1), wanted.float().flatten(1).argmax(1))
