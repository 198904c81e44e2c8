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
    assert (weights.style, weights.correctness, weights.regularity) == (500, 5, 0.0025)
    assert (weights.flow_correctness, weights.flow_regularity) == (20, 0.01)
    assert (config.optimizer.learning_rate, config.optimizer.betas) == (1e-4, (0, 0.999))
    assert (config.optimizer.critic_ratio, config.initial_gain) == (0.1, 0.02)
    assert (config.features.network, config.features.normalise) == ("vgg19", "none")
    clips = config.animates
    assert (config.batch, config.frames, config.block) == ((2, 30, 6) if clips else (8, 1, 1))
    assert bool(config.critics.temporal) == clips


def test_market_is_half_as_wide_and_has_a_smaller_critic() -> None:
    config = load_config("person-market")
    assert (config.data.image_size, config.critics.image) == ((128, 64), (32, 64, 128))


def test_ablations_have_the_models_of_table_2() -> None:
    for name, model in ABLATIONS.items():
        assert load_config(f"ablation-{name}").model == model


def test_models_without_flows_have_no_first_stage() -> None:
    with pytest.raises(GflaError, match="without flows"):
        load_config("ablation-baseline", ["stage=flow"])
