"""Measures of mouth and eyes with answers that are known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gfla.evaluation.metrics import l1_distance
from gfla.evaluation.protocol import REGIONS
from gfla.evaluation.regions import RegionMeasures, opening_errors, tone_figures
from tests.golden.faces import MEAN_FACE

SIZE, FRAMES = 256, 8
SHADES = (40, 80, 120, 60, 100, 140, 90, 110)
LIPS, LIDS = range(60, 68), (range(36, 42), range(42, 48))


def face(gap: float = 0.06) -> np.ndarray:
    """The mean face with its lips open by a gap, in units of the picture."""
    points = MEAN_FACE.astype(np.float32).copy()
    middle = points[60:68, 1].mean()
    for place, side in ((60, 0), (61, -1), (62, -1), (63, -1), (64, 0), (65, 1), (66, 1), (67, 1)):
        points[place, 1] = middle + side * gap / 2
    return points


FACE = face()


def shaded(shade: float, base: int = 150) -> np.ndarray:
    """A picture of one colour, with lips and lids and what lies within in another."""
    picture = np.full((SIZE, SIZE, 3), base, np.uint8)
    for points in (LIPS, *LIDS):
        outline = np.round(FACE[list(points)] * SIZE - 0.5).astype(np.int32)
        for draw in (cv2.fillPoly, lambda image, lines, colour: cv2.polylines(
            image, lines, True, colour, 7
        )):  # fmt: skip
            draw(picture, [outline], [round(shade)] * 3)
    return picture


def measured(results, truths, perceptual=None, compared=lambda place: True) -> dict[str, float]:
    measures = RegionMeasures(perceptual)
    for place, (result, truth) in enumerate(zip(results, truths, strict=True)):
        measures.take(result, truth, FACE, compared(place))
    return measures.figures()


def test_an_equal_video_has_no_error():
    truths = [shaded(shade) for shade in SHADES]
    figures = measured(truths, truths, lambda a, b, mask: l1_distance(a, b))
    openings = opening_errors(np.stack([FACE] * 2), np.stack([FACE] * 2))
    assert set(figures | openings) == set(REGIONS)
    best = {
        name: float(name.endswith(("_r", "_slope", "_flicker", "_sharpness"))) for name in figures
    }
    assert figures == pytest.approx(best, abs=1e-6)
    assert openings == {"mouth_opening": 0, "eyes_opening": 0}


def test_half_the_contrast_has_half_the_slope():
    truths = [shaded(shade) for shade in SHADES]
    figures = measured([shaded(100 + (shade - 100) / 2) for shade in SHADES], truths)
    away = np.abs(np.array(SHADES) - 100) / 2
    for part in ("lips", "lids"):
        assert figures[f"{part}_tone_slope"] == pytest.approx(0.5, abs=0.01)
        assert figures[f"{part}_tone_r"] == pytest.approx(1, abs=1e-4)
        bias = -(np.mean(SHADES) - 100) / 2 / 255
        assert figures[f"{part}_tone_bias"] == pytest.approx(bias, abs=1e-4)
        assert figures[f"{part}_l1"] == pytest.approx(away.mean() / 127.5, rel=0.01)
    assert figures["mouth_flicker"] == pytest.approx(0.5, abs=0.01)
    assert figures["eyes_flicker"] == pytest.approx(0.5, abs=0.01)
    assert 0 < figures["mouth_l1"] < figures["lips_l1"]


def test_a_colour_shift_is_l1_in_its_unit():
    truths = [shaded(100)] * 3
    results = [truth + np.uint8(51) for truth in truths]
    figures = measured(results, truths, lambda a, b, mask: l1_distance(a, b))
    for name in (
        "mouth_l1",
        "mouth_perceptual",
        "lips_l1",
        "eyes_l1",
        "eyes_perceptual",
        "lids_l1",
    ):
        assert figures[name] == pytest.approx(0.4, abs=1e-5)
    assert figures["lips_tone_bias"] == pytest.approx(0.2, abs=1e-5)


def test_what_does_not_vary_has_no_slope_and_no_flicker():
    truths = [shaded(100)] * FRAMES
    assert {name for name in measured(truths, truths) if "tone" in name or "flicker" in name} == {
        "lips_tone_bias", "lids_tone_bias"
    }  # fmt: skip
    tones = [(0.5, shade / 255) for shade in SHADES]
    assert set(tone_figures(tones)) == {"bias", "slope"} and tone_figures(tones)["slope"] == 0
    assert set(tone_figures(tones[:4])) == {"bias"}
    assert tone_figures([]) == {}


def test_only_compared_frames_count_but_for_flicker_and_tones():
    truths = [shaded(shade) for shade in SHADES]
    results = [truth if n % 2 == 0 else shaded(0) for n, truth in enumerate(truths)]
    figures = measured(results, truths, compared=lambda place: place % 2 == 0)
    assert figures["lips_l1"] == 0 and figures["lips_tone_bias"] < -0.1
    assert figures["mouth_flicker"] > 1.5


def test_a_blurred_result_is_less_sharp():
    random = np.random.default_rng(0)
    truth = random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(truth, (0, 0), 2), np.uint8)
    figures = measured([blurred], [truth])
    assert 0 < figures["mouth_sharpness"] < 0.5 and 0 < figures["eyes_sharpness"] < 0.5


def test_closed_lips_have_no_inside():
    measures = RegionMeasures()
    for shade in SHADES:
        measures.take(shaded(shade), shaded(shade), face(0.0))
    names = set(measures.figures())
    assert not {name for name in names if name.startswith("lips")}
    assert {"mouth_l1", "mouth_flicker", "lids_tone_r"} <= names


def test_openings_are_in_faces_and_in_widths_of_eyes():
    size = 1.45 * np.linalg.norm(FACE[33] - (FACE[36:42].mean(0) + FACE[42:48].mean(0)) / 2)
    width = np.linalg.norm(FACE[36] - FACE[39])
    winking = FACE.copy()
    winking[[37, 38], 1] += 0.01  # the right eye alone
    wanted = np.stack([FACE, FACE]) * SIZE
    mouth = opening_errors(np.stack([FACE, face(0.09)]) * SIZE, wanted)
    assert mouth == pytest.approx(
        {"mouth_opening": 100 * 0.03 / size / 2, "eyes_opening": 0}, rel=1e-4
    )
    eyes = opening_errors(np.stack([FACE, winking]) * SIZE, wanted)
    assert eyes["eyes_opening"] == pytest.approx(100 * 0.01 / width / 2 / 2, rel=0.01)
