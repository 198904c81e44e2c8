from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.linalg
import torch

from gfla.errors import GflaError
from gfla.evaluation import inception
from gfla.evaluation.inception import InceptionFeatures, KidOptions, SetDistances
from gfla.pretrained import PretrainedFile

pytest.importorskip("torchmetrics")
pytest.importorskip("torch_fidelity")


class Given(torch.nn.Module):
    """Takes pictures B 3 1 N for features: N of the first channel."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, pictures):
        return pictures[:, 0, 0]


def distances(real, fake, **options):
    sets = SetDistances(Given(real.shape[1]), **options)
    for features, is_real in ((real, True), (fake, False)):
        for part in torch.tensor(features).split(7):
            sets.add(part[:, None, None].expand(-1, 3, 1, -1), real=is_real)
    return sets.compute()


def exact(count, mean, covariance, seed):
    """Features that have exactly this mean and this sample covariance."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_fid_is_the_formula_on_given_features():
    random = np.random.default_rng(0)
    real = random.normal(size=(60, 8)) @ random.normal(size=(8, 8))
    fake = random.normal(size=(40, 8)) @ random.normal(size=(8, 8)) + 0.3
    root = scipy.linalg.sqrtm(np.cov(real, rowvar=False) @ np.cov(fake, rowvar=False))
    spread = np.trace(np.cov(real, rowvar=False) + np.cov(fake, rowvar=False) - 2 * root.real)
    wanted = ((real.mean(0) - fake.mean(0)) ** 2).sum() + spread
    assert distances(real, fake)["fid"] == pytest.approx(wanted, rel=1e-6)


def test_fid_of_gaussians_that_are_known():
    # Equal axes: |shift|^2 + sum (sigma - sigma')^2.
    first = exact(50, np.zeros(4), np.diag([1.0, 4, 9, 16]), 1)
    second = exact(30, np.array([1.0, 0, 2, 0]), np.diag([4.0, 4, 1, 25]), 2)
    assert distances(first, second)["fid"] == pytest.approx(5 + (1 + 0 + 4 + 1), rel=1e-6)
    assert distances(first, first)["fid"] == pytest.approx(0, abs=1e-6)


def test_fid_where_there_are_fewer_pictures_than_features():
    random = np.random.default_rng(3)
    real, fake = random.normal(size=(12, 30)), random.normal(size=(9, 30)) + 1
    # tr sqrt(AB) is the sum of singular values of the product of centred, scaled features.
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, fake))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    shift = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    wanted = shift + (a**2).sum() + (b**2).sum() - 2 * overlap
    assert distances(real, fake)["fid"] == pytest.approx(wanted, rel=1e-4)


def test_kid_is_the_unbiased_formula():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(20, 6)), random.normal(size=(20, 6)) + 0.5
    kernel = [(a @ b.T / 6 + 1) ** 3 for a, b in ((real, real), (fake, fake), (real, fake))]
    own = sum((k.sum() - np.trace(k)) / (20 * 19) for k in kernel[:2])
    found = distances(real, fake, kid=KidOptions(subsets=2, size=20))
    assert found["kid"] == pytest.approx(own - 2 * kernel[2].mean(), rel=1e-6)


def test_kid_is_drawn_by_the_seed_and_leaves_other_randomness_alone():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(30, 6)), random.normal(size=(30, 6)) + 0.5
    torch.manual_seed(5)
    first = distances(real, fake, kid=KidOptions(3, 10), seed=1)["kid"]
    following = torch.rand(1)
    assert distances(real, fake, kid=KidOptions(3, 10), seed=1)["kid"] == first
    assert distances(real, fake, kid=KidOptions(3, 10), seed=2)["kid"] != first
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), following)


def test_the_real_pictures_stay_for_the_next_set():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(20, 4)), random.normal(size=(20, 4))
    sets = SetDistances(Given(4))
    as_pictures = [torch.tensor(x)[:, None, None].expand(-1, 3, 1, -1) for x in (real, fake)]
    sets.add(as_pictures[0], real=True)
    sets.add(as_pictures[0], real=False)
    assert sets.compute()["fid"] == pytest.approx(0, abs=1e-6)
    sets.forget_generated()
    sets.add(as_pictures[1], real=False)
    assert sets.compute() == pytest.approx(distances(real, fake), rel=1e-9)


def test_too_few_pictures_are_refused():
    few = np.zeros((5, 3))
    with pytest.raises(GflaError, match="5 real and 5") as raised:
        distances(few, few, kid=KidOptions(2, 10))
    assert raised.value.code == "too_few_samples"


def test_inception_reads_a_local_file(tmp_path, monkeypatch):
    """The one test that builds the network; its weights are zeros but for one bias."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "inception.pth"
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url",
                        lambda *a, **k: {})  # fmt: skip
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *a: None)
    with torch.device("meta"):
        shapes = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict()
    monkeypatch.undo()
    state = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}
    state["Mixed_7c.branch1x1.bn.bias"] += 2
    torch.save(state, path)
    monkeypatch.setattr(
        inception, "INCEPTION", PretrainedFile("Inception", f"x-{pretrained_prefix(path)}.pth")
    )
    features = InceptionFeatures(path)
    found = features(torch.randint(0, 256, (1, 3, 32, 24), dtype=torch.uint8))
    assert found.shape == (1, 2048)
    assert torch.equal(found[0, :320], torch.full((320,), 2.0))
    assert float(found[0, 320:].abs().max()) == 0
    with pytest.raises(GflaError, match="needs uint8"):
        features(torch.zeros(1, 3, 32, 24))


def pretrained_prefix(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
