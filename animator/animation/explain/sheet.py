"""The sheet of one frame: its rows of pictures, and its words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from animator.animation.kinds import subject_of
from animator.animation.plan import JobPlan
from animator.media.sheet import Legend, Mark, Row, SheetTile, draw_sheet
from animator.spec import JobSpec
from animator.weights.subjects import NOT_OF
from gfla import pictures
from gfla.arrays import Picture
from gfla.models.regions import Finished
from gfla.models.rollout import Prediction
from gfla.ops.regions import LEFT_EYE, MOUTH, RIGHT_EYE, Region

Key = tuple[int, str]

_WHEEL, _BAR = 116, (160, 16)
_OLDER = {
    "previous_2": "second previous frame",
    "previous_3": "third previous frame",
    "previous_4": "fourth previous frame",
}

DRAWN: tuple[tuple[str, Region], ...] = (
    ("mouth", MOUTH),
    ("left eye", RIGHT_EYE),
    ("right eye", LEFT_EYE),
)
"""Regions that heads draw: name as seen in the picture, where the person's right eye is left."""


@dataclass(frozen=True, eq=False)
class Insides:
    """All that a sheet shows of one frame.

    Attributes:
        number: of the frame in the result, from 0.
        result: uint8 S S 3, the frame as `animate` gives it to its composer.
        driving: uint8 H W 3, the driving picture.
        structure: C s s, the guidance.
        references: by name, the pictures 3 H W that the frame is made from.
        prediction: what the networks gave, of one clip.
        kernels: attention of every block by (layer, reference).
    """

    number: int
    result: Picture
    driving: Picture
    structure: torch.Tensor
    references: dict[str, torch.Tensor]
    prediction: Prediction
    kernels: dict[Key, pictures.AttentionKernels]


def draw(spec: JobSpec, plan: JobPlan, insides: Insides) -> Picture:
    """The sheet of a frame."""
    index = int(plan.kept[insides.number])
    seconds = plan.driving.seconds[index]
    words, (width, height) = subject_of(plan).words, plan.face.extent(plan.size)
    title = f"How frame {insides.number} of {len(plan.kept)}, at {seconds:.2f} s, came about"
    motion = f"   ·   {spec.motion} motion" if "motion" not in NOT_OF[subject_of(plan).kind] else ""
    lines = [
        f"source {Path(spec.source).name}   ·   driven by {Path(spec.driving).name}   ·   "
        f"weights {plan.generator.name}{motion}",
        "Frames are counted from 0. Distances are in pixels of the result, "
        f"in which the {words.square} is {width} x {height}.",
    ]
    rows = [_frame_row(spec, plan, insides)]
    names = list(insides.references)
    for name in (names[-1], *names[:-1]):  # the source, then the newest frame
        rows += _reference_rows(spec, plan, insides, name)
    if insides.prediction.blend is not None:
        rows.append(_blend_row(insides, names))
    if insides.prediction.regions is not None:
        rows += _region_rows(insides.prediction.regions)
    return draw_sheet(title, lines, rows)


