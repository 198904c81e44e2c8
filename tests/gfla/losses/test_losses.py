"""Losses of pixels, features and logits; flows: test_correctness and test_regularity."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from gfla.errors import GflaError
from gfla.guidance.face import face_structure
from gfla.losses.adversarial import (
    critic_loss,
    generator_loss,
    gradient_penalty,
)
from gfla.losses.anchors import anchor_distance
from gfla.losses.expression import expression_weights, expressive_windows
from gfla.losses.perceptual import (
    PERCEPTUAL_LAYERS,
    STYLE_LAYERS,
    feature_distance,
    gram_matrix,
    perceptual_loss,
    style_loss,
)
from gfla.losses.reconstruction import reconstruction_loss
from tests.golden.faces import MEAN_FACE
from tests.helpers import random_vgg

KINDS = ("least-squares", "hinge", "non-saturating")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return random_vgg(folder / "vgg.safetensors", PERCEPTUAL_LAYERS + STYLE_LAYERS, "vgg19")


@pytest.mark.parametrize("distance", [feature_distance, perceptual_loss, style_loss])
def test_feature_losses_are_zero_only_for_equal_pictures(features, distance):
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert distance(features(picture), features(picture)) == 0
    near = distance(features(picture + 0.01), features(picture))
    assert 0 < near < distance(features(-picture), features(picture))


def test_perceptual_loss_sums_mean_differences_over_layers():
    ours = {"a": torch.zeros(1, 2, 3, 3), "b": torch.ones(1, 1, 2, 2), "c": torch.ones(1, 1, 1, 1)}
    truth = {"a": torch.ones(1, 2, 3, 3), "b": 3 * torch.ones(1, 1, 2, 2)}
    assert perceptual_loss(ours, truth, ("a", "b")) == 1 + 2
    assert feature_distance(ours, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_gram_matrices_are_divided_by_all_that_was_summed_up():
    maps = torch.stack([torch.ones(4, 5), torch.arange(20.0).view(4, 5)])[None]
    gram = gram_matrix(maps)
    assert gram.shape == (1, 2, 2)
    assert gram[0, 0, 1] == pytest.approx(190 / 40)
    shuffled = maps.flatten(2)[..., torch.randperm(20)].view_as(maps)
    assert style_loss({"a": shuffled}, {"a": maps}, ("a",)) < 1e-5


def test_gram_matrices_keep_their_precision_under_autocast():
    maps = torch.rand(1, 4, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gram_matrix(maps), gram_matrix(maps))
        assert gram_matrix(maps.bfloat16()).dtype == torch.float32


def test_features_that_do_not_fit_are_refused():
    features = {"a": torch.zeros(1, 2, 3, 3)}
    for loss in (perceptual_loss, style_loss):
        with pytest.raises(GflaError) as caught:
            loss(features, features, ("a", "b"))
        assert caught.value.code == "unknown_layer"
        for other in (torch.zeros(1, 2, 3, 4), torch.zeros(0, 2, 3, 3)):
            with pytest.raises(GflaError) as caught:
                loss(features, {"a": other}, ("a",))
            assert caught.value.code == "invalid_shape"


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_want_the_opposite(kind):
    game, critic = partial(generator_loss, kind=kind), partial(critic_loss, kind=kind)
    low, high = torch.full((2, 1, 3, 3), -2.0), torch.full((2, 1, 3, 3), 1.0)
    assert game(high) < game(low)
    assert critic(high, low) < critic(low, high)
    logits = torch.zeros(2, 1, 3, 3, requires_grad=True)
    game(logits).backward()
    assert (logits.grad < 0).all()  # a step of the generator raises them


def test_adversarial_values():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    assert generator_loss(fake, "least-squares") == pytest.approx((16 + 0.25) / 2)
    assert critic_loss(real, fake) == pytest.approx(((1 + 0.25) / 2 + (9 + 0.25) / 2) / 2)
    assert generator_loss(fake, "hinge") == pytest.approx(1.25)
    assert critic_loss(real, fake, "hinge") == pytest.approx((0.25 + 0.75) / 2)
    half = torch.zeros(3)
    assert generator_loss(half, "non-saturating") == pytest.approx(math.log(2))
    assert critic_loss(half, half, "non-saturating") == pytest.approx(math.log(2))
    assert generator_loss(torch.tensor([-1e4]), "non-saturating") == pytest.approx(1e4)


def test_the_gradient_penalty_of_a_linear_critic_is_that_of_its_weights():
    torch.manual_seed(0)
    weights = torch.randn(3, 4, 5, requires_grad=True)
    penalty = gradient_penalty(lambda real: (real * weights).sum((1, 2, 3)), torch.rand(2, 3, 4, 5))
    torch.testing.assert_close(penalty, weights.square().sum() / 2)
    penalty.backward()
    torch.testing.assert_close(weights.grad, weights.detach())


def test_the_gradient_penalty_is_a_mean_over_pictures_and_exact_under_autocast():
    convolution = torch.nn.Conv2d(3, 4, 3)
    real = torch.rand(2, 3, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        together = gradient_penalty(lambda seen: convolution(seen).square(), real)
    alone = real.float().split(1)
    apart = [gradient_penalty(lambda seen: convolution(seen).square(), one) for one in alone]
    torch.testing.assert_close(together, torch.stack(apart).mean())


def test_unknown_games_are_refused():
    logits = torch.zeros(1)
    for play in (
        lambda: generator_loss(logits, "wasserstein"),
        lambda: critic_loss(logits, logits, "wasserstein"),
    ):
        with pytest.raises(GflaError, match="least-squares, hinge, non-saturating") as caught:
            play()
        assert caught.value.code == "invalid_config"


def test_reconstruction_weighs_pixels():
    result, target = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    target[..., 0] = 3
    assert reconstruction_loss(result, target) == pytest.approx(1.5)
    weights = torch.zeros(2, 1, 4, 4)
    weights[..., 0] = 4
    assert reconstruction_loss(result, target, weights) == pytest.approx(3)
    for wrong in (target[:1], target[:, :1], target[..., :3]):
        with pytest.raises(GflaError):
            reconstruction_loss(result, wrong)
    with pytest.raises(GflaError):
        reconstruction_loss(result[:0], target[:0])


def test_eyes_and_mouth_weigh_more():
    structure = torch.from_numpy(face_structure(MEAN_FACE * 128, 128))[None]
    weights = expression_weights(structure, (256, 256), weight=4.0)
    assert weights.shape == (1, 1, 256, 256)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    eye, corner = (MEAN_FACE[36:42].mean(0) * 256).astype(int), weights[0, 0, 3, 3]
    assert weights[0, 0, eye[1], eye[0]] > 3 * corner
    flat = expression_weights(structure, (64, 64), weight=1.0)
    assert torch.allclose(flat, torch.ones_like(flat))


def test_windows_lie_around_eyes_and_mouths_and_inside_the_picture():
    ys, xs = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    maps = torch.stack([xs, ys]).expand(3, -1, -1, -1)
    landmarks = torch.zeros(3, 68, 2)
    landmarks[:, 36:48] = torch.tensor([[0.5, 0.25], [1.0, 0.5], [0.0, 0.0]])[:, None]
    landmarks[:, 48:] = torch.tensor([[0.5, 0.5], [0.0, 1.0], [9.0, -9.0]])[:, None]
    windows = expressive_windows(maps, landmarks, 8)
    assert windows.shape == (6, 2, 8, 8)
    corners = [window[:, 0, 0].tolist() for window in windows]
    assert corners == [[20, 4], [40, 12], [0, 0], [20, 12], [0, 24], [40, 0]]
    assert expressive_windows(maps, landmarks, 100).shape == (6, 2, 32, 32)


def test_flows_are_held_at_landmarks_in_units_of_the_picture():
    flow = torch.zeros(2, 2, 4, 8)
    flow[:, 0], flow[:, 1] = 2, -1
    landmarks = torch.rand(2, 68, 2)
    assert anchor_distance(flow, landmarks) == pytest.approx(2 / 8 + 1 / 4)
    assert anchor_distance(flow.bfloat16(), landmarks) == pytest.approx(2 / 8 + 1 / 4)


def test_flows_count_where_landmarks_are_and_nowhere_else():
    flow = torch.zeros(1, 2, 4, 8, requires_grad=True)
    landmarks = torch.tensor([[[3 / 8, 3.5 / 4]]])  # between the third and fourth pixel, last row
    anchor_distance(flow + 1, landmarks).backward()
    wanted = torch.zeros(2, 4, 8)
    wanted[0, 3, 2:4], wanted[1, 3, 2:4] = 0.5 / 8, 0.5 / 4
    torch.testing.assert_close(flow.grad[0], wanted)
    for wrong in (landmarks[0], landmarks.expand(2, -1, -1)):
        with pytest.raises(GflaError):
            anchor_distance(flow, wrong)
