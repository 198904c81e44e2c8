from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from gfla.errors import GflaError
from gfla.guidance.face import face_structure
from gfla.losses.flow import roughness, warped_distance
from gfla.losses.perceptual import VGG16_CONVOLUTIONS, Vgg16Features, feature_distance
from gfla.losses.regions import expression_weights
from tests.golden.faces import MEAN_FACE


def random_vgg(path, layers=("relu1_2", "relu2_2")):
    """A file of the right names and shapes; its values need not be trained."""
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    torch.manual_seed(0)
    state = {}
    for index, place in enumerate(VGG16_CONVOLUTIONS[:4]):
        inputs, outputs = widths[index], widths[index + 1]
        state[f"features.{place}.weight"] = torch.randn(outputs, inputs, 3, 3) / inputs**0.5 / 3
        state[f"features.{place}.bias"] = torch.zeros(outputs)
    save_file(state, path)
    return Vgg16Features(path, layers)


def test_feature_distance_is_zero_only_for_equal_pictures(tmp_path):
    features = random_vgg(tmp_path / "vgg.safetensors")
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert [tuple(f.shape) for f in features(picture)] == [(1, 64, 32, 32), (1, 128, 16, 16)]
    assert feature_distance(features(picture), features(picture)) == 0
    near = feature_distance(features(picture + 0.01), features(picture))
    assert 0 < near < feature_distance(features(-picture), features(picture))


def test_features_pass_gradients_to_the_picture_but_keep_their_weights(tmp_path):
    features = random_vgg(tmp_path / "vgg.safetensors")
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    sum(f.mean() for f in features(picture)).backward()
    assert picture.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())


def test_feature_files_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(GflaError) as caught:
        random_vgg(tmp_path / "vgg.safetensors", layers=("relu9_9",))
    assert caught.value.code == "unknown_layer"
    with pytest.raises(GflaError) as caught:
        Vgg16Features(tmp_path / "none.safetensors", ("relu1_2",))
    assert caught.value.code == "bad_checkpoint"
    with pytest.raises(GflaError) as caught:
        random_vgg(tmp_path / "vgg.safetensors", layers=("relu5_3",))
    assert caught.value.code == "bad_checkpoint"


def test_roughness_is_zero_for_affine_motion():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    flow = torch.stack([2 * x - y + 1, 0.5 * y])[None]
    assert roughness(flow) < 1e-6
    assert roughness(flow + torch.randn_like(flow)) > 1


def test_warped_distance_is_zero_for_the_right_flow():
    reference = torch.rand(1, 3, 32, 32)
    target = torch.roll(reference, shifts=-4, dims=3)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 1
    right = warped_distance(reference[..., :28], target[..., :28], flow[..., :7])
    wrong = warped_distance(reference, target, torch.zeros_like(flow))
    assert right < wrong / 3


def test_eyes_and_mouth_weigh_more():
    structure = torch.from_numpy(face_structure(MEAN_FACE * 128, 128))[None]
    weights = expression_weights(structure, (256, 256), weight=4.0)
    assert weights.shape == (1, 1, 256, 256)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    eye, corner = (MEAN_FACE[36:42].mean(0) * 256).astype(int), weights[0, 0, 3, 3]
    assert weights[0, 0, eye[1], eye[0]] > 3 * corner
    flat = expression_weights(structure, (64, 64), weight=1.0)
    assert torch.allclose(flat, torch.ones_like(flat))
