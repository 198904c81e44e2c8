"""Measures of mouth and eyes: colours in crops aligned with the true face, and how far they open.

``mouth`` and ``eyes`` are whole crops (``gfla.ops.regions``), ``lips`` and ``lids`` their openings
alone; both eyes count alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.arrays import Picture, Points
from gfla.data.openings import openness
from gfla.evaluation.files import as_batch
from gfla.ops.ranges import from_bytes
from gfla.ops.regions import LEFT_EYE, MOUTH, RIGHT_EYE, Region, align, crop, geometry

Distance = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Of pictures, as ``gfla.evaluation.metrics.PictureMetric`` has it."""
FEWEST_FRAMES = 5
"""Frames from which a clip's tones have a slope and a correlation."""
LEAST_SPREAD = 0.01
"""Standard deviation of the true tones that they need, too."""
_ENLARGED = 2
"""Sides of the crops that a network sees: as many pixels as a picture of 256 has there."""
_STEADY = 1e-6
"""Standard deviation of tones that is rounding alone."""


@dataclass(frozen=True)
class Part:
    """Regions of one size that are measured together.

    Attributes:
        name: in the names of measures of the crop.
        inside: in those of its opening.
        regions: the regions.
        least: pixels of a crop that its opening must have to count.
    """

    name: str
    inside: str
    regions: tuple[Region, ...]
    least: float


PARTS = (Part("mouth", "lips", (MOUTH,), 12.0), Part("eyes", "lids", (RIGHT_EYE, LEFT_EYE), 1.0))


class RegionMeasures:
    """The measures of a clip against the true one, frame by frame; pictures are not kept.

    Beside those of the functions below it has ``mouth_perceptual`` and ``eyes_perceptual``, the
    perceptual distance of the crops, enlarged twofold; from 0.
    """

    def __init__(self, perceptual: Distance | None = None) -> None:
        """Begin a clip.

        Args:
            perceptual: the distance; without it there is no ``_perceptual``.
        """
        self._parts = [_PartMeasures(part, perceptual) for part in PARTS]

    def take(
        self, result: Picture, truth: Picture, landmarks: Points, compared: bool = True
    ) -> None:
        """Measure a frame, the one after the last.

        Args:
            result: uint8 S S 3.
            truth: likewise.
            landmarks: of the true face, 68 2 in units of the picture.
            compared: whether it counts for more than flicker and tones.
        """
        pictures = from_bytes(as_batch([result, truth]))
        points = torch.from_numpy(np.array(landmarks, np.float32)).expand(2, -1, -1)
        with torch.inference_mode():
            for part in self._parts:
                part.take(pictures, points, compared)

    def figures(self) -> dict[str, float]:
        """Measures by name; one that these frames do not have is missing."""
        return {name: value for part in self._parts for name, value in part.figures().items()}


class _PartMeasures:
    """One part of ``RegionMeasures``."""

    def __init__(self, part: Part, perceptual: Distance | None) -> None:
        self.part, self.perceptual = part, perceptual
        self.values: dict[str, list[float]] = {}
        self.tones: list[tuple[float, float]] = []
        self.flicker = Flicker()

    def take(self, pictures: Tensor, landmarks: Tensor, compared: bool) -> None:
        """Measure result and truth, 2 3 S S in [-1, 1], with landmarks 2 68 2."""
        # Both in crops of the true face, so that a face in the wrong place counts as different.
        crops = self._crops(pictures, landmarks)
        tones = luminance(crops)
        self.flicker.take(tones)
        # Openings by the true landmarks; shut ones have no tone.
        openings = self._openings(landmarks[:1])
        counts = openings.sum((1, 2, 3)) >= self.part.least
        if counts.any():
            self.tones.append(opening_tones(tones[counts], openings[counts]))
        # Flicker and tones look at every frame, the rest at some.
        if not compared:
            return
        self._add(f"{self.part.name}_sharpness", sharpness_ratio(tones))
        self._add(f"{self.part.name}_l1", box_l1(crops))
        if self.perceptual is not None:
            result, truth = self._crops(pictures, landmarks, _ENLARGED).unbind(1)
            self._add(
                f"{self.part.name}_perceptual", float(self.perceptual(result, truth, None).mean())
            )
        if counts.any():
            self._add(f"{self.part.inside}_l1", opening_l1(crops[counts], openings[counts]))

    def figures(self) -> dict[str, float]:
        """Means over the frames."""
        figures = {name: float(np.mean(values)) for name, values in self.values.items()}
        for name, value in tone_figures(self.tones).items():
            figures[f"{self.part.inside}_tone_{name}"] = value
        if (ratio := self.flicker.ratio()) is not None:
            figures[f"{self.part.name}_flicker"] = ratio
        return figures

    def _crops(self, pictures: Tensor, landmarks: Tensor, scale: int = 1) -> Tensor:
        """R 2 3 h w of R regions."""
        return torch.stack(
            [
                crop(pictures, align(r, landmarks), scale * r.height, scale * r.width)
                for r in self.part.regions
            ]
        )

    def _openings(self, landmarks: Tensor) -> Tensor:
        """R 1 h w."""
        return torch.cat(
            [geometry(r, landmarks, align(r, landmarks)).opening for r in self.part.regions]
        )

    def _add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)


