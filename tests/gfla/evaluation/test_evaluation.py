from __future__ import annotations

import json

import numpy as np
import pytest

from gfla.errors import GflaError
from gfla.evaluation import baselines
from gfla.evaluation.files import resized, stored
from gfla.evaluation.motion import jitter, landmark_error, there_and_back
from gfla.evaluation.protocol import PictureOptions, Protocol
from gfla.evaluation.report import Evaluation, SampleFigures, Table, ranked
from gfla.evaluation.stats import Figure, bootstrap
from tests.gfla.data.test_faces import brightness, marked, pack
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)
PROTOCOL = Protocol("test", "faces", ("l1", "landmarks"))


def test_the_warp_moves_landmarks_to_where_they_are_to_be():
    moved = FACE + np.float32([0.03, -0.02])
    result = baselines.piecewise_affine(marked(FACE), FACE, moved)
    for index in (8, 36):
        assert brightness(result, moved[index]) > 150
        assert brightness(result, FACE[index]) < 100


def test_the_warp_leaves_an_unmoved_picture_alone():
    result = baselines.piecewise_affine(marked(FACE), FACE, FACE)
    assert np.abs(result.astype(int) - marked(FACE)).max() <= 1


def test_the_spline_moves_landmarks_and_leaves_an_unmoved_picture_alone():
    moved = FACE + np.float32([0.03, -0.02])
    still, result = baselines.spline_warp(marked(FACE), FACE, np.stack([FACE, moved]))
    assert np.abs(still.astype(int) - marked(FACE)).max() <= 1
    for index in (8, 36):
        assert brightness(result, moved[index]) > 150


@pytest.mark.parametrize(
    "method", [baselines.copy_source, baselines.affine_warp, baselines.spline_warp]
)
def test_methods_render_the_frames_asked_for(method):
    clip = pack(9)
    pictures = list(method(clip.frame(0), clip.landmarks[0], clip.landmarks[1::3]))
    assert [p.shape for p in pictures] == [(256, 256, 3)] * 3
    assert all(p.dtype == np.uint8 for p in pictures)


def test_landmark_errors_are_in_percent_of_the_eyes_distance():
    eyes = np.linalg.norm(FACE[36] - FACE[45])
    assert landmark_error(FACE, FACE) == 0
    assert landmark_error(FACE + np.float32([0.1 * eyes, 0]), FACE) == pytest.approx(10)
    two = np.stack([FACE, FACE + np.float32([0.1 * eyes, 0])])
    assert landmark_error(two, np.stack([FACE, FACE])) == pytest.approx(5)


def test_jitter_is_the_difference_of_accelerations():
    random = np.random.default_rng(0)
    wanted = FACE + 0.02 * random.normal(size=(6, 1, 2))
    found = wanted + 0.01 * random.normal(size=(6, 68, 2))
    lengths = []
    for t in range(1, 5):
        ours = found[t + 1] - 2 * found[t] + found[t - 1]
        truth = wanted[t + 1] - 2 * wanted[t] + wanted[t - 1]
        lengths += [np.hypot(*point) for point in ours - truth]
    eyes = np.linalg.norm(FACE[36] - FACE[45])
    assert jitter(found, wanted) == pytest.approx(100 * np.mean(lengths) / eyes)


def test_jitter_ignores_place_and_even_motion():
    wanted = FACE + 0.02 * np.random.default_rng(0).normal(size=(6, 1, 2))
    drifting = wanted + 0.1 + 0.03 * np.arange(6)[:, None, None]
    assert jitter(drifting, wanted) == pytest.approx(0, abs=1e-9)
    with pytest.raises(GflaError, match="3 successive frames"):
        jitter(wanted[:2], wanted[:2])


def test_clips_turn_at_their_ends():
    assert there_and_back(4, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert there_and_back(4, 3).tolist() == [0, 1, 2]
    assert there_and_back(1, 3).tolist() == [0, 0, 0]


def test_intervals_are_over_people():
    # Ten samples of each of two people: what varies is the person alone.
    values, people = [0.0] * 10 + [1.0] * 10, ["a"] * 10 + ["b"] * 10
    found = bootstrap(values, people, resamples=500)
    assert found.value == 0.5
    assert (found.low, found.high) == (0, 1)
    assert (found.samples, found.identities) == (20, 2)
    assert bootstrap(values, people, resamples=500) == found
    each = bootstrap(values, [str(n) for n in range(20)], resamples=500)
    assert each.low is not None and each.low > 0.2


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = random.normal(size=40)
        found = bootstrap(values, [str(n) for n in range(40)], seed=trial, resamples=300)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_ratios_are_of_means():
    found = bootstrap([2.0, 4.0], ["a", "b"], divisors=[1.0, 5.0])
    assert found.value == 1
    assert bootstrap([3.0], ["a"]).low is None
    with pytest.raises(GflaError, match="nothing"):
        bootstrap([], [])


def test_best_median_and_worst():
    samples = [SampleFigures("m", str(n), "x", {"l1": v}) for n, v in enumerate([3, 1, 5, 4, 2])]
    samples.append(SampleFigures("other", "9", "x", {"l1": 0}))
    assert ranked(samples, "m", "l1", rising=False) == {"best": 1, "median": 0, "worst": 2}
    assert ranked(samples, "m", "l1", rising=True) == {"best": 2, "median": 0, "worst": 1}
    assert ranked(samples, "m", "ssim", rising=True) == {}


def evaluation() -> Evaluation:
    estimate = Figure(0.125, 0.1, 0.2, 4, 2)
    rows = {"copy": {"l1": estimate, "landmarks": Figure(float("inf"), None, None, 4, 2)}}
    samples = [SampleFigures("copy", "clip", "a", {"l1": float("nan")})]
    table = Table("Self", ("l1", "landmarks"), rows | {"ours|x": {"l1": estimate}}, {}, samples)
    return Evaluation(PROTOCOL, [table], {"ours|x": "ab"}, {}, {"clips": 4}, {"torch": "2"}, ["!"])


def test_tables_carry_what_made_them():
    page = evaluation().to_markdown()
    assert "| method | L1 ↓ | landmark error % ↓ |" in page
    assert "| copy | 0.125 [0.1, 0.2] | inf |" in page
    assert "| ours\\|x | 0.125 [0.1, 0.2] | – |" in page
    assert PROTOCOL.sha256 in page and "torch: 2" in page and '"every": 4' in page
    plain = evaluation().to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["protocol_sha256"] == PROTOCOL.sha256
    assert plain["tables"][0]["rows"][0]["figures"]["landmarks"]["value"] is None


def test_pictures_go_through_the_protocols_file_format():
    picture = np.random.default_rng(0).integers(0, 256, (32, 24, 3)).astype(np.uint8)
    assert np.array_equal(stored(picture, PictureOptions(file_format="png")), picture)
    low, high = (
        np.abs(stored(picture, PictureOptions(file_format="jpeg", jpeg_quality=q)) - 0.0 - picture)
        for q in (30, 95)
    )
    assert 0 < high.mean() < low.mean()
    assert resized(picture, PictureOptions(32, 24)) is picture
    filters = [resized(picture, PictureOptions(16, 16, name)) for name in ("bicubic", "bilinear")]
    assert filters[0].shape == (16, 16, 3) and not np.array_equal(*filters)
