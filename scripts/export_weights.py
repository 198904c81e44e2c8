"""Turn a training run's averaged weights into a small checkpoint to ship (float16)."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gfla import checkpoint


def main() -> None:
    """Load, name, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="average.safetensors of a run")
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True, help="such as face-compact-1")
    parser.add_argument(
        "--rendered-logit", type=float, default=0.0, help="added to the rendered picture's share"
    )
    options = parser.parse_args()
    loaded = checkpoint.load(options.weights)
    info = loaded.info | {"name": options.name}
    if options.rendered_logit:
        info["rendered_logit"] = options.rendered_logit
        with torch.no_grad():
            loaded.generator.fusion.bias[0] += options.rendered_logit
    checkpoint.save(options.out, loaded.generator, info, torch.float16)
    count = sum(p.numel() for p in loaded.generator.parameters())
    print(f"{options.out}: {count:,} parameters, {options.out.stat().st_size:,} bytes, {info}")


if __name__ == "__main__":
    main()
