"""Parity of critics, losses and heat maps with numbers recorded from the published code."""

from __future__ import annotations

import pytest
import torch

from gfla.guidance.pose import pose_heatmaps
from gfla.losses.correctness import sampling_correctness
from gfla.losses.features import VggFeatures
from gfla.losses.perceptual import gram_matrix
from gfla.losses.regularity import affine_residual
from gfla.ops.gaussian import gaussian_sample
from gfla.published.critics import critic_from_published, critic_to_published
from tests.golden.published import published_case


@pytest.mark.parametrize("name", ["image", "market", "video"])
def test_discriminator(name):
    values = published_case(f"discriminator_{name}")
    published = {k.removeprefix("state/"): v for k, v in values.items() if k.startswith("state/")}
    critic = critic_from_published(published)
    with torch.no_grad():
        torch.testing.assert_close(critic(values["in/x"]), values["out/logits"], atol=1e-5, rtol=0)
    exported = critic_to_published(critic)
    assert exported.keys() == published.keys()
    assert all(torch.equal(exported[name], published[name]) for name in published)


@pytest.mark.parametrize(("name", "annotated"), [("fashion", (256, 176)), ("market", (128, 64))])
def test_pose_heatmaps(name, annotated):
    values = published_case(f"pose_heatmaps_{name}")
    wanted = values["out/heatmaps"]
    joints = values["in/keypoints_yx"].flip(-1)
    maps = pose_heatmaps(joints[None], tuple(wanted.shape[1:]), annotated)[0]
    torch.testing.assert_close(maps, wanted.float(), atol=1e-3, rtol=0)  # recorded as float16
    assert torch.equal(maps.flatten(1).argmax(1), wanted.float().flatten(1).argmax(1))


@pytest.mark.parametrize("kernel", [3, 5])
def test_affine_residual(kernel):
    values = published_case(f"affine_regularization_k{kernel}")
    flow = values["in/flow"].requires_grad_()
    loss = affine_residual(flow, kernel)
    torch.testing.assert_close(loss.view(1), values["out/loss"], atol=0, rtol=1e-5)
    loss.backward()
    torch.testing.assert_close(flow.grad, values["out/grad_flow"], atol=1e-4, rtol=0)


def test_sampling_correctness():
    values = published_case("sampling_correctness")
    flow = values["in/flow"].requires_grad_()
    source, target = values["in/source_features"], values["in/target_features"]
    warped = gaussian_sample(source, flow)
    torch.testing.assert_close(warped, values["out/warped"], atol=1e-5, rtol=0)
    loss = sampling_correctness(flow, source, target)
    torch.testing.assert_close(loss.view(1), values["out/loss"], atol=1e-5, rtol=0)
    loss.backward()
    # The gradients themselves are of the order of 1e-5.
    torch.testing.assert_close(flow.grad, values["out/grad_flow"], atol=1e-9, rtol=1e-4)


def test_gram_matrix():
    values = published_case("gram_matrix")
    gram = gram_matrix(values["in/features"])
    torch.testing.assert_close(gram, values["out/gram"], atol=1e-5, rtol=0)


def test_features_of_a_shared_file(shared_dir):
    path = shared_dir / "weights" / "vgg16_imagenet_features.safetensors"
    taps = VggFeatures(("relu1_2", "relu3_3"), "vgg16", path)(torch.zeros(1, 3, 32, 32))
    assert [tuple(tap.shape) for tap in taps.values()] == [(1, 64, 32, 32), (1, 256, 8, 8)]
