"""FID and KID: distances of two sets of pictures, by torchmetrics on features given once.

There are two networks. ``fid`` is by the Inception v3 that the distance was defined with, ``kid``
likewise; ``fid-torchvision`` by torchvision's ImageNet Inception v3, as in the paper's script.

torchmetrics computes the features inside each of its metrics. Here one pass of the network serves
both: the metrics get the features, through a network that hands on what it is given.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gfla.errors import GflaError, check_choice
from gfla.pretrained import PretrainedFile, find, require
from gfla.shapes import shape_of

InceptionResize = Literal["tensorflow", "antialias"]
INCEPTION = PretrainedFile(
    "the Inception v3 of FID (torch-fidelity's conversion of the original)",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
)
TORCHVISION = PretrainedFile(
    "torchvision's ImageNet Inception v3",
    "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
)
SIDE = 299
"""Side of the pictures that Inception sees."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, by which the paper's script scales what Inception sees."""


class PictureFeatures(Protocol):
    """What turns pictures, uint8 B 3 H W, into features, B D."""

    num_features: int

    def __call__(self, pictures: Tensor) -> Tensor:
        """The features of a batch."""
        ...


class InceptionFeatures(nn.Module):
    """The 2048 features of the last pooling of the Inception v3 that FID is defined with."""

    num_features = 2048

    def __init__(
        self, path: str | Path | None = None, resize: InceptionResize = "tensorflow"
    ) -> None:
        """Load it.

        Args:
            path: the file of its weights; without it that of ``weights_folder``, downloaded once.
            resize: how pictures come to 299 x 299: ``tensorflow`` is bilinear as the network was
                used when FID was defined, ``antialias`` is smoothed before it shrinks.

        Raises:
            GflaError: ``invalid_config``, ``missing_package``, ``features_unavailable`` or
                ``bad_checkpoint``.
        """
        super().__init__()
        check_choice("Inception's resize", resize, get_args(InceptionResize))
        require("torch_fidelity")
        fid = require("torchmetrics.image.fid")
        found = find(INCEPTION, path)
        self.sha256 = found.sha256
        try:
            # torch-fidelity reads the file as a plain pickle; so what is in it is looked at before.
            torch.load(found.path, map_location="cpu", weights_only=True)
            self.network = fid.NoTrainInceptionV3(
                "inception-v3-compat", ["2048"], str(found.path), antialias=resize == "antialias"
            )
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the readers raise
            message = f"{found.path} holds no Inception v3 ({type(error).__name__}: {error})"
            raise GflaError("bad_checkpoint", message) from error

    @torch.inference_mode()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features B 2048 of pictures, uint8 B 3 H W.

        Raises:
            GflaError: ``invalid_shape``.
        """
        _check_bytes(pictures)
        device = next(self.parameters()).device
        features: Tensor = self.network(pictures.to(device))
        return features.cpu()


class TorchvisionFeatures(nn.Module):
    """The 2048 features of torchvision's ImageNet Inception v3, as the paper's script takes them.

    Pictures x in [0, 1] come to 299 x 299 (bilinear), then each channel becomes
    ``x * (deviation / 0.5) + (mean - 0.5) / 0.5`` with ImageNet's mean and deviation. That scaling
    is meant for pictures that were normalised by them; the script gives it plain ones, and its
    figures depend on that.
    """

    num_features = 2048
    factor: Tensor
    shift: Tensor

    def __init__(self, path: str | Path | None = None) -> None:
        """Load it.

        Args:
            path: the file of its weights; without it that of ``weights_folder``, downloaded once.

        Raises:
            GflaError: ``features_unavailable`` naming address and folder, or ``bad_checkpoint``.
        """
        super().__init__()
        from torchvision.models import inception_v3  # slow to import

        found = find(TORCHVISION, path)
        self.sha256 = found.sha256
        try:
            state = torch.load(found.path, map_location="cpu", weights_only=True)
            network = inception_v3(weights=None, transform_input=False, init_weights=False)
            network.load_state_dict(state)
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the readers raise
            message = f"{found.path} holds no Inception v3 ({type(error).__name__}: {error})"
            raise GflaError("bad_checkpoint", message) from error
        # What is left without its last layer are the features of the last pooling.
        network.fc = nn.Identity()
        self.network = network.requires_grad_(False)
        self.register_buffer("factor", torch.tensor(_DEVIATION).view(3, 1, 1) / 0.5, False)
        self.register_buffer("shift", (torch.tensor(_MEAN).view(3, 1, 1) - 0.5) / 0.5, False)
        self.eval()

    @torch.inference_mode()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features B 2048 of pictures, uint8 B 3 H W.

        Raises:
            GflaError: ``invalid_shape``.
        """
        _check_bytes(pictures)
        seen = F.interpolate(
            pictures.to(self.factor.device).float() / 255,
            size=(SIDE, SIDE),
            mode="bilinear",
            align_corners=False,
        )
        features: Tensor = self.network(seen * self.factor + self.shift)
        return features.cpu()


