from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
import torchvision
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gfla.errors import GflaError
from gfla.evaluation import inception, metrics
from gfla.evaluation.folders import compare_folders
from gfla.evaluation.inception import InceptionFeatures, KidOptions, SetDistances
from gfla.evaluation.metrics import Lpips, MetricFiles, picture_metric
from gfla.evaluation.protocol import PictureOptions, load_protocol
from gfla.evaluation.transfer import Measures
from gfla.losses.perceptual import feature_distance
from gfla.pretrained import PretrainedFile
from tests.helpers import random_vgg

pytest.importorskip("torchmetrics")
pytest.importorskip("torch_fidelity")
lpips = pytest.importorskip("lpips")


class Given(torch.nn.Module):
    """Takes pictures B 3 1 N for features: N of the first channel."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, pictures):
        return pictures[:, 0, 0]


class MeanColour(torch.nn.Module):
    num_features = 3

    def forward(self, pictures):
        return pictures.float().mean((2, 3))


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


def pictures(seed=0, size=40):
    random = torch.Generator().manual_seed(seed)
    small = torch.rand(2, 3, 5, 5, generator=random)
    target = torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(0, 1)
    noise = 0.1 * torch.randn(target.shape, generator=random)
    return (target + noise).clamp(0, 1) * 2 - 1, target * 2 - 1


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


def colours(folder: Path, shades, suffix=".png"):
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades):
        Image.fromarray(np.full((24, 20, 3), shade, np.uint8)).save(folder / f"{number}{suffix}")
    return folder


def test_folders_with_a_known_answer(tmp_path):
    real = colours(tmp_path / "real", [(40, 60, 80), (60, 90, 80), (80, 120, 110)])
    fake = colours(tmp_path / "fake", [(46, 60, 88), (66, 90, 88), (86, 120, 118)], ".bmp")
    names = ("l1", "psnr", "ssim")
    plain = {name: picture_metric(name) for name in names}
    protocol = load_protocol("folders")
    protocol = type(protocol)("known", "folders", ("fid", *names), pictures=PictureOptions(24, 20))
    measures = Measures(plain, SetDistances(MeanColour()))
    table = compare_folders(real, fake, protocol, measures, lambda what, done, total: None)
    figures = table.rows["fake"]
    assert figures["fid"].value == pytest.approx(6**2 + 8**2, rel=1e-6)
    assert figures["l1"].value == pytest.approx((6 + 8) / 3 / 127.5, rel=1e-5)
    assert figures["psnr"].value == pytest.approx(10 * np.log10(255**2 * 3 / 100), rel=1e-5)
    assert figures["l1"].samples == 3


def test_a_picture_without_counterpart_is_named(tmp_path):
    real = colours(tmp_path / "real", [(1, 2, 3)])
    fake = colours(tmp_path / "fake", [(1, 2, 3), (4, 5, 6)])
    measures = Measures({"l1": picture_metric("l1")}, None)
    with pytest.raises(GflaError, match="1 of 2 .* such as 1"):
        compare_folders(real, fake, load_protocol("folders"), measures, lambda *told: None)


def similarity(ours, truth):
    """Wang et al. (2004), equation 13, on mirrored borders, over all pixels and colours."""

    def mean(values):
        options = {"sigma": (1.5, 1.5, 0), "mode": "mirror", "truncate": 3.5}
        return scipy.ndimage.gaussian_filter(values, **options)

    a, b = mean(ours), mean(truth)
    spread, shared = mean(ours**2) - a**2 + mean(truth**2) - b**2, mean(ours * truth) - a * b
    map_ = (2 * a * b + 0.01**2) * (2 * shared + 0.03**2)
    return (map_ / ((a**2 + b**2 + 0.01**2) * (spread + 0.03**2))).mean()


def test_plain_metrics_are_the_known_formulas():
    result, target = pictures()
    l1, ssim, psnr = (
        picture_metric(n).distance(result, target, None) for n in ("l1", "ssim", "psnr")
    )
    for index in range(2):
        ours, truth = (
            ((x[index] + 1) / 2).permute(1, 2, 0).double().numpy() for x in (result, target)
        )
        assert float(l1[index]) == pytest.approx(2 * np.abs(ours - truth).mean(), rel=1e-5)
        wanted = peak_signal_noise_ratio(truth, ours, data_range=1)
        assert float(psnr[index]) == pytest.approx(wanted, rel=1e-5)
        assert float(ssim[index]) == pytest.approx(similarity(ours, truth), abs=1e-4)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        _, there = structural_similarity(
            truth, ours, data_range=1, channel_axis=2, full=True, **options
        )  # another treatment of the border
        assert float(ssim[index]) == pytest.approx(there.mean(), abs=1e-2)


def test_feature_distances_are_per_picture(tmp_path):
    path = tmp_path / "vgg.safetensors"
    features = random_vgg(path, metrics.FEATURE_LAYERS)
    metric = picture_metric("vgg16-features", MetricFiles(features=path))
    result, target = pictures()
    found = metric.distance(result, target, None)
    for index in range(2):
        alone = [features(x[index : index + 1]) for x in (result, target)]
        assert float(found[index]) == pytest.approx(float(feature_distance(*alone)), rel=1e-5)
    assert metric.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def alexnet(tmp_path, monkeypatch):
    """A file of random AlexNet weights that passes for torchvision's."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None)
    state = {k: v for k, v in network.state_dict().items() if k.startswith("features.")}
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    file = PretrainedFile("an AlexNet", f"https://example.org/alexnet-{prefix}.pth")
    monkeypatch.setitem(metrics.BACKBONES, "alex", file)
    return path, network.features.eval()


