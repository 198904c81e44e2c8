from __future__ import annotations

import json
import math

import pytest
import torch

from gfla import checkpoint
from gfla.data.transforms import Augmentation
from gfla.errors import GflaError
from gfla.training.config import FaceTrainingConfig, load_config
from gfla.training.loop import Trainer, train
from gfla.training.steps import rollout_losses, weighted_sum
from tests.gfla.test_faces_data import blocks, pack
from tests.helpers import COMPACT, random_vgg, small_generator

CONFIG = FaceTrainingConfig(
    model=COMPACT,
    structure_size=64,
    image_size=64,
    frames=2,
    batch=1,
    steps=8,
    warmup_steps=2,
    learning_rate=3e-3,
    features=("relu1_2", "relu2_2"),
    feature_crop=24,
    bfloat16=False,
)


@pytest.fixture
def features(tmp_path):
    return random_vgg(tmp_path / "vgg.safetensors", CONFIG.features)


def batches(count: int, seed: int = 0):
    source = blocks(
        [pack(9), pack(1)],
        frames=CONFIG.frames,
        image_size=CONFIG.image_size,
        structure_size=CONFIG.structure_size,
        augmentation=Augmentation(colour=0.0),
        seed=seed,
    )
    drawn = iter(source)
    return [{name: value[None] for name, value in next(drawn).items()} for _ in range(count)]


def trainer(folder, seed: int = 0) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(small_generator(COMPACT, seed).train(), CONFIG, folder)


def test_losses_have_a_weight_each_and_gradients(features):
    generator = small_generator(COMPACT).train()
    random = torch.Generator().manual_seed(0)
    terms, frames = rollout_losses(generator, features, batches(1)[0], CONFIG, random)
    assert set(terms) == {"reconstruction", "rendered", "warped", "roughness", "perceptual"}
    assert frames.shape == (1, 2, 3, 64, 64)
    weighted_sum(terms, CONFIG).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in generator.parameters())


def test_training_on_one_block_lowers_its_loss(features, tmp_path):
    block, model = batches(1)[0], trainer(tmp_path / "run")
    losses = [model.update(features, block)["loss"] for _ in range(8)]
    assert min(losses[-2:]) < losses[0]


def test_a_stopped_run_continues_as_if_it_had_not_stopped(features, tmp_path):
    data = batches(6)
    whole = trainer(tmp_path / "whole")
    for block in data:
        whole.update(features, block)
    part = trainer(tmp_path / "part")
    for block in data[:3]:
        part.update(features, block)
    part.save()
    again = trainer(tmp_path / "part", seed=99)
    assert again.resume()
    for block in data[3:]:
        again.update(features, block)
    for name, value in whole.generator.state_dict().items():
        assert torch.equal(value, again.generator.state_dict()[name]), name
    averages = whole.average.state_dict(), again.average.state_dict()
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_a_run_leaves_its_records(features, tmp_path, monkeypatch):
    monkeypatch.setattr("gfla.training.loop.LOG_EVERY", 4)
    model = trainer(tmp_path / "run")
    train(model, features, iter(batches(8)), batches(1, seed=3))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == [4, 8]
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert (tmp_path / "run" / "samples" / "000008.png").stat().st_size > 0
    assert checkpoint.load(tmp_path / "run" / "average.safetensors").info["step"] == 8


def test_the_time_limit_ends_a_run_with_a_checkpoint(features, tmp_path):
    model = trainer(tmp_path / "run")
    train(model, features, iter(batches(8)), [], max_minutes=0)
    assert model.step == 1
    assert (tmp_path / "run" / "state.pt").exists()


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights(features, tmp_path):
    model, block = trainer(tmp_path / "run"), batches(1)[0]
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    block["structures"][:] = float("nan")
    with pytest.raises(GflaError) as caught:
        model.update(features, block)
    assert caught.value.code == "diverged"
    after = model.generator.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_learning_rate_rises_and_falls(tmp_path):
    model = trainer(tmp_path / "run")
    rates = []
    for step in range(9):
        model.step = step
        rates.append(model.learning_rate())
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] == pytest.approx(CONFIG.learning_rate / 20)


def test_configurations_are_read_strictly(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: {image_fusion: true}\nsteps: 5\nlosses: {warped: 1.0}\n")
    config = load_config(path, batch=2)
    assert (config.model.image_fusion, config.steps, config.batch) == (True, 5, 2)
    assert config.losses.warped == 1.0
    for wrong in (
        "colour: 1",
        "losses: {colour: 1}",
        "model: {colour: 1}",
        "image_size: 100",
        "frames: 0",
        "a: [",
    ):
        path.write_text(wrong)
        with pytest.raises(GflaError) as caught:
            load_config(path)
        assert caught.value.code == "invalid_config"