@dataclass(frozen=True)
class KidOptions:
    """How KID is averaged.

    Attributes:
        subsets: random subsets of each set, over which the mean is taken.
        size: pictures in a subset.
    """

    subsets: int = 100
    size: int = 1000


class SetDistances:
    """FID and KID of sets of pictures to one set of real ones, whose features are kept."""

    def __init__(
        self,
        features: PictureFeatures,
        *,
        fid: bool = True,
        kid: KidOptions | None = None,
        seed: int = 0,
    ) -> None:
        """Set up.

        Args:
            features: of pictures.
            fid: whether the Frechet distance is wanted.
            kid: whether, and how, the kernel distance is. It keeps every feature in memory.
            seed: draws its subsets.

        Raises:
            GflaError: ``missing_package``.
        """
        self._features = features
        self._seed, self._kid_options = seed, kid
        self.num_features = features.num_features
        # Real features are kept from row to row; each row has generated ones of its own.
        given = _Given(self.num_features)
        self._fid = self._kid = None
        if fid:
            module = require("torchmetrics.image.fid")
            self._fid = module.FrechetInceptionDistance(given, reset_real_features=False)
        if kid is not None:
            module = require("torchmetrics.image.kid")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it keeps features is said above
                self._kid = module.KernelInceptionDistance(
                    given, subsets=kid.subsets, subset_size=kid.size, reset_real_features=False
                )
        self.real = self.fake = 0

    def add(self, pictures: Tensor, *, real: bool) -> None:
        """Take pictures, uint8 B 3 H W, into one of the sets."""
        # Double precision: FID takes a root of a product of covariances.
        features = self._features(pictures).double()
        for metric in self._metrics():
            metric.update(features, real=real)
        if real:
            self.real += len(features)
        else:
            self.fake += len(features)

    def compute(self) -> dict[str, float]:
        """The distances by name: ``fid``, ``kid``.

        Raises:
            GflaError: ``too_few_samples``.
        """
        # Sets too small for either distance.
        fewest = min(self.real, self.fake)
        needed = max(2, 0 if self._kid_options is None else self._kid_options.size)
        if fewest < needed:
            raise GflaError(
                "too_few_samples",
                f"there are {self.real} real and {self.fake} generated pictures; FID needs 2, KID "
                f"as many as a subset has ({needed} here)",
            )
        found: dict[str, float] = {}
        if self._fid is not None:
            found["fid"] = float(self._fid.compute())
        if self._kid is not None:
            with torch.random.fork_rng(devices=[]):  # it draws from PyTorch's own randomness
                torch.manual_seed(self._seed)
                found["kid"] = float(self._kid.compute()[0])
        return found

    def forget_generated(self) -> None:
        """Begin the next set of generated pictures."""
        for metric in self._metrics():
            metric.reset()
        self.fake = 0

    def _metrics(self) -> list[Any]:
        return [metric for metric in (self._fid, self._kid) if metric is not None]


class SeveralDistances:
    """Distances by several networks as if they were of one; names of the metrics tell them apart.

    Args:
        sets: by what their metrics' names end in, such as "" and "-torchvision"; at least one.
    """

    def __init__(self, sets: Mapping[str, SetDistances]) -> None:
        self._sets = dict(sets)

    @property
    def num_features(self) -> int:
        """The most features that one of the networks gives."""
        return max(sets.num_features for sets in self._sets.values())

    @property
    def real(self) -> int:
        """How many real pictures were added."""
        return next(iter(self._sets.values())).real

    @property
    def fake(self) -> int:
        """How many generated pictures were added."""
        return next(iter(self._sets.values())).fake

    def add(self, pictures: Tensor, *, real: bool) -> None:
        """As ``SetDistances.add``."""
        for sets in self._sets.values():
            sets.add(pictures, real=real)

    def compute(self) -> dict[str, float]:
        """As ``SetDistances.compute``."""
        return {
            f"{name}{ending}": value
            for ending, sets in self._sets.items()
            for name, value in sets.compute().items()
        }

    def forget_generated(self) -> None:
        """As ``SetDistances.forget_generated``."""
        for sets in self._sets.values():
            sets.forget_generated()


def _check_bytes(pictures: Tensor) -> None:
    shape_of("pictures", pictures, "B 3 H W")
    if pictures.dtype != torch.uint8:
        raise GflaError("invalid_shape", f"pictures are {pictures.dtype}; needs uint8")


class _Given(nn.Module):
    """Hands features on to a metric that wants a network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
