"""ImageNet VGG as a source of features for losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, get_args
from urllib.parse import urlparse

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gfla.errors import GflaError, check_choice
from gfla.published.files import read_published
from gfla.shapes import shape_of

Network = Literal["vgg16", "vgg19"]
Normalisation = Literal["imagenet", "none"]
_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions between poolings."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _places(stages: Sequence[int]) -> dict[str, int]:
    places, place = {}, 0
    for stage, convolutions in enumerate(stages, 1):
        for number in range(1, convolutions + 1):
            places[f"relu{stage}_{number}"] = place
            place += 2  # the convolution and its ReLU
        place += 1  # the pooling
    return places


VGG_LAYERS = {network: _places(stages) for network, stages in _STAGES.items()}
"""By network and activation, the place of its convolution in torchvision's ``features``."""


class VggFeatures(nn.Module):
    """An ImageNet VGG up to the deepest wanted layer, frozen."""

    def __init__(
        self,
        layers: Sequence[str],
        network: Network = "vgg19",
        path: str | Path | None = None,
        normalise: Normalisation = "imagenet",
        *,
        drawn: bool = False,
    ) -> None:
        """Read the weights.

        Args:
            layers: names from ``VGG_LAYERS``.
            network: ``vgg19`` as published, or ``vgg16``.
            path: a file under the key names of torchvision: safetensors, or a state dict saved by
                torch, of which nothing is executed. Without it torchvision's own weights are used
                and downloaded once.
            normalise: ``imagenet`` as the network was trained, or ``none`` as GFLA was: pictures
                go in as they are.
            drawn: whether its weights are random ones, with which sizes and times are measured.

        Raises:
            GflaError: ``unknown_layer``; ``invalid_config`` for another network or normalisation;
                ``bad_checkpoint`` naming the tensor that is missing or misshapen;
                ``features_unavailable`` saying what to do where nothing can be downloaded.
        """
        super().__init__()
        check_choice("network", network, get_args(Network))
        check_choice("normalise", normalise, get_args(Normalisation))
        # The network ends at the deepest layer that anybody asks for.
        known = list(VGG_LAYERS[network])
        unknown = sorted(set(layers) - set(known))
        if unknown or not layers:
            raise GflaError("unknown_layer", f"{unknown}; {network} has {known}")
        self.layers = tuple(known[: max(known.index(name) for name in layers) + 1])
        self.taps = frozenset(layers)
        self.normalise = normalise
        # Its weights.
        if drawn:
            state = _draw(network)
        else:
            state = _download(network) if path is None else _read(Path(path))
        self.convolutions = _convolutions(
            state, [VGG_LAYERS[network][name] for name in self.layers], f"{path or network}"
        )
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # 2-4 times as fast on CPU in bfloat16

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Activations of a batch of pictures.

        Args:
            image: B 3 H W in [-1, 1]; H and W at least 2 a pooling before the deepest layer.

        Returns:
            By layer, shallowest first, B C h w; those of stage k are 1/2^(k-1) as large.

        Raises:
            GflaError: ``invalid_shape``.
        """
        _, _, height, width = shape_of("image", image, "B 3 H W")
        # "relu4_1" is of stage 4, before which there are 3 poolings.
        smallest = 2 ** (int(self.layers[-1][4]) - 1)
        if min(height, width) < smallest:
            raise GflaError(
                "invalid_shape", f"image is {height} x {width}; needs {smallest} x {smallest}"
            )
        features = image
        if self.normalise == "imagenet":
            features = ((image + 1) / 2 - self.mean) / self.deviation
        features = features.contiguous(memory_format=torch.channels_last)
        taps = {}
        for name, convolution in zip(self.layers, self.convolutions, strict=True):
            # A pooling opens every stage but the first.
            if name.endswith("_1") and name != self.layers[0]:
                features = F.max_pool2d(features, 2)
            features = convolution(features).relu()
            if name in self.taps:
                taps[name] = features
        return taps


def select(features: Mapping[str, Tensor], layers: Sequence[str]) -> list[Tensor]:
    """The features of some layers.

    Raises:
        GflaError: ``unknown_layer`` naming those that are missing.
    """
    missing = [name for name in layers if name not in features]
    if missing or not layers:
        message = f"there are no features of {missing}, only of {list(features)}"
        raise GflaError("unknown_layer", message)
    return [features[name] for name in layers]


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_published(path)
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise GflaError("bad_checkpoint", f"cannot read {path}: {error}") from error


def _download(network: str) -> dict[str, Tensor]:
    """The weights of torchvision, from its cache or downloaded into it."""
    # Here, because it takes a second to import and a local file does without it.
    from torchvision.models import get_model_weights

    weights = get_model_weights(network)["IMAGENET1K_V1"]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, HTTPException, RuntimeError, UnpicklingError, EOFError) as error:
        file = folder / Path(urlparse(weights.url).path).name
        raise GflaError(
            "features_unavailable",
            f"the weights of {network} can neither be read from {file} nor be downloaded "
            f"({error}); fetch {weights.url} elsewhere and put it into {folder}, or pass the path "
            "of a local file",
        ) from error


def _draw(network: str) -> dict[str, Tensor]:
    """Weights of the right shapes that have learnt nothing."""
    state, channels = {}, 3
    for name, place in VGG_LAYERS[network].items():
        # "relu4_1" is of stage 4; stages double their channels up to 512.
        wide = min(64 * 2 ** (int(name[4]) - 1), 512)
        state[f"features.{place}.weight"] = (
            torch.randn(wide, channels, 3, 3) / (9 * channels) ** 0.5
        )
        state[f"features.{place}.bias"] = torch.zeros(wide)
        channels = wide
    return state


def _convolutions(state: Mapping[str, Tensor], places: Sequence[int], origin: str) -> nn.ModuleList:
    """The convolutions at some places of ``features``, each checked to fit the one before."""
    convolutions, channels = nn.ModuleList(), 3
    for place in places:
        names = {part: f"features.{place}.{part}" for part in ("weight", "bias")}
        missing = [name for name in names.values() if name not in state]
        if missing:
            raise GflaError("bad_checkpoint", f"{origin} lacks {', '.join(missing)}")
        weight, bias = (state[name].float() for name in names.values())
        outputs = weight.shape[0] if weight.ndim else 0
        if weight.shape != (outputs, channels, 3, 3) or bias.shape != (outputs,):
            message = (
                f"{origin}: {names['weight']} is {tuple(weight.shape)} and {names['bias']} "
                f"{tuple(bias.shape)}; needs N {channels} 3 3 and N"
            )
            raise GflaError("bad_checkpoint", message)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            message = f"{origin}: {' or '.join(names.values())} holds values that are not finite"
            raise GflaError("bad_checkpoint", message)
        convolution = nn.Conv2d(channels, outputs, 3, padding=1)
        convolution.load_state_dict({"weight": weight, "bias": bias})
        convolutions.append(convolution)
        channels = outputs
    return convolutions
