from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.linalg
import torch

from gfla.errors import GflaError
from gfla.evaluation import inception
from gfla.evaluation.inception import (
    InceptionFeatures,
    KidOptions,
    SetDistances,
    SeveralDistances,
    TorchvisionFeatures,
)
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


@pytest.fixture(scope="module")
def torchvision_weights(tmp_path_factory):
    """A file as torchvision publishes it, with weights that keep features at a size of 1."""
    from torchvision.models import inception_v3

    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    network = inception_v3(weights=None, init_weights=False)
    random = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith("conv.weight"):
            inputs = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=random) * (2 / inputs) ** 0.5)
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.slow
def test_the_papers_inception_is_torchvisions_with_the_published_scaling(
    torchvision_weights, monkeypatch
):
    from torchvision.models import inception_v3

    named = PretrainedFile("Inception", f"x-{pretrained_prefix(torchvision_weights)}.pth")
    monkeypatch.setattr(inception, "TORCHVISION", named)
    features = TorchvisionFeatures(torchvision_weights)
    assert features.sha256 == hashlib.sha256(torchvision_weights.read_bytes()).hexdigest()
    pictures = torch.randint(0, 256, (2, 3, 40, 30), generator=torch.Generator().manual_seed(1))
    found = features(pictures.byte())
    # The same by the formula: bilinear between centres, then every channel's line.
    size, seen = (40, 30), np.empty((2, 3, 299, 299))
    places = [np.clip((np.arange(299) + 0.5) * side / 299 - 0.5, 0, side - 1) for side in size]
    for item, channel in np.ndindex(2, 3):
        plane = pictures[item, channel].numpy() / 255
        rows = np.stack([np.interp(places[1], np.arange(30), row) for row in plane])
        plane = np.stack([np.interp(places[0], np.arange(40), column) for column in rows.T]).T
        deviation, mean = ((0.229, 0.485), (0.224, 0.456), (0.225, 0.406))[channel]
        seen[item, channel] = plane * (deviation / 0.5) + (mean - 0.5) / 0.5
    network = inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    network.load_state_dict(torch.load(torchvision_weights, weights_only=True))
    pooled = []
    network.avgpool.register_forward_hook(lambda module, given, out: pooled.append(out))
    with torch.inference_mode():
        network(torch.tensor(seen, dtype=torch.float32))
    assert found.shape == (2, 2048) and float(found.std()) > 0.01
    assert torch.allclose(found, pooled[0].flatten(1), rtol=1e-3, atol=1e-4)
    with pytest.raises(GflaError, match="needs uint8"):
        features(torch.zeros(1, 3, 32, 24))
    other = torchvision_weights.with_name("other.pth")
    other.write_bytes(b"no weights")
    with pytest.raises(GflaError, match="those very weights") as raised:
        TorchvisionFeatures(other)
    assert raised.value.code == "bad_checkpoint"


def test_two_networks_are_told_apart_by_name():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(20, 4)), random.normal(size=(20, 4))
    several = SeveralDistances({"": SetDistances(Given(4)), "-torchvision": SetDistances(Half(4))})
    pictures = [torch.tensor(x)[:, None, None].expand(-1, 3, 1, -1) for x in (real, fake)]
    several.add(pictures[0], real=True)
    several.add(pictures[1], real=False)
    found = several.compute()
    assert found["fid"] == pytest.approx(distances(real, fake)["fid"], rel=1e-9)
    assert found["fid-torchvision"] == pytest.approx(found["fid"] / 4, rel=1e-6)
    assert (several.real, several.fake, several.num_features) == (20, 20, 4)
    several.forget_generated()
    assert several.fake == 0


class Half(Given):
    """The same features at half the length."""

    def forward(self, pictures):
        return super().forward(pictures) / 2


def pretrained_prefix(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
