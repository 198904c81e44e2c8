"""Pairs for measuring: person pose transfer and view synthesis, every pair once and as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gfla.data.samples import Samples
from gfla.errors import GflaError
from gfla.evaluation.files import picture_files
from gfla.evaluation.masks import released_mask
from gfla.evaluation.protocol import SETS, Protocol

_IDENTITIES = (re.compile(r"(id_?\d{8})"), re.compile(r"(?:^|/)(\d{4})_c\d"))
"""How DeepFashion and Market-1501 write a person into the name of a picture."""


@dataclass(frozen=True, eq=False)
class EvaluationPairs:
    """The pairs of a protocol.

    Attributes:
        samples: with ``source``, ``target`` and their structures.
        indices: those of ``samples`` that are measured.
        names: of each of them.
        identities: who is seen in each.
        mask: of the person in a target by its place in ``indices``: 1 H W, 0 or 1; None if unknown.
        reference: files of the training set's pictures, where the protocol takes them.
        remarks: what a reader of the table must know.
    """

    samples: Samples
    indices: Sequence[int]
    names: Sequence[str]
    identities: Sequence[str]
    mask: Callable[[int], Tensor] | None = None
    reference: Sequence[Path] = ()
    remarks: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, size: int) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Places and samples, stacked: pictures uint8 B 3 H W, structures and masks float32."""
        for first in range(0, len(self), size):
            places = list(range(first, min(first + size, len(self))))
            yield places, self.stacked(places)

    def stacked(self, places: Sequence[int]) -> dict[str, Tensor]:
        """Some samples as one batch, with their masks where there are any."""
        samples = [dict(self.samples[self.indices[place]]) for place in places]
        if self.mask is not None:
            for place, sample in zip(places, samples, strict=True):
                sample["mask"] = self.mask(place)
        return {name: torch.stack([s[name] for s in samples]) for name in samples[0]}


def open_pairs(protocol: Protocol, folder: Path, reference: Path | None = None) -> EvaluationPairs:
    """The pairs that a protocol asks for.

    Args:
        protocol: of the task ``pairs``.
        folder: prepared data: ``person`` data hold a folder for the split, or are it.
        reference: the training set's pictures, if they are not in ``folder/train/images``.

    Raises:
        GflaError: ``invalid_data`` if it is not there, incomplete, or not of the size that the
            protocol expects.
    """
    if protocol.data == "person":
        return _open_person(protocol, folder, reference)
    from gfla.data.readers import Wanted, open_samples

    size = protocol.pictures.height, protocol.pictures.width
    # Other data are endless: the protocol says how many samples it takes.
    wanted = Wanted(protocol.split, size, size, frames=1, seed=protocol.seed)
    samples = open_samples(protocol.data, folder, wanted, {})
    count = protocol.samples or protocol.expected_samples
    if count is None:
        message = f"a protocol on endless data ({protocol.data}) needs samples, how many to take"
        raise GflaError("invalid_protocol", message)
    names = [f"{index:05d}" for index in range(count)]
    real = _reference(protocol, folder, reference)
    return EvaluationPairs(samples, range(count), names, names, None, real)


def _open_person(protocol: Protocol, folder: Path, reference: Path | None) -> EvaluationPairs:
    from gfla.data.pairs import PAIRS, RESAMPLING, PersonPairs, Resample

    options = protocol.pictures
    if options.resize not in RESAMPLING:
        message = f"pairs of persons are resized by {' or '.join(RESAMPLING)} only"
        raise GflaError("invalid_protocol", message)
    # The split's folder, or a folder that is a split itself.
    split = folder / protocol.split
    if not split.is_dir() and (folder / PAIRS).is_file():
        split = folder
    resample = cast(Resample, options.resize)
    data = PersonPairs(split, (options.height, options.width), shuffled=False, resample=resample)
    # A table's number is of certain pairs: fewer of them are another test.
    expected = protocol.expected_samples
    if expected is not None and len(data) != expected:
        missing = "; ".join(data.skipped[:3])
        raise GflaError(
            "invalid_data",
            f"{split} has {len(data)} usable pairs, the protocol {protocol.name} is of {expected}"
            + (f" (left out: {missing})" if missing else ""),
        )
    # Names and identities, by which a table's intervals are taken.
    indices = chosen(len(data), protocol)
    pairs = [data.pair(index) for index in indices]
    remarks = [f"{len(data.skipped)} rows or pairs of the data were left out"] * bool(data.skipped)
    return EvaluationPairs(
        data,
        indices,
        [f"{source} -> {target}" for source, target in pairs],
        [identity_of(source) for source, _ in pairs],
        lambda place: _person_mask(split, data.joints, pairs[place][1], protocol),
        _reference(protocol, folder, reference),
        remarks,
    )


def chosen(count: int, protocol: Protocol) -> list[int]:
    """Which of so many samples the protocol takes: all, or some drawn by its seed, in order."""
    if protocol.samples is None or protocol.samples >= count:
        return list(range(count))
    drawn = np.random.default_rng(protocol.seed).permutation(count)[: protocol.samples]
    return sorted(int(index) for index in drawn)


def identity_of(name: str) -> str:
    """Who a picture shows, as far as its name tells; else each picture is somebody of its own."""
    for pattern in _IDENTITIES:
        if found := pattern.search(name):
            return found[1]
    return name


def _person_mask(
    split: Path, joints: Mapping[str, np.ndarray], name: str, protocol: Protocol
) -> Tensor:
    """The prepared mask of a picture, or one drawn from its joints, at the protocol's size."""
    from gfla.data.prepare.market import mask_path, person_mask

    path, options = mask_path(split, name), protocol.pictures
    released = protocol.mask == "released"
    try:
        if path.is_file() and not released:  # prepared masks are hulls
            with Image.open(path) as image:
                mask = image.convert("L")
        else:
            with Image.open(split / "images" / name) as image:
                size = image.height, image.width
            draw = released_mask if released else person_mask
            mask = Image.fromarray(draw(joints[name], size))
    except OSError as error:
        raise GflaError("invalid_data", f"no mask for {name}: {error}") from error
    # Nearest: a mask has no greys.
    fitted = mask.resize((options.width, options.height), Image.Resampling.NEAREST)
    return torch.from_numpy((np.asarray(fitted) > 127).astype(np.float32))[None]


def _reference(protocol: Protocol, folder: Path, reference: Path | None) -> list[Path]:
    wanted = set(SETS) & set(protocol.metrics)
    if not wanted or protocol.sets.reference != "training-set":
        return []
    place = folder / "train" / "images" if reference is None else reference
    if not place.is_dir():
        raise GflaError(
            "invalid_data",
            f"the protocol compares with the whole training set, and there is no {place}",
        )
    return picture_files(place)
