"""Turn a training run's averaged weights into a small checkpoint to ship (float16)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from gfla import checkpoint
from gfla.build import Generator, build_generator
from gfla.errors import GflaError
from gfla.files import replacing


def main() -> None:
    """Load, name, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="average.safetensors of a run")
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True, help="such as face-compact-1")
    parser.add_argument(
        "--mean", type=Path, action="append", default=[], metavar="FILE",
        help="average with these, of runs that went on from each other; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--rendered-logit", type=float, default=0.0, help="added to the rendered picture's share"
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="FIELD=VALUE",
        help="another value of the model's configuration, such as prior_reach=1.1",
    )  # fmt: skip
    options = parser.parse_args()
    try:
        export(options)
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")


def export(options: argparse.Namespace) -> None:
    """What the options ask for.

    Raises:
        GflaError: weights that cannot be read or averaged, a file that cannot be written.
    """
    loaded = checkpoint.load(options.weights)
    info = loaded.info | {"name": options.name}
    generator = configured(loaded.generator, options.model)
    if options.mean:
        average(generator, [checkpoint.load(path).generator for path in options.mean])
    if options.rendered_logit:
        info["rendered_logit"] = options.rendered_logit
        with torch.no_grad():
            generator.fusion.bias[0] += options.rendered_logit
    with replacing(options.out) as partial:
        checkpoint.save(partial, generator, info, torch.float16)
    count = sum(p.numel() for p in generator.parameters())
    print(f"{options.out}: {count:,} parameters, {options.out.stat().st_size:,} bytes, {info}")


def configured(generator: Generator, changes: list[str]) -> Generator:
    """The same weights in a network of another configuration; all of them must fit."""
    if not changes:
        return generator
    values = {name: json.loads(value) for name, _, value in (c.partition("=") for c in changes)}
    config = type(generator.config).from_dict(generator.config.to_dict() | values)
    network = build_generator(config)
    network.load_state_dict(generator.state_dict())
    return network


@torch.no_grad()
def average(generator: Generator, others: Sequence[Generator]) -> None:
    """Give a network the mean of its own weights and those of others.

    Raises:
        GflaError: ``bad_checkpoint`` if they are not of the same layers.
    """
    states = [network.state_dict() for network in (generator, *others)]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes[1:]):
        message = "these weights are of different networks, which have no mean"
        raise GflaError("bad_checkpoint", message)
    for name, values in states[0].items():
        if values.is_floating_point():
            values.copy_(torch.stack([state[name] for state in states]).mean(0))


if __name__ == "__main__":
    main()
