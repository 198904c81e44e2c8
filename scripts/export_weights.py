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
    loaded = checkpoint.load(options.weights)
    info = loaded.info | {"name": options.name}
    generator = configured(loaded.generator, options.model)
    if options.mean:
        others = [checkpoint.load(path).generator for path in options.mean]
        if any(other.config != loaded.generator.config for other in others):
            sys.exit("error: these weights are of different networks, which have no mean")
        average(generator, others)
    if options.rendered_logit:
        info["rendered_logit"] = options.rendered_logit
        with torch.no_grad():
            generator.fusion.bias[0] += options.rendered_logit
    checkpoint.save(options.out, generator, info, torch.float16)
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
    """Give a network the mean of its own weights and those of others of the same configuration."""
    states = [network.state_dict() for network in (generator, *others)]
    for name, values in states[0].items():
        if values.is_floating_point():
            values.copy_(torch.stack([state[name] for state in states]).mean(0))


if __name__ == "__main__":
    main()
