"""Names in the published checkpoints (``*_net_G.pth``), and what their tensors say of widths."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from gfla.config import AnimationConfig
from gfla.errors import GflaError

_NORMS_AND_CONVS = r"(0|2|3|5)\.(weight|bias)"


def infer_animation_config(state: Mapping[str, Tensor]) -> AnimationConfig:
    """Read every width of a published animation generator off its tensors.

    Raises:
        GflaError: ``bad_checkpoint`` naming the first tensor that is missing or misshapen.
    """
    encoder_widths = _down_widths(state, "source_reference")
    flow_widths = _down_widths(state, "flow_net")
    structure_channels = _shape(state, "target.block0.model.0.weight", 1)[0]
    heads = sorted(
        int(m[1]) for k in state if (m := re.fullmatch(r"flow_net\.output(\d+)\.weight", k))
    )
    if not heads:
        raise GflaError("bad_checkpoint", "no flow_net.output*.weight: not an animation generator")
    attention, hidden = [], 0
    for index, head in enumerate(heads):
        hidden, _, kernel, _ = _shape(
            state, f"target.attn_r{index}.fully_connect_layer.0.weight", 4
        )
        attention.append((len(flow_widths) - 1 - head, kernel))
    references = _shape(state, f"flow_net.output{heads[0]}.weight", 4)[0] // 2
    try:
        return AnimationConfig(
            structure_channels=structure_channels,
            encoder_widths=encoder_widths,
            flow_widths=flow_widths,
            attention=tuple(attention),
            attention_hidden=hidden,
            previous_frames=references - 1,
        )
    except GflaError as error:
        message = f"its tensors describe no known network: {error.message}"
        raise GflaError("bad_checkpoint", message) from error


def published_names(key: str, config: AnimationConfig) -> tuple[str, ...]:
    """Under which names the published checkpoints hold one of our parameters.

    Two names where the published network registers a layer twice (its reflect-padded ones).
    """
    for pattern, name in _RULES:
        if match := re.fullmatch(pattern, key):
            return tuple(n.format(*match.groups(), **_indices(match, config)) for n in name)
    raise GflaError("bad_checkpoint", f"{key} has no place in the published network")


_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        rf"encoders\.(\w+)\.downs\.(?P<down>\d+)\.{_NORMS_AND_CONVS}",
        ("source_{0}.{down}.model.{2}.{3}",),
    ),
    (
        rf"flow_estimator\.encoder\.downs\.(?P<down>\d+)\.{_NORMS_AND_CONVS}",
        ("flow_net.{down}.model.{1}.{2}",),
    ),
    (
        rf"flow_estimator\.ups\.(\d+)\.body\.{_NORMS_AND_CONVS}",
        ("flow_net.decoder{0}.model.{1}.{2}",),
    ),
    (r"flow_estimator\.ups\.(\d+)\.shortcut\.(\w+)", ("flow_net.decoder{0}.shortcut.0.{1}",)),
    (
        r"flow_estimator\.jumps\.(\d+)\.1\.(\w+)",
        ("flow_net.jump{0}.conv1.{1}", "flow_net.jump{0}.model.2.{1}"),
    ),
    (r"flow_estimator\.flow_heads\.(?P<head>\d+)\.(\w+)", ("flow_net.output{head}.{1}",)),
    (r"flow_estimator\.mask_heads\.(?P<head>\d+)\.(\w+)", ("flow_net.mask{head}.0.{1}",)),
    (
        rf"renderer\.encoder\.downs\.(?P<down>\d+)\.{_NORMS_AND_CONVS}",
        ("target.{down}.model.{1}.{2}",),
    ),
    (
        r"renderer\.attention\.(?P<block>\d+)\.(\w)\w+\.mix\.(\w+)",
        ("target.attn_{1}{block}.fully_connect_layer.0.{2}",),
    ),
    (
        r"renderer\.attention\.(?P<block>\d+)\.(\w)\w+\.head\.(\w+)",
        ("target.attn_{1}{block}.fully_connect_layer.2.{2}",),
    ),
    (
        rf"renderer\.residuals\.(\d+)\.body\.{_NORMS_AND_CONVS}",
        ("target.decoder{0}.0.model.0.model.{1}.{2}",),
    ),
    (rf"renderer\.ups\.(\d+)\.body\.{_NORMS_AND_CONVS}", ("target.decoder{0}.1.model.{1}.{2}",)),
    (r"renderer\.ups\.(\d+)\.shortcut\.(\w+)", ("target.decoder{0}.1.shortcut.0.{1}",)),
    (r"renderer\.out\.1\.(\w+)", ("target.outconv.conv1.{0}", "target.outconv.model.2.{0}")),
)


def _indices(match: re.Match[str], config: AnimationConfig) -> dict[str, object]:
    """The published numbering of the named groups: Downs, flow heads and attention blocks."""
    groups = match.groupdict()
    layers = [layer for layer, _ in config.attention]
    indices: dict[str, object] = {}
    if "down" in groups:
        down = int(groups["down"])
        indices["down"] = "block0" if down == 0 else f"encoder{down - 1}"
    if "head" in groups:
        indices["head"] = len(config.flow_widths) - 1 - int(groups["head"])
    if "block" in groups:
        indices["block"] = layers.index(int(groups["block"]))
    return indices


def _down_widths(state: Mapping[str, Tensor], branch: str) -> tuple[int, ...]:
    widths = [_shape(state, f"{branch}.block0.model.5.weight", 4)[0]]
    while (name := f"{branch}.encoder{len(widths) - 1}.model.5.weight") in state:
        widths.append(_shape(state, name, 4)[0])
    return tuple(widths)


def _shape(state: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise GflaError("bad_checkpoint", f"{name} is missing")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions:
        raise GflaError(
            "bad_checkpoint", f"{name} has shape {shape}; needs {dimensions} dimensions"
        )
    return shape
