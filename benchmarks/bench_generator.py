"""Seconds a frame of the published face generator at 256 px: unfolding against ours.

Both sides have the same random weights and run in turns in one process. The unfolding side is the
published formulation in plain PyTorch (`gfla.ops.reference`); ours keeps the source half of every
reference that does not change. Prints a table and writes it with the machine's description.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from environment import describe, interleaved
from torch import Tensor

from gfla.build import build_generator, initialise
from gfla.config import AnimationConfig
from gfla.models.attention import LocalAttention, SourceFeatures
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import RolloutState
from gfla.ops import reference

RESULTS = Path(__file__).parent / "results"
SIZE = 256


class UnfoldingAttention(LocalAttention):
    """Local attention as published, with the weights of one of ours."""

    def __init__(self, block: LocalAttention) -> None:
        super().__init__(block.channels, block.kernel, block.mix.out_channels)
        self.load_state_dict(block.state_dict())

    def prepare(self, source: Tensor) -> SourceFeatures:
        """Nothing can be prepared."""
        return SourceFeatures(source, source)

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Unfold both sides."""
        mix, head = self.mix, self.head
        assert mix.bias is not None and head.bias is not None
        return reference.local_attention(
            target, source.features, flow, mix.weight, mix.bias, head.weight, head.bias
        )


def unfolding(generator: AnimationGenerator) -> AnimationGenerator:
    """The same generator with every attention block in the published form."""
    other = build_generator(generator.config).eval()
    other.load_state_dict(generator.state_dict())
    for blocks in other.renderer.attention.values():
        for kind, block in list(blocks.items()):
            blocks[kind] = UnfoldingAttention(block)
    return other


def main() -> None:
    """Measure float32 and bfloat16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS / "generator.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    environment = describe()
    torch.manual_seed(0)
    ours = build_generator(AnimationConfig()).eval()
    initialise(ours, gain=0.5)
    theirs = unfolding(ours)
    image, structure = torch.rand(1, 3, SIZE, SIZE) * 2 - 1, torch.rand(1, 16, SIZE, SIZE)
    difference = float((step(ours, image, structure) - step(theirs, image, structure)).abs().max())
    print(f"largest difference of the two pictures: {difference:.1e}")

    sides: dict[str, Callable[[], object]] = {
        "unfolding, float32": stepper(theirs, image, structure, bfloat16=False),
        "ours, float32": stepper(ours, image, structure, bfloat16=False),
        "ours, bfloat16": stepper(ours, image, structure, bfloat16=True),
    }
    times = dict(zip(sides, interleaved(list(sides.values()), options.repeats), strict=True))
    slow = times["unfolding, float32"]["median"]
    print("| form | s a frame (median) | least - most | times as fast |\n|---|---|---|---|")
    for name, values in times.items():
        spread = f"{values['least']:.3f} - {values['most']:.3f}"
        ratio = slow / values["median"]
        print(f"| {name} | {values['median']:.3f} | {spread} | {ratio:.2f} |")
    report = {"environment": environment, "difference": difference, "seconds": times}
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def begin(generator: AnimationGenerator, image: Tensor, structure: Tensor) -> RolloutState:
    """A clip after its first frame, where both references differ."""
    state = generator.start(image, structure)
    return generator.step(state, structure)[0]


@torch.inference_mode()
def step(generator: AnimationGenerator, image: Tensor, structure: Tensor) -> Tensor:
    """The second frame of a clip."""
    return generator.step(begin(generator, image, structure), structure)[1].image


def stepper(
    generator: AnimationGenerator, image: Tensor, structure: Tensor, *, bfloat16: bool
) -> Callable[[], object]:
    """A step from a state that is prepared once, as within a clip."""

    def arithmetic() -> torch.autocast | nullcontext[None]:
        return torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext()

    with torch.inference_mode(), arithmetic():
        state = begin(generator, image, structure)

    def run() -> object:
        with torch.inference_mode(), arithmetic():
            return generator.step(state, structure)

    return run


if __name__ == "__main__":
    main()
