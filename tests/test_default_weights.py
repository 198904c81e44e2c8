"""The shipped weights: what they are, and that they animate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animator.animation.rollout.loading import load_portrait
from animator.faces.crop import crop_square, face_square, to_crop
from animator.faces.detectors import make_detector
from animator.faces.tracking import FaceTracker, find_face
from animator.media.decode import VideoReader, read_image
from animator.settings import Settings
from animator.weights.library import DEFAULT_WEIGHTS
from gfla import checkpoint
from gfla.evaluation.motion import landmark_error
from gfla.ops.regions import MOUTH, align, geometry

pytestmark = pytest.mark.slow

SIZE = 256
INNER_LIPS = (62, 66)


def test_they_describe_themselves_and_are_small():
    loaded = checkpoint.load(DEFAULT_WEIGHTS)
    assert DEFAULT_WEIGHTS.stat().st_size < 20e6
    assert loaded.generator.config.image_fusion
    assert loaded.generator.config.flow_prior
    assert loaded.generator.config.mouth_head and loaded.generator.config.eye_head
    assert loaded.info["name"].startswith("face-compact")
    assert loaded.info["structure_size"] == 128


@pytest.fixture(scope="module")
def reenacted(samples: tuple[Path, Path]):
    """The sample's first frame animated by the sample itself: truth, result, landmarks."""
    detector = make_detector("dlib")
    with VideoReader(samples[1]) as reader:
        frames = np.concatenate([batch.pixels for batch in reader])[:90]
    points = FaceTracker(detector).track(frames).points
    square = face_square(points[0])
    truth = [crop_square(frame, square, SIZE) for frame in frames]
    units = to_crop(points, square, 1) + 0.5
    generator = load_portrait("default", "cpu", "float32", Settings.from_environment()).generator
    state = generator.start(truth[0], units[0])
    results = []
    for landmarks in units:
        state, picture = generator.step(state, landmarks)
        results.append(picture)
    pixels = to_crop(points, square, SIZE)
    found = FaceTracker(detector).track(np.stack(results)).points
    return np.stack(truth), np.stack(results), pixels, found


def test_the_result_is_nearer_to_the_truth_than_its_source_is(reenacted):
    truth, results, _, _ = reenacted
    distance = np.abs(results.astype(int) - truth).mean((1, 2, 3))
    unmoved = np.abs(truth[:1].astype(int) - truth).mean((1, 2, 3))
    moving = unmoved > np.median(unmoved)
    assert distance[moving].mean() < 0.8 * unmoved[moving].mean()


def test_the_face_goes_where_it_is_told(reenacted):
    _, _, wanted, found = reenacted
    ours = [landmark_error(f, w) for f, w in zip(found, wanted, strict=True)]
    still = [landmark_error(wanted[0], w) for w in wanted]
    assert np.isfinite(found).all()
    assert np.mean(ours) < 3
    assert np.mean(ours) < 0.5 * np.mean(still)


def test_a_mouth_that_opens_gets_darker_inside_and_closing_lids_cover_the_eye(samples):
    """Where a warp alone would show stretched lips, and a squeezed eye."""
    picture = read_image(samples[0])
    points = find_face(picture, make_detector("dlib"))[0].points[0]
    square = face_square(points)
    source = crop_square(picture, square, SIZE)
    still = (to_crop(points[None], square, 1) + 0.5)[0]
    asked = still.copy()
    asked[61:64, 1] -= 0.005  # the upper lip a little, the lower one and the jaw far
    asked[[55, 56, 57, 58, 59, 65, 66, 67, *range(5, 12)], 1] += 0.06
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        asked[upper] = 0.1 * asked[upper] + 0.9 * asked[lower]
    generator = load_portrait("default", "cpu", "float32", Settings.from_environment()).generator
    state = generator.start(source, still)
    for share in (0.5, 1.0):
        state, prediction = generator.predict(state, still + np.float32(share) * (asked - still))
    drawn = prediction.regions
    for name in ("mouth", "right eye", "left eye"):
        change = (drawn.after[name] - drawn.before[name]).abs().mean()
        assert change > 0.01, name
    landmarks = torch.from_numpy(asked)[None]
    inside = geometry(MOUTH, landmarks, align(MOUTH, landmarks)).opening
    before, after = (
        float((picture["mouth"].mean(1, keepdim=True) * inside).sum() / inside.sum())
        for picture in (drawn.before, drawn.after)
    )
    assert after < before


def test_pictures_stay_sharp_through_the_clip(reenacted):
    truth, results, _, _ = reenacted

    def sharpness(pictures):
        return np.abs(np.diff(pictures.astype(float), axis=2)).mean()

    assert sharpness(results[-10:]) > 0.7 * sharpness(truth[-10:])
