"""Training configurations: strict, inherited, overridden, compared."""

from __future__ import annotations

import pytest
import yaml

from gfla.config import ABLATIONS, PUBLISHED
from gfla.errors import GflaError
from gfla.training.config_files import config_from, dump, load_config, shipped


@pytest.mark.parametrize("name", shipped())
def test_shipped_configurations_read_and_come_back(name: str) -> None:
    config = load_config(name)
    assert config.name == name
    assert config_from(yaml.safe_load(dump(config))) == config


@pytest.mark.parametrize("name", ["person-fashion", "person-market", "face", "dance", "view"])
def test_published_ones_have_the_published_model_and_settings(name: str) -> None:
    config = load_config(name)
    assert config.model == PUBLISHED[name]
    weights = config.losses
    assert (weights.reconstruction, weights.adversarial, weights.perceptual) == (5, 2, 0.5)
    # iPER's foreground masks come with a weight of 2.
    correctness = 2 if name == "dance" else 5
    assert (weights.style, weights.correctness, weights.regularity) == (500, correctness, 0.0025)
    assert (weights.flow_correctness, weights.flow_regularity) == (20, 0.01)
    assert (config.optimizer.learning_rate, config.optimizer.betas) == (1e-4, (0, 0.999))
    assert (config.optimizer.critic_ratio, config.initial_gain) == (0.1, 0.02)
    assert (config.features.network, config.features.normalise) == ("vgg19", "none")
    clips = config.animates
    assert (config.batch, config.frames, config.block) == ((2, 30, 6) if clips else (8, 1, 1))
    assert bool(config.critics.temporal) == clips
    # Critics first, sums over frames, the latest weights.
    assert (config.critics.first, config.block_sum, config.ema) == (True, clips, 0)


def test_published_clips_are_drawn_and_judged_as_published() -> None:
    face, dance, fashion = (load_config(name) for name in ("face", "dance", "dance-fashion"))
    assert face.data.options == {"draws": "published"}
    assert (face.critics.temporal_kind, face.critics.temporal_frames) == ("differences", 3)
    assert not face.true_previous
    for config in (dance, fashion):
        assert (config.critics.temporal_kind, config.critics.temporal_frames) == ("clip", 6)
        assert config.true_previous and config.data.options["draws"] == "published"
        assert config.data.options["augmentation"]["rotation"] == 5
    assert (dance.data.options["masks"], dance.losses.correctness) == (True, 2)
    assert (fashion.data.options["masks"], fashion.losses.correctness) == (False, 5)
    assert fashion.data.options["own_source"] and not dance.data.options.get("own_source")
    assert load_config("person-fashion").data.options == {"resample": "bilinear"}


def test_ours_are_other_configurations() -> None:
    better, dance = load_config("face-better"), load_config("dance-coco")
    for config in (better, dance):
        assert config.data.options == {"draws": "varied"}
        assert not config.critics.first and not config.block_sum and config.ema == 0.999
        # Of a mean over 6 frames, what 2 is of their sum.
        assert config.losses.adversarial == pytest.approx(2 / config.block, rel=1e-5)
    assert (better.model, dance.model) == (PUBLISHED["face"], PUBLISHED["dance"])


@pytest.mark.parametrize("name", ["face-compact", "face-regions", "people-small", "view-small"])
def test_later_keys_leave_other_configurations_as_they_were(name: str) -> None:
    config = load_config(name)
    # A state of before knows none of these keys: it is read with their defaults.
    before = config.to_dict()
    for key in ("block_sum", "true_previous"):
        del before[key]
    for key in ("first", "temporal_kind", "temporal_frames"):
        del before["critics"][key]
    del before["features"]["sampling"]
    assert config_from(before) == config
    assert not (config.critics.first or config.block_sum or config.true_previous)
    assert "draws" not in config.data.options


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("critics.temporal_frames=7", "block is 6; allowed: 7 or more"),
        ("critics.temporal_frames=4", "critics.temporal_frames is 4; allowed: at least 5 for clip"),
        ("critics.temporal=[32]", "critics.temporal is"),
        ("critics.temporal=[32, 0, 8]", "critics.temporal is .*positive widths"),
        ("critics.image=[]", "critics.image is .*one positive width or more"),
        ("critics.image=[-4]", "critics.image is .*one positive width or more"),
        ("critics.temporal_kind=volume", "differences, clip"),
        ("accumulate=2", "accumulate is 2; allowed: 1 with critics.first"),
    ],
)
def test_critics_of_clips_that_make_no_sense_are_refused(change: str, said: str) -> None:
    with pytest.raises(GflaError, match=said):
        load_config("dance", [change])


def test_market_is_half_as_wide_and_has_a_smaller_critic() -> None:
    config = load_config("person-market")
    assert (config.data.image_size, config.critics.image) == ((128, 64), (32, 64, 128))


def test_ablations_have_the_models_of_table_2() -> None:
    for name, model in ABLATIONS.items():
        assert load_config(f"ablation-{name}").model == model


def test_models_without_flows_have_no_first_stage() -> None:
    with pytest.raises(GflaError, match="without flows"):
        load_config("ablation-baseline", ["stage=flow"])
