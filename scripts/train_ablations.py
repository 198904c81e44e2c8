"""Train the four models of the ablation study and measure them: one table like the paper's table 2.

The models differ in how they sample the source: not at all, by global attention, bilinearly, by
local attention. Each run goes to OUT/NAME, the table to OUT/table; stopped, it goes on. CONFIG is
any configuration of pose transfer; key=value changes it for all four.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SAMPLING = {
    "baseline": "none",
    "global-attention": "global",
    "bilinear": "bilinear",
    "full": "local",
}
"""The paper's models in the order of its table, and what each is made of."""


def main() -> None:
    """Train, train, train, train, measure."""
    options = parser().parse_intermixed_args()
    changes, measured = list(options.change), ["--protocol", options.protocol]
    if options.features is not None:
        changes += [f"features.path={options.features}"]
        measured += ["--features", str(options.features)]
    for change in options.set:
        measured += ["--set", change]
    place = ["--data", str(options.data), "--out"]
    for name, sampling in SAMPLING.items():
        run = options.out / name
        animator("train", options.config, *place, str(run), f"model.sampling={sampling}", *changes)
        measured += ["--weights", f"{name}={run / 'average.safetensors'}"]
    animator("evaluate", *place, str(options.out / "table"), "--force", *measured)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", default="person-fashion", help="(%(default)s)")
    parser.add_argument("change", nargs="*", metavar="key=value", help="such as steps=400")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--features", type=Path, metavar="FILE", help="VGG weights, for both")
    parser.add_argument("--protocol", default="paper", help="of `animator evaluate` (%(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change the protocol"
    )
    return parser


def animator(*arguments: str) -> None:
    """Run a command to its end; one that fails ends this one as it did."""
    done = subprocess.run([sys.executable, "-m", "animator", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
