"""Distances of a rendered picture from the true one: one number a picture.

Each has a name that says all that the number depends on; the name of a network's distance is only
given to that very network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from gfla.errors import GflaError
from gfla.losses.features import VggFeatures
from gfla.losses.perceptual import feature_distance
from gfla.pretrained import PretrainedFile, file_sha256, find, require
from gfla.shapes import shape_of

Backbone = Literal["alex", "vgg", "squeeze"]
Version = Literal["0.0", "0.1"]
FEATURE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
"""Of VGG16, for the feature distance."""
BACKBONES: dict[str, PretrainedFile] = {
    "alex": PretrainedFile(
        "torchvision's AlexNet", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    ),
    "vgg": PretrainedFile(
        "torchvision's VGG16", "https://download.pytorch.org/models/vgg16-397923af.pth"
    ),
    "squeeze": PretrainedFile(
        "torchvision's SqueezeNet 1.1",
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
    ),
}
"""The networks that LPIPS is defined with; its linear layers come with the package ``lpips``."""
_WINDOW = 11
"""Side of the Gaussian window of SSIM."""
PAIRWISE = ("l1", "ssim", "ssim-inside", "psnr", "vgg16-features")
"""Names of metrics of pairs of pictures; ``lpips-BACKBONE-VERSION`` and ``mask-lpips-...`` also."""


@dataclass(frozen=True)
class MetricFiles:
    """Where networks of metrics are on this machine; None is torch.hub's folder.

    Attributes:
        features: the VGG16 of the feature distance, which has no place of its own.
        inception: of FID and KID.
        backbones: of LPIPS, by name.
        torchvision: of ``fid-torchvision``.
    """

    features: Path | None = None
    inception: Path | None = None
    backbones: Mapping[str, Path] = field(default_factory=dict)
    torchvision: Path | None = None


@dataclass(frozen=True)
class PictureMetric:
    """A metric that is ready to be used.

    Attributes:
        name: as a protocol says it.
        distance: of results and targets, B 3 H W in [-1, 1], and masks B 1 H W or None: B numbers.
        sha256: of its network's weights, if it has one.
    """

    name: str
    distance: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    sha256: str | None = None


def picture_metric(
    name: str, files: MetricFiles | None = None, device: torch.device | str = "cpu"
) -> PictureMetric:
    """Make a metric by its name.

    Args:
        name: as a protocol says it.
        files: where its network is.
        device: where its network runs; pictures may be elsewhere.

    Raises:
        GflaError: ``unknown_metric``; ``missing_package``, ``features_unavailable`` or
            ``bad_checkpoint`` for a network that cannot be had.
    """
    files = files or MetricFiles()
    # Functions of pixels, which need no file.
    plain = {"l1": l1_distance, "ssim": ssim, "ssim-inside": ssim_inside, "psnr": psnr}
    if name in plain:
        function = plain[name]
        return PictureMetric(name, lambda result, target, mask: function(result, target))
    # Distances of a network's features; the networks' weights are part of their names.
    if name == "vgg16-features":
        if files.features is None:
            raise GflaError(
                "features_unavailable",
                "the VGG16 feature distance needs a file of weights under torchvision's names",
            )
        return _feature_metric(files.features, device)
    backbone, version, masked = lpips_parts(name)
    lpips = Lpips(backbone, version, files.backbones.get(backbone)).to(device)
    if masked:
        return PictureMetric(name, lambda a, b, mask: lpips(*_masked(a, b, mask)), lpips.sha256)
    return PictureMetric(name, lambda a, b, mask: lpips(a, b), lpips.sha256)


def lpips_parts(name: str) -> tuple[Backbone, Version, bool]:
    """Backbone, version and whether it is masked, of a name such as ``mask-lpips-alex-0.1``.

    Raises:
        GflaError: ``unknown_metric``.
    """
    for backbone in get_args(Backbone):
        for version in get_args(Version):
            for masked in (False, True):
                if name == f"{'mask-' if masked else ''}lpips-{backbone}-{version}":
                    return backbone, version, masked
    raise GflaError(
        "unknown_metric",
        f"{name!r}; known are {', '.join(PAIRWISE)}, and lpips-B-V or mask-lpips-B-V with B one of "
        f"{', '.join(get_args(Backbone))} and V one of {', '.join(get_args(Version))}",
    )


def l1_distance(result: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each picture, in units of the range [-1, 1].

    Args:
        result: B 3 H W in [-1, 1].
        target: likewise.

    Returns:
        B.

    Raises:
        GflaError: ``invalid_shape``; ``missing_package``.
    """
    batch = _pair(result, target)
    function = require("torchmetrics.functional").mean_absolute_error
    # torchmetrics takes means over rows: pictures as columns give a number each.
    flat = [picture.reshape(batch, -1).T.contiguous() for picture in (result, target)]
    return _numbers(function(*flat, num_outputs=batch), batch)


