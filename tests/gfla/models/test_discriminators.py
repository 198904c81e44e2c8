from __future__ import annotations

import pytest
import torch

from gfla.build import build_clip_critic, build_critic, initialise
from gfla.config import CriticConfig
from gfla.errors import GflaError
from gfla.losses.adversarial import gradient_penalty
from gfla.models.discriminators import GatedCritic, frame_differences

NARROW = CriticConfig(inputs=3, widths=(4, 6, 8))


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return build_critic(NARROW)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 16), (35, 21)])
def test_logits_are_an_eighth_of_the_picture(critic, height, width):
    logits = critic(torch.rand(2, 3, height, width) * 2 - 1)
    assert logits.shape == (2, 1, height // 8, width // 8)


def test_every_convolution_is_spectrally_normalised(critic):
    initialise(critic, gain=0.02)
    with torch.no_grad():
        critic(torch.rand(1, 3, 16, 16))  # a step of training renews the singular vectors
    critic.eval()
    convolutions = [m for m in critic.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 3 * 3 + 1
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), 2)
        assert largest == pytest.approx(1, abs=1e-4)


def test_pictures_that_do_not_fit_are_refused(critic):
    for shape in ((0, 3, 16, 16), (1, 6, 16, 16), (3, 16, 16), (1, 3, 16, 7)):
        with pytest.raises(GflaError) as caught:
            critic(torch.rand(shape))
        assert caught.value.code == "invalid_shape"


def test_two_passes_before_one_backward(critic):
    real, fake = critic(torch.rand(1, 3, 16, 16)), critic(torch.rand(1, 3, 16, 16))
    (fake.mean() - real.mean()).backward()
    assert all(p.grad is not None for p in critic.parameters())


def test_frame_differences_are_of_neighbours_in_order():
    frames = torch.rand(2, 3, 3, 4, 5)
    differences = frame_differences(frames)
    assert differences.shape == (2, 6, 4, 5)
    assert torch.equal(differences[:, :3], frames[:, 0] - frames[:, 1])
    assert torch.equal(differences[:, 3:], frames[:, 1] - frames[:, 2])
    with pytest.raises(GflaError):
        frame_differences(frames[:, :1])
    with pytest.raises(GflaError):
        frame_differences(frames[:0])


@pytest.fixture
def gated():
    """A gated critic without norms, and pictures with two maps and a gate that is half open."""
    torch.manual_seed(0)
    critic = build_critic(CriticConfig(inputs=5, widths=(4, 6), spectral_norm=False))
    initialise(critic, gain=1.0)
    shown = torch.rand(2, 6, 16, 24) * 2 - 1
    shown[:, 5] = (torch.arange(24) < 12).float()
    return GatedCritic(critic), shown


def test_a_critic_without_spectral_norm_has_plain_weights(gated):
    critic, _ = gated
    assert "critic.downs.0.body.1.weight" in critic.state_dict()
    assert not any("parametrizations" in name for name in critic.state_dict())


def test_a_gated_critic_sees_and_counts_what_the_gate_lets_through(gated):
    critic, shown = gated
    scores = critic(shown)
    assert scores.shape == (2,)
    other = shown.clone()
    other[:, :3, :, 12:] = 0
    torch.testing.assert_close(critic(other), scores)
    logits = critic.critic(torch.cat([other[:, :3], shown[:, 3:5]], 1))
    torch.testing.assert_close(logits[..., :3].mean((1, 2, 3)), scores)
    shown[:, 5] = 0
    assert (critic(shown) == 0).all()
    with pytest.raises(GflaError, match="B 6 H W"):
        critic(shown[:, 1:])


def test_a_gated_critic_is_steep_along_pictures_alone(gated):
    critic, shown = gated
    shown.requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(shown).sum(), shown)
    assert (slope[:, :3, :, :12] != 0).all()
    assert (slope[:, :3, :, 12:] == 0).all() and (slope[:, 3:] == 0).all()
    penalty = gradient_penalty(critic, shown)
    torch.testing.assert_close(penalty, slope.square().sum() / 4)
    penalty.backward()
    assert critic.critic.head[1].weight.grad.abs().sum() > 0


def test_a_critic_of_clips_looks_along_time_as_well():
    torch.manual_seed(0)
    critic = build_clip_critic(6, (32, 64, 128, 128), spectral_norm=True)
    initialise(critic, gain=0.02)
    shapes = {
        name.removesuffix(".parametrizations.weight.original"): tuple(value.shape)
        for name, value in critic.state_dict().items()
        if name.endswith("original")
    }
    assert shapes == {
        "clip_downs.0.body.1": (32, 3, 3, 3, 3),
        "clip_downs.0.body.3": (32, 32, 3, 4, 4),
        "clip_downs.0.shortcut.1": (32, 3, 1, 1, 1),
        "clip_downs.1.body.1": (32, 32, 3, 3, 3),
        "clip_downs.1.body.3": (64, 32, 3, 4, 4),
        "clip_downs.1.shortcut.1": (64, 32, 1, 1, 1),
        # Two of six frames are left, which makes 128 channels of 64.
        "downs.0.body.1": (128, 128, 3, 3),
        "downs.0.body.3": (128, 128, 4, 4),
        "downs.0.shortcut.1": (128, 128, 1, 1),
        "downs.1.body.1": (128, 128, 3, 3),
        "downs.1.body.3": (128, 128, 4, 4),
        "downs.1.shortcut.1": (128, 128, 1, 1),
        "head.1": (1, 128, 1, 1),
    }
    clip = torch.rand(2, 6, 3, 32, 48) * 2 - 1
    logits = critic(clip)
    assert logits.shape == (2, 1, 2, 3)
    logits.mean().backward()
    assert all(p.grad is not None for p in critic.parameters())
    for wrong in (clip[:, :5], clip[:, :, :2], clip[..., :8, :], clip[0]):
        with pytest.raises(GflaError) as caught:
            critic(wrong)
        assert caught.value.code == "invalid_shape"


def test_a_critic_of_clips_tells_their_frames_order():
    torch.manual_seed(0)
    critic = build_clip_critic(6, (4, 6, 8), spectral_norm=False)
    initialise(critic, gain=1.0)
    down = critic.clip_downs[0]
    clip = torch.rand(1, 6, 3, 16, 16) * 2 - 1
    assert not torch.allclose(critic(clip), critic(clip.flip(1)))
    # A Down's shortcut takes means of three frames and of 2 x 2 pixels; time shrinks by two.
    features = clip.transpose(1, 2)
    found = down(features) - down.body(features)
    means = torch.stack([features[:, :, t : t + 3].mean(2) for t in range(4)], 2)
    means = means.unflatten(-1, (8, 2)).mean(-1).unflatten(-2, (8, 2)).mean(-2)
    weight, bias = down.shortcut[1].weight.flatten(1), down.shortcut[1].bias
    expected = torch.einsum("oc,bcthw->bothw", weight, means) + bias[:, None, None, None]
    torch.testing.assert_close(found, expected)
