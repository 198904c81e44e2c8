"""Train a face animation model on packed faces (see ``prepare_faces.py``)."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from torch.utils.data import DataLoader

from gfla.build import build_generator, initialise
from gfla.data.faces import FaceBlocks, read_pack
from gfla.data.transforms import Augmentation
from gfla.losses.features import VggFeatures
from gfla.training.config import FaceTrainingConfig, load_config
from gfla.training.loop import Trainer, train

CONFIGS = Path(__file__).parents[1] / "gfla" / "training" / "configs"


def main() -> None:
    """Parse, build, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIGS / "face-compact.yaml")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train/ and held-out/ packs"
    )
    parser.add_argument(
        "--features", type=Path, required=True, help="VGG16 weights, safetensors or .pth"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="run folder; continues if it holds a run"
    )
    parser.add_argument(
        "--start-from", type=Path, help="state.pt of an earlier run to take weights from"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    config = load_config(
        options.config,
        steps=options.steps,
        image_size=options.image_size,
        batch=options.batch,
        frames=options.frames,
        learning_rate=options.learning_rate,
    )
    torch.manual_seed(config.seed)
    generator = build_generator(config.model)
    initialise(generator, config.initial_gain)
    options.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(generator, config, options.out)
    if not trainer.resume() and options.start_from:
        weights = torch.load(options.start_from, map_location="cpu", weights_only=True)
        generator.load_state_dict(weights["generator"])
        trainer.average.load_state_dict(weights["average"])
    (options.out / "config.yaml").write_text(yaml.safe_dump(_plain(config.to_dict())))

    # A resumed run draws fresh blocks rather than those it has seen.
    blocks = _blocks(options.data / "train", config, seed=config.seed + trainer.step)
    held_out = _blocks(options.data / "held-out", config, seed=0)
    loader = DataLoader(blocks, batch_size=config.batch, num_workers=1, prefetch_factor=4)
    samples = [next(iter(DataLoader(held_out, batch_size=12)))]
    features = VggFeatures(config.features, "vgg16", options.features)
    train(trainer, features, loader, samples, max_minutes=options.max_minutes)


def _blocks(folder: Path, config: FaceTrainingConfig, seed: int) -> FaceBlocks:
    return FaceBlocks(
        [read_pack(path) for path in sorted(folder.glob("*.npz"))],
        frames=config.frames,
        image_size=config.image_size,
        structure_size=config.structure_size,
        still_share=config.still_share,
        augmentation=Augmentation(),
        seed=seed,
    )


def _plain(value: object) -> object:
    """Tuples as lists, so that the YAML stays safe to load."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
