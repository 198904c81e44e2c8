"""Readers of data sets by kind, and the one way to open them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from gfla.data.samples import Samples
from gfla.errors import GflaError, check_choice
from gfla.typed import invalid, typed, wrong

Split = Literal["train", "held-out"]
_VARIED = "augmentation"


@dataclass(frozen=True)
class Wanted:
    """What a training run asks of every data set.

    Attributes:
        split: folder inside the data set's.
        image_size: height and width of pictures.
        structure_size: height and width of structures.
        frames: of a clip, without its source.
        seed: of order and variation.
    """

    split: Split
    image_size: tuple[int, int]
    structure_size: tuple[int, int]
    frames: int
    seed: int


def open_samples(kind: str, folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    """Open a data set.

    Args:
        kind: one of ``KINDS``.
        folder: with ``train`` and ``held-out``, as the ``prepare_*`` scripts write them; synthetic
            kinds need none.
        wanted: sizes and the like.
        options: more that this kind's reader takes, by name.

    Raises:
        GflaError: ``invalid_config`` for an unknown kind or option, ``invalid_data`` or another
            code of the reader where the data is not what it should be.
    """
    check_choice("data kind", kind, KINDS)
    split = folder / wanted.split
    if kind not in SYNTHETIC and not split.is_dir():
        raise GflaError("no_data", f"there is no folder {split}; see docs/data.md on preparing it")
    return KINDS[kind](split, wanted, options)


def _person(folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.pairs import PairAugmentation, PersonPairs

    values = _known(PersonPairs, options, ("annotated", "augmentation", "resample", "sigma"))
    values["augmentation"] = _augmentation(PairAugmentation, values.get("augmentation"), None)
    # Held-out samples are never varied.
    training = wanted.split == "train"
    if not training:
        values["augmentation"] = None
    return PersonPairs(folder, wanted.image_size, shuffled=training, seed=wanted.seed, **values)


def _faces(folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.faces import FaceBlocks
    from gfla.data.published_faces import PublishedFaceClips
    from gfla.data.transforms import UNCHANGED, Augmentation

    if wanted.image_size[0] != wanted.image_size[1]:
        raise GflaError("invalid_config", f"faces are square, not {wanted.image_size}")
    published, options = _draws(options)
    if published:
        _known(PublishedFaceClips, options, ())
        return PublishedFaceClips.open(
            folder,
            frames=wanted.frames,
            image_size=wanted.image_size[0],
            structure_size=wanted.structure_size[0],
            shuffled=wanted.split == "train",
            seed=wanted.seed,
        )
    values = _known(FaceBlocks, options, ("still_share", "augmentation"))
    # Unlike pairs, faces are varied unless it is switched off.
    augmentation = _augmentation(Augmentation, values.get("augmentation", True), UNCHANGED)
    return FaceBlocks.open(
        folder,
        frames=wanted.frames,
        image_size=wanted.image_size[0],
        structure_size=wanted.structure_size[0],
        still_share=values.get("still_share", 0.35),
        augmentation=augmentation if wanted.split == "train" else UNCHANGED,
        seed=wanted.seed,
    )


def _face_regions(folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.region_pairs import STILL, RegionAugmentation, RegionPairs

    values = _known(RegionPairs, options, ("still_share", "closed_share"))
    training = wanted.split == "train"
    shares = {"still_share": 0.2, "closed_share": 0.1} | values
    return RegionPairs.open(
        folder,
        frames=wanted.frames,
        augmentation=RegionAugmentation() if training else STILL,
        seed=wanted.seed,
        any_share=0.4 if training else 0.0,  # sheets show what is difficult
        **{name: value * training for name, value in shares.items()},
    )


def _views(folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.shapenet import ShapeNetViews
    from gfla.data.views import ViewPairs

    values = _known(ViewPairs, options, ("targets", "pairs"))
    return ViewPairs(ShapeNetViews(folder), wanted.image_size, seed=wanted.seed, **values)


def _synthetic_views(_: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.synthetic_views import HELD_OUT, SyntheticViews
    from gfla.data.views import ViewPairs

    rest = {name: value for name, value in options.items() if name != "objects"}
    values = _known(ViewPairs, rest, ("targets", "pairs"))
    # Held-out objects have numbers that training never reaches.
    first = 0 if wanted.split == "train" else HELD_OUT
    objects = typed(int, options.get("objects", 64), "data.options.objects")
    views = SyntheticViews(objects, max(wanted.image_size), first)
    return ViewPairs(views, wanted.image_size, seed=wanted.seed, **values)


def _dance(folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    from gfla.data.persons import ClipAugmentation, PersonClips
    from gfla.data.published_persons import PublishedClips

    published, options = _draws(options)
    kind = PublishedClips if published else PersonClips
    names = ("augmentation", "sigma", "masks", "own_source", "fill")
    values = _known(kind, options, names)
    chosen = _augmentation(ClipAugmentation, values.pop("augmentation", None), None)
    training = wanted.split == "train"
    if published:
        values["shuffled"] = training
    return kind(
        folder,
        wanted.image_size,
        frames=wanted.frames,
        augmentation=chosen if training else None,
        seed=wanted.seed,
        **values,
    )


def published_draws(kind: str, options: Mapping[str, Any]) -> bool:
    """Whether clips of this kind are drawn as published, rather than varied as our models want."""
    return kind in ("faces", "dance") and options.get("draws") == "published"


def _draws(options: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether clips are drawn as published, and the other options."""
    rest = dict(options)
    draws = rest.pop("draws", "varied")
    check_choice("data.options.draws", draws, ("varied", "published"))
    return draws == "published", rest


def _known(
    reader: type[Any], options: Mapping[str, Any], allowed: tuple[str, ...]
) -> dict[str, Any]:
    """The options, each as the type that the reader takes; see ``_augmentation`` on that one."""
    hints = get_type_hints(reader.__init__)
    takes = [name for name in allowed if name in hints]
    unknown = sorted(set(options) - set(takes))
    if unknown:
        raise invalid(f"unknown data.options {unknown}; known are {', '.join(takes) or 'none'}")
    return {
        name: value if name == _VARIED else typed(hints[name], value, f"data.options.{name}")
        for name, value in options.items()
    }


def _augmentation(kind: type[Any], value: object, none: Any) -> Any:
    """True for the kind's own values, a mapping to change some of them, false for none."""
    if value is None or value is False:
        return none
    if value is not True and not isinstance(value, Mapping):
        known = ", ".join(item.name for item in dataclasses.fields(kind))
        raise wrong(f"data.options.{_VARIED}", value, f"true, false, or values of {known}")
    return typed(kind, {} if value is True else value, f"data.options.{_VARIED}")


KINDS: dict[str, Callable[[Path, Wanted, Mapping[str, Any]], Samples]] = {
    "person": _person,
    "faces": _faces,
    "face-regions": _face_regions,
    "dance": _dance,
    "views": _views,
    "synthetic-views": _synthetic_views,
}
"""Readers by kind of data."""
SYNTHETIC = ("synthetic-views",)
"""Kinds that are made, not read."""
