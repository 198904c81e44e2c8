from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gfla.errors import GflaError
from gfla.evaluation import metrics
from gfla.evaluation.metrics import Lpips, MetricFiles, picture_metric
from gfla.losses.perceptual import feature_distance
from gfla.pretrained import PretrainedFile
from tests.helpers import random_vgg

pytest.importorskip("torchmetrics")
pytest.importorskip("torch_fidelity")
lpips = pytest.importorskip("lpips")


def pictures(seed=0, size=40):
    random = torch.Generator().manual_seed(seed)
    small = torch.rand(2, 3, 5, 5, generator=random)
    target = torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(0, 1)
    noise = 0.1 * torch.randn(target.shape, generator=random)
    return (target + noise).clamp(0, 1) * 2 - 1, target * 2 - 1


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


def test_ssim_inside_is_that_of_scikit_image():
    result, target = pictures()
    found = picture_metric("ssim-inside").distance(result, target, None)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for index in range(2):
        ours, truth = (
            ((x[index] + 1) / 2).permute(1, 2, 0).double().numpy() for x in (result, target)
        )
        wanted = structural_similarity(truth, ours, data_range=1, channel_axis=2, **options)
        assert float(found[index]) == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(GflaError, match="window"):
        picture_metric("ssim-inside").distance(target[..., :10], target[..., :10], None)
