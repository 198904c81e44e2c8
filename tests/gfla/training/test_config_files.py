from __future__ import annotations

from pathlib import Path

import pytest

from gfla.errors import GflaError
from gfla.training.config_files import differences, load_config


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


def test_differences_leave_out_what_changes_no_result() -> None:
    one = load_config("view")
    assert not differences(
        one, load_config("view", ["record.log_every=3", "data.workers=0", "start_from=a"])
    )
    assert differences(one, load_config("view", ["seed=2", "data.options.a=1"])) == [
        "data.options: {}, not None",
        "seed: 1, not 2",
        "data.options.a: None, not 1",
    ]


def test_the_model_of_figure_b11_differs_in_the_regularisation_alone() -> None:
    full, without = load_config("person-fashion"), load_config("ablation-no-regularity")
    changed = {line.split(":")[0] for line in differences(full, without)}
    assert changed == {"losses.regularity", "losses.flow_regularity"}
    assert (without.losses.regularity, without.losses.flow_regularity) == (0, 0)