def test_lpips_is_the_formula(alexnet):
    path, features = alexnet
    result, target = pictures(size=64)
    folder = Path(lpips.__file__).parent / "weights" / "v0.1"
    heads = torch.load(folder / "alex.pth", map_location="cpu", weights_only=True)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    wanted, ours, truth = torch.zeros(2), (result - shift) / scale, (target - shift) / scale
    level = 0
    with torch.no_grad():
        for layer in features:
            ours, truth = layer(ours), layer(truth)
            if isinstance(layer, torch.nn.ReLU):
                unit = [x / x.norm(dim=1, keepdim=True).clamp(min=1e-10) for x in (ours, truth)]
                weights = heads[f"lin{level}.model.1.weight"]
                wanted += ((unit[0] - unit[1]) ** 2 * weights).sum(1).mean((1, 2))
                level += 1
    found = Lpips("alex", "0.1", path)(result, target)
    assert level == 5
    assert torch.allclose(found, wanted, rtol=1e-4)
    assert float(Lpips("alex", "0.1", path)(target, target).abs().max()) == 0


def test_masked_lpips_sees_the_person_alone(alexnet):
    path, _ = alexnet
    metric = picture_metric("mask-lpips-alex-0.1", MetricFiles(backbones={"alex": path}))
    plain = picture_metric("lpips-alex-0.1", MetricFiles(backbones={"alex": path}))
    result, target = pictures(size=64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 16:48] = 1
    found = metric.distance(result, target, mask)
    assert torch.equal(found, plain.distance(result * mask, target * mask, None))
    elsewhere = torch.where(mask > 0, result, -result)
    assert torch.equal(metric.distance(elsewhere, target, mask), found)
    with pytest.raises(GflaError, match="masks of the persons"):
        metric.distance(result, target, None)


def test_lpips_of_another_network_is_refused(alexnet, tmp_path):
    path, _ = alexnet
    other = tmp_path / "other.pth"
    other.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(GflaError, match="needs those very weights") as raised:
        Lpips("alex", "0.1", other)
    assert raised.value.code == "bad_checkpoint"


def test_unknown_metrics_are_refused():
    for name in ("lpips", "lpips-alex-0.2", "lpips-resnet-0.1", "nonsense"):
        with pytest.raises(GflaError, match="known are l1") as raised:
            picture_metric(name)
        assert raised.value.code == "unknown_metric"


def test_the_feature_distance_needs_its_file():
    with pytest.raises(GflaError) as raised:
        picture_metric("vgg16-features")
    assert raised.value.code == "features_unavailable"


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