def luminance(crops: Tensor) -> Tensor:
    """Luminance R 2 h w in [0, 1] of crops R 2 3 h w in [-1, 1]: 0.299 R + 0.587 G + 0.114 B."""
    red, green, blue = ((crops + 1) / 2).unbind(2)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def box_l1(crops: Tensor) -> float:
    """``mouth_l1``, ``eyes_l1``: mean absolute difference in the crop, 0 to 2.

    Args:
        crops: R 2 3 h w in [-1, 1], result and truth of each region.
    """
    return float((crops[:, 0] - crops[:, 1]).abs().mean())


def opening_l1(crops: Tensor, openings: Tensor) -> float:
    """``lips_l1``, ``lids_l1``: mean absolute difference within the true opening, 0 to 2.

    Args:
        crops: R 2 3 h w in [-1, 1], result and truth of each region.
        openings: R 1 h w, what lies within, 0 to 1; of some area.
    """
    difference = (crops[:, 0] - crops[:, 1]).abs().mean(1, keepdim=True)
    return float(_within(difference, openings).mean())


def sharpness_ratio(tones: Tensor) -> float:
    """``mouth_sharpness``, ``eyes_sharpness``: fine detail of the result over that of the truth.

    It is the mean |x - mean of 3 x 3 around x| of the luminance x; from 0, 1 is as sharp.

    Args:
        tones: luminance R 2 h w of result and truth.
    """
    # At the border the mean is over what there is.
    detail = (tones - F.avg_pool2d(tones, 3, 1, 1, count_include_pad=False)).abs()
    result, truth = detail.mean((0, 2, 3)).clamp(min=1e-6).tolist()
    return result / truth


def opening_tones(tones: Tensor, openings: Tensor) -> tuple[float, float]:
    """Mean luminance of result and truth within the true opening, 0 to 1.

    Args:
        tones: luminance R 2 h w of result and truth.
        openings: R 1 h w, as in ``opening_l1``.
    """
    result, truth = _within(tones, openings).mean(0).tolist()
    return result, truth


def tone_figures(tones: Sequence[tuple[float, float]]) -> dict[str, float]:
    """``lips_tone_``, ``lids_tone_``: how the tone of the result follows the true one in a clip.

    ``bias`` is the mean difference, result less truth, -1 to 1; ``slope`` that of the least-squares
    line of the result over the truth, 1 where it follows; ``r`` Pearson's correlation, -1 to 1. The
    last two are missing where the true tones are fewer than ``FEWEST_FRAMES`` or vary by
    ``LEAST_SPREAD`` or less, ``r`` also where the result's do not vary.

    Args:
        tones: of result and truth in each frame, as ``opening_tones`` gives them.
    """
    if not tones:
        return {}
    result, truth = np.array(tones, np.float64).T
    figures = {"bias": float(np.mean(result - truth))}
    if len(tones) >= FEWEST_FRAMES and truth.std() > LEAST_SPREAD:
        # The covariance: over the variance it is the slope, over both deviations the correlation.
        common = float(np.mean((result - result.mean()) * (truth - truth.mean())))
        figures["slope"] = common / float(truth.var())
        if result.std() > _STEADY:
            figures["r"] = common / float(truth.std() * result.std())
    return figures


class Flicker:
    """``mouth_flicker``, ``eyes_flicker``: mean |x[t-1] - 2 x[t] + x[t+1]| of the luminance x.

    It is the result's divided by the true video's, from 0; 1 is as restless as that.
    """

    def __init__(self) -> None:
        """Begin a clip."""
        self._recent: list[Tensor] = []
        self._found: list[Tensor] = []

    def take(self, tones: Tensor) -> None:
        """Look at luminance R 2 h w of result and truth, in the frame after the last."""
        self._recent = [*self._recent[-2:], tones]
        if len(self._recent) == 3:
            before, now, after = self._recent
            self._found.append((before - 2 * now + after).abs().mean((0, 2, 3)))

    def ratio(self) -> float | None:
        """The figure; None before three frames, and where nothing moves in the true video."""
        if not self._found:
            return None
        result, truth = torch.stack(self._found).mean(0).tolist()
        return result / truth if truth else None


def opening_errors(found: Points, wanted: Points) -> dict[str, float]:
    """``mouth_opening``, ``eyes_opening``: how far lips and lids are from as open as wanted.

    It is the mean absolute difference of ``gfla.data.openings.openness``, from 0: percent of
    the face's size for the mouth, of an eye's width for the eyes.

    Args:
        found: T 68 2, landmarks found in the result, in any unit with square pixels.
        wanted: likewise, those of the truth or those that were asked for.
    """

    def error(region: Region) -> float:
        ours, truth = (openness(points, region.name) for points in (found, wanted))
        return float(np.abs(ours - truth).mean())

    return {f"{p.name}_opening": 100 * float(np.mean([*map(error, p.regions)])) for p in PARTS}


def _within(values: Tensor, openings: Tensor) -> Tensor:
    """Means R C of values R C h w within openings R 1 h w."""
    return (values * openings).sum((2, 3)) / openings.sum((2, 3))
