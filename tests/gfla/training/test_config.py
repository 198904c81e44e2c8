"""Training configurations: strict, inherited, overridden, compared."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gfla.config import ABLATIONS, PUBLISHED
from gfla.errors import GflaError
from gfla.training.config_files import config_from, differences, dump, load_config, shipped
from gfla.training.state import learning_rate


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


def test_a_file_changes_its_base_and_overrides_change_both(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: face\noptimizer: {learning_rate: 2e-4}\nbatch: 3\n")
    config = load_config(tmp_path / "mine.yaml", ["batch=4", "optimizer.betas=[0.5, 0.9]"])
    assert (config.name, config.batch, config.block) == ("mine", 4, 6)
    assert (config.optimizer.learning_rate, config.optimizer.betas) == (2e-4, (0.5, 0.9))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("colour=1", "unknown key 'colour'"),
        ("losses.colour=1", "unknown key 'colour' in losses"),
        ("model.colour=1", "unknown key 'colour' in model"),
        ("model.kind=nothing", "model.kind"),
        ("losses.style=much", "losses.style is 'much'; allowed: a number"),
        ("losses.style=-1", "losses.style"),
        ("losses.style=.nan", "losses.style"),
        ("batch=1.5", "batch is 1.5; allowed: a whole number"),
        ("batch=true", "batch is True"),
        ("batch=0", "batch is 0; allowed: at least 1"),
        ("bf16=1", "bf16 is 1; allowed: true or false"),
        ("data.image_size=[64]", "data.image_size"),
        ("data.image_size=[100, 100]", "multiples of 32"),
        ("data.kind=faces", "data.kind"),
        ("data.structure_size=[128, 128]", "without image-scale fusion"),
        ("stage=2", "stage is 2; allowed: flow, all"),
        ("frames=2", "frames is 2; allowed: 1 for pairs"),
        ("losses.expression=2", "but for faces"),
        ("losses.anchor=1", "losses.anchor is 1.0; allowed: 0 but for faces with model.flow_prior"),
        ("critics.temporal=[8]", "block is 1"),
        ("critics.gradient_penalty=-1", "critics.gradient_penalty"),
        ("critics.gradient_penalty=1", "0 with critics.spectral_norm"),
        ("optimizer=fast", "optimizer is 'fast'; allowed: keys and values"),
        ("batch", "no key=value"),
        ("batch=[", "no YAML"),
    ],
)
def test_what_is_wrong_is_named(override: str, said: str) -> None:
    with pytest.raises(GflaError) as caught:
        load_config("person-fashion", [override])
    assert caught.value.code == "invalid_config"
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [("base: nothing", "'nothing' is neither"), ("base: a.yaml", "own base"), ("- 1", "no keys"),
     ("a: [", "cannot read")],
)  # fmt: skip
def test_files_that_are_none_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(GflaError, match="invalid_config") as caught:
        load_config(tmp_path / "a.yaml")
    assert said in caught.value.message


def test_models_without_flows_have_no_first_stage() -> None:
    with pytest.raises(GflaError, match="without flows"):
        load_config("ablation-baseline", ["stage=flow"])


def test_differences_leave_out_what_changes_no_result() -> None:
    one = load_config("face")
    assert not differences(
        one, load_config("face", ["record.log_every=3", "data.workers=0", "start_from=a"])
    )
    assert differences(one, load_config("face", ["seed=2", "data.options.a=1"])) == [
        "data.options: {}, not None",
        "seed: 1, not 2",
        "data.options.a: None, not 1",
    ]


def test_the_learning_rate_rises_and_falls() -> None:
    cosine = ["optimizer.schedule=cosine", "optimizer.warmup_steps=2", "steps=8"]
    config = load_config("face", cosine)
    rates = [learning_rate(config, step) for step in range(9)]
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] == pytest.approx(1e-4 / 20)
    assert learning_rate(load_config("face"), 10**6) == 1e-4