def ssim(result: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each picture: Gaussian window of 11 pixels, sigma 1.5, colours.

    Arguments and errors are those of ``l1_distance``; 1 for equal pictures.
    """
    batch = _pair(result, target)
    function = require("torchmetrics.functional.image").structural_similarity_index_measure
    # In 0..1: the constants of SSIM are shares of the data's range.
    found = function(_share(result), _share(target), data_range=1.0, reduction="none")
    return _numbers(found, batch)


def ssim_inside(result: Tensor, target: Tensor) -> Tensor:
    """``ssim`` of whole windows alone: without 5 pixels of border.

    The released script leaves that border out as well; in place of the data's range it takes what
    each rendered picture spans, so its figures are a little lower.

    Arguments and errors are those of ``l1_distance``, and ``invalid_shape`` for pictures without a
    whole window.
    """
    batch = _pair(result, target)
    if min(result.shape[-2:]) < _WINDOW:
        message = f"pictures of {tuple(result.shape[-2:])} have no window of {_WINDOW} pixels"
        raise GflaError("invalid_shape", message)
    function = require("torchmetrics.functional.image").structural_similarity_index_measure
    _, maps = function(
        _share(result), _share(target), data_range=1.0, reduction="none", return_full_image=True
    )
    border = _WINDOW // 2
    inside = maps[..., border:-border, border:-border]
    return _numbers(inside.flatten(1).mean(1), batch)


def psnr(result: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, infinite for equal ones.

    Arguments and errors are those of ``l1_distance``.
    """
    batch = _pair(result, target)
    function = require("torchmetrics.functional.image").peak_signal_noise_ratio
    found = function(
        _share(result), _share(target), data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    return _numbers(found, batch)


class Lpips(nn.Module):
    """Learned perceptual image patch similarity (Zhang et al., CVPR 2018) by its authors' package.

    Version 0.1 is what everybody reports; 0.0 does not scale its input and is kept for old numbers.
    """

    def __init__(
        self,
        backbone: Backbone = "alex",
        version: Version = "0.1",
        path: str | Path | None = None,
    ) -> None:
        """Load it.

        Args:
            backbone: ``alex`` as in the paper's tables, ``vgg`` or ``squeeze``.
            version: of the linear layers.
            path: the backbone's weights; without it those of torch.hub's folder, downloaded once.

        Raises:
            GflaError: ``missing_package``, ``features_unavailable`` naming URL and folder,
                ``bad_checkpoint``.
        """
        super().__init__()
        package = require("lpips")
        # The backbone's weights are checked; its linear layers come with the package.
        found = find(BACKBONES[backbone], path)
        self.sha256 = found.sha256
        try:
            state = torch.load(found.path, map_location="cpu", weights_only=True)
            # It draws weights that are then replaced, and asks torchvision in an old way.
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.network = package.LPIPS(
                    net=backbone, version=version, pnet_rand=True, verbose=False
                )
            self.network.net.load_state_dict(_placed(self.network.net, state))
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the readers raise
            message = f"{found.path} does not fit LPIPS ({type(error).__name__}: {error})"
            raise GflaError("bad_checkpoint", message) from error
        self.requires_grad_(False)
        self.eval()

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        """Distances B of pictures B 3 H W in [-1, 1]; 0 for equal ones.

        Raises:
            GflaError: ``invalid_shape``.
        """
        batch = _pair(result, target)
        device = next(self.parameters()).device
        pictures = (picture.to(device, torch.float32) for picture in (result, target))
        return _numbers(self.network(*pictures), batch)


def _placed(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's weights under the names of the package, which cuts it into slices."""
    return {name: state[f"features.{name.split('.', 1)[1]}"] for name in network.state_dict()}


def _masked(result: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both pictures with what the mask leaves out set to 0, mid-grey, as published."""
    if mask is None:
        raise GflaError("no_masks", "a masked metric needs data with masks of the persons")
    batch, _, height, width = shape_of("result", result, "B 3 H W")
    shape_of("mask", mask, "B 1 H W", B=batch, H=height, W=width)
    return result * mask, target * mask


def _feature_metric(path: Path, device: torch.device | str) -> PictureMetric:
    features = VggFeatures(FEATURE_LAYERS, "vgg16", path).to(device)

    def distance(result: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        batch = _pair(result, target)
        ours, truth = features(result.to(device)), features(target.to(device))
        return torch.stack(
            [
                feature_distance(*({k: v[i : i + 1] for k, v in f.items()} for f in (ours, truth)))
                for i in range(batch)
            ]
        ).cpu()

    return PictureMetric("vgg16-features", distance, file_sha256(path))


def _pair(result: Tensor, target: Tensor) -> int:
    batch, _, height, width = shape_of("result", result, "B 3 H W")
    shape_of("target", target, "B 3 H W", B=batch, H=height, W=width)
    return batch


def _share(picture: Tensor) -> Tensor:
    """[-1, 1] as [0, 1]: brightness counts in SSIM."""
    return (picture.float() + 1) / 2


def _numbers(found: Tensor, batch: int) -> Tensor:
    return found.reshape(batch).cpu()
