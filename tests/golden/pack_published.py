"""Packs the recorded numbers of the published networks into ``published/``.

    python -m tests.golden.pack_published FOLDER

FOLDER holds the recordings whole, 29 MB, most of which came from a seed: tensors that a seed gives
again bit for bit are replaced by how to draw them, everything else is kept as it is.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tests.golden.published import FOLDER, SUFFIX, energy_of, published_case

WEIGHTS_SEED, INPUTS_SEED = 11, 7
NUMBERS = 6_000_000
"""More than what the recordings drew from the seed of the inputs."""
SMALL = 10_000
"""Inputs of fewer elements are kept."""


def scalings(weight: Tensor) -> list[tuple[list[float], float]]:
    """Factors and shifts that may have made a weight of normal numbers, of an output layer last."""
    if weight.ndim > 1:
        factors = [1.3 / weight[0].numel() ** 0.5]
        return [(factors, 0.0), ([*factors, 3.0], 0.0)]
    return [([0.2], 0.0), ([0.2], 1.0), ([0.2, 3.0], 0.0)]


def scaled(tensor: Tensor, factors: list[float], shift: float) -> Tensor:
    for factor in factors:
        tensor = tensor * factor
    return tensor + shift


def drawn_weights(weights: dict[str, Tensor]) -> tuple[list[dict], dict[str, str]]:
    """The weights in the order in which they were drawn, and those that are others' twins."""
    left, draws, aliases = dict(weights), [], {}
    generator = torch.Generator().manual_seed(WEIGHTS_SEED)
    while left:
        state = generator.get_state()
        for name in left:
            generator.set_state(state)
            numbers = torch.randn(left[name].shape, generator=generator)
            fits = [s for s in scalings(left[name]) if same(scaled(numbers, *s), left[name])]
            if fits:
                break
        else:
            return [], {}  # other laws made them, as those of the discriminators
        weight = left.pop(name)
        draws.append([name, list(weight.shape), *fits[0], energy_of(weight)])
        # Published networks register some layers under two names.
        twins = [other for other in left if same(left[other], weight)]
        aliases |= dict.fromkeys(twins, name)
        for twin in twins:
            del left[twin]
    sequence = {"seed": WEIGHTS_SEED, "skip": 0, "law": "normal", "draws": draws}
    return [sequence], aliases


def same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def drawn_inputs(inputs: dict[str, Tensor], numbers: Tensor) -> list[dict]:
    """Where each input lies among the numbers of its seed, if it lies there."""
    sequences = []
    for name, values in inputs.items():
        for factors, shift in ([], 0.0), ([2.0], -1.0):
            start = (numbers == (values.flatten()[0] - shift) / (factors or [1])[0]).nonzero()
            for skip in start.flatten().tolist():
                found = numbers[skip : skip + values.numel()]
                if same(scaled(found, factors, shift), values.flatten()):
                    draw = [name, list(values.shape), factors, shift, energy_of(values)]
                    sequences.append(
                        {"seed": INPUTS_SEED, "skip": skip, "law": "uniform", "draws": [draw]}
                    )
    return sequences


def main(recordings: Path) -> None:
    numbers = torch.rand(NUMBERS, generator=torch.Generator().manual_seed(INPUTS_SEED))
    FOLDER.mkdir(exist_ok=True)
    for path in sorted(recordings.glob("*.safetensors")):
        tensors = load_file(path)
        if path.stem == "face_guidance":
            del tensors["in/image"]  # the test takes the photo out of scikit-image
        weights = {name: tensors[name] for name in tensors if name.startswith("state/")}
        inputs = {n: v for n, v in tensors.items() if n.startswith("in/") and v.numel() >= SMALL}
        sequences, aliases = drawn_weights(weights)
        sequences += drawn_inputs(inputs, numbers)
        given = {draw[0] for sequence in sequences for draw in sequence["draws"]} | set(aliases)
        kept = {name: tensors[name].contiguous() for name in tensors if name not in given}
        recipe = json.dumps({"sequences": sequences, "aliases": aliases})
        packed = lzma.compress(save(kept, {"recipe": recipe}), preset=9 | lzma.PRESET_EXTREME)
        (FOLDER / f"{path.stem}{SUFFIX}").write_bytes(packed)
        again = published_case(path.stem)
        assert again.keys() == tensors.keys() and all(same(again[n], tensors[n]) for n in tensors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