def _frame_row(spec: JobSpec, plan: JobPlan, insides: Insides) -> Row:
    index = int(plan.kept[insides.number])
    # The driving frame and the points that were found in it.
    words, found = subject_of(plan).words, plan.face.driving_points(index)
    height, width = insides.driving.shape[:2]
    dots = tuple(
        # From pixels, whose centres are whole numbers, to units of the picture.
        Mark((x + 0.5) / width, (y + 0.5) / height, (86, 180, 233), 1)
        for x, y in found.tolist()
    )
    # The places that are marked, and the guidance as black lines on white.
    marked = subject_of(plan).places(plan, plan.targets[insides.number])
    edges = np.asarray(255 * (1 - subject_of(plan).drawn(insides.structure).numpy()), np.uint8)
    made_up = {"interpolate": "moves on evenly"}.get(spec.missing_face, "is held")
    held = any(first <= index <= last for first, last in plan.face.missing)
    driving = (
        words.driving
        if not held
        else f"The driving video at this moment. There is {words.nobody} in it: the pose {made_up}."
    )
    lines = words.lines
    if plan.generator.background_edges:
        lines += ", and the edges around it"
    # From left to right in the order of the work.
    tiles = [
        SheetTile(
            pictures.to_picture(insides.references["reference"]),
            "Source",
            words.picture,
        ),
        SheetTile(insides.driving, "Driving frame", driving, marks=dots),
        SheetTile(
            np.repeat(edges[..., None], 3, 2),
            "Structure guidance",
            f"{lines}: what to render.",
        ),
        SheetTile(
            insides.result,
            "Result",
            "The frame. The dots mark the places whose attention is shown below.",
            marks=tuple(Mark(x, y, colour) for _, colour, x, y in marked),
        ),
    ]
    several = len(plan.generator.references) > 1
    known = "the source, the previous frame" if several else "the source"
    text = (
        f"The networks see {known} and the guidance, and of what drives it only its {words.points}."
    )
    return Row("The frame", text, tiles, keys=[(colour, name) for name, colour, _, _ in marked])


def _reference_rows(spec: JobSpec, plan: JobPlan, insides: Insides, name: str) -> Iterator[Row]:
    """One row for each layer: what is fetched from a reference, and from where."""
    # Flows in pixels of the result, all drawn at one scale.
    flows = {
        layer: flow[0].float().cpu() * (plan.size / flow.shape[-2])
        for (layer, reference), flow in insides.prediction.flows.items()
        if reference == name
    }
    scale = _rounded_up(pictures.flow_scale(flows.values()))
    for layer, flow in flows.items():
        title = f"From the {_words(name)}, layer {layer}"
        height, width = flow.shape[1:]
        pixels = plan.size / height
        text = f"Features on a grid of {width} x {height} places, each {_number(pixels)} px wide."
        # Where landmarks give the flow, what the networks added to it.
        estimated = insides.prediction.residuals[layer, name][0].float().cpu() * pixels
        if not torch.equal(estimated, flow):
            mean = _number(float(estimated.norm(dim=0).mean()))
            text += (
                f" The landmarks give the flow; the networks correct it by {mean} px on average."
            )
        wheel = Legend(
            pictures.flow_wheel(_WHEEL),
            f"Flow: to which side a place looks, and how far; the rim is {_number(scale)} px.",
        )
        bar = Legend(pictures.heat_bar(*_BAR), "Mask", ("0", "1"))
        tiles = list(_layer_tiles(plan, insides, (layer, name), flow, scale))
        yield Row(title, text, tiles, (wheel, bar))


def _layer_tiles(
    plan: JobPlan, insides: Insides, key: Key, flow: torch.Tensor, scale: float
) -> Iterator[SheetTile]:
    prediction, what = insides.prediction, _words(key[1])
    reference = insides.references[key[1]]
    # Flow, mask, what they fetch, and the attention where the layer has it.
    lengths = flow.norm(dim=0)
    caption = (
        f"Where each place looks in the {what}, seen from itself: {_number(float(lengths.mean()))} "
        f"px away on average, {_number(float(lengths.max()))} at most."
    )
    yield SheetTile(pictures.flow_picture(flow, scale), "Flow", caption, smooth=False)
    mask = prediction.masks[key][0]
    yield SheetTile(
        pictures.heat_picture(mask),
        "Mask",
        f"How much is taken from the {what} (1) rather than made anew (0): "
        f"{float(mask.float().mean()):.2f} on average.",
        smooth=False,
    )
    yield SheetTile(
        pictures.warped_picture(reference, prediction.flows[key][0]),
        f"Warped {what}",
        f"The {what}, with every place fetched from where its flow leads.",
    )
    if key in insides.kernels:
        yield _attention_tile(plan, insides, key)


def _attention_tile(plan: JobPlan, insides: Insides, key: Key) -> SheetTile:
    """Attention of the marked places over the reference, with dots where their flow ends."""
    weights = insides.kernels[key].weights[0].float().cpu()
    flow = insides.prediction.flows[key][0].float().cpu()
    height, width = flow.shape[1:]
    marked = subject_of(plan).places(plan, plan.targets[insides.number])
    cells = [(int(y * height), int(x * width)) for _, _, x, y in marked]
    colours = [colour for _, colour, _, _ in marked]
    ends = [
        Mark(
            # From the centre of its cell to where the flow leads, in units of the picture.
            (column + 0.5 + float(flow[0, row, column])) / width,
            (row + 0.5 + float(flow[1, row, column])) / height,
            colour,
            2.5,
        )
        for (row, column), colour in zip(cells, colours, strict=True)
    ]
    picture = pictures.to_picture(insides.references[key[1]])
    kernel = round(weights.shape[0] ** 0.5)
    return SheetTile(
        pictures.attention_picture(picture, pictures.attention_heat(weights, flow, cells), colours),
        "Attention",
        f"What the marked places take: {kernel} x {kernel} weights around the flow's end (dot). "
        "Full colour is the largest weight.",
        smooth=False,
        marks=tuple(ends),
    )


def _blend_row(insides: Insides, names: list[str]) -> Row:
    prediction = insides.prediction
    assert prediction.blend is not None
    rendered = prediction.rendered[0]
    mixed = "result" if prediction.regions is None else "blend"
    tiles = [
        SheetTile(
            pictures.to_picture(rendered),
            "Rendered picture",
            "What the networks draw, at their own size of "
            f"{rendered.shape[-1]} x {rendered.shape[-2]}.",
        )
    ]
    # The shares come in the order of the pictures that are mixed.
    shares = prediction.blend[0].float().cpu()
    for share, name in zip(shares, ("rendered", *names), strict=True):
        what = "rendered picture" if name == "rendered" else f"warped {_words(name)}"
        tiles.append(
            SheetTile(
                pictures.heat_picture(share),
                f"Share of the {what}",
                f"{float(share.mean()):.0%} of the {mixed}.",
            )
        )
    text = f"The {mixed} mixes {len(shares)} pictures. At each pixel their shares add up to 1."
    return Row("The blend", text, tiles, (_share_bar(),))


def _region_rows(finished: Finished) -> Iterator[Row]:
    """One row for each region that a head drew: its crop before, the drawing's share, and after."""
    for name, region in DRAWN:
        if region.name not in finished.shares:
            continue
        # Crops lie as the person's right eye does; people see them as in the picture.
        maps = (finished.before, finished.shares, finished.after)
        before, share, after = (
            _unmirrored(crops[region.name][0].float().cpu(), region) for crops in maps
        )
        change = float((after - before).abs().max()) * 255 / 2
        tiles = [
            SheetTile(pictures.to_picture(before), "Before", f"The {name} of the blend."),
            SheetTile(
                pictures.heat_picture(share),
                "Share of the drawing",
                f"{float(share.mean()):.0%} of the crop, {float(share.max()):.0%} at most.",
            ),
            SheetTile(
                pictures.to_picture(after),
                "After",
                f"With the drawing mixed in: colours change by up to {_number(change)} of 255.",
            ),
        ]
        text = (
            f"A small network draws the {name} anew over the blend. It sees this crop, upright and "
            f"{region.width} x {region.height} pixels large, that of the source, and the landmarks "
            "of both."
        )
        yield Row(f"The {name}", text, tiles, (_share_bar(),))


def _unmirrored(crop: torch.Tensor, region: Region) -> torch.Tensor:
    return crop.flip(-1) if region.mirrored else crop


def _share_bar() -> Legend:
    return Legend(pictures.heat_bar(*_BAR), "Share", ("0", "1"))


def _words(reference: str) -> str:
    """The name of a reference for people."""
    if reference == "reference":
        return "source"
    return _OLDER.get(reference, "previous frame")


def _rounded_up(value: float) -> float:
    """Up to the next of a few plain numbers times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    plain = (1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10)
    return float(next(step for step in plain if step * power >= value) * power)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
