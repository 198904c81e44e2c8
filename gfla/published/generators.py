"""Names in the published checkpoints (``*_net_G.pth``), and what their tensors say of widths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gfla.config import (
    AnimationConfig,
    FlowEstimators,
    GeneratorConfig,
    PoseTransferConfig,
    ViewSynthesisConfig,
)
from gfla.errors import GflaError

_FLOW_NET = "flow_net"
_KERNELS = {(3, 2): ((3, 3), (2, 5)), (2,): ((2, 3),)}
"""Kernels of local attention by the layers that have flows: DeepFashion's and Market-1501's."""


def infer_config(state: Mapping[str, Tensor]) -> GeneratorConfig:
    """Recognise a published generator and read every width off its tensors.

    Raises:
        GflaError: ``bad_checkpoint`` naming the first tensor that is missing or misshapen.
    """
    # Each kind has branches that no other has.
    found = {name.split(".")[0] for name in state}
    try:
        if "flow_net_reference" in found:
            return _animation(state, "flow_net_reference", "separate")
        if "source_reference" in found:
            return _animation(state, "flow_net", "joint")
        if any(name.startswith("flow_net.cat.") for name in state):
            channels = _shape(state, "target.block0.model.0.weight", 1)[0]
            return ViewSynthesisConfig(structure_channels=channels, **_common(state))
        if {"source", "flow_net", "target"} <= found:
            channels = _shape(state, "target.block0.model.0.weight", 1)[0]
            return PoseTransferConfig(structure_channels=channels, **_common(state))
    except GflaError as error:
        if error.code != "invalid_config":
            raise
        message = f"its tensors describe no known network: {error.message}"
        raise GflaError("bad_checkpoint", message) from error
    beginnings = ", ".join(sorted(found)[:6]) or "nothing at all"
    raise GflaError(
        "bad_checkpoint",
        "not a published generator: source.*, flow_net.* or target.* are missing; "
        f"its names begin with {beginnings}",
    )


def is_flow_alone(state: Mapping[str, Tensor]) -> bool:
    """Whether this is a stage-1 checkpoint: a flow estimator without encoder and renderer."""
    return {name.split(".")[0] for name in state} == {_FLOW_NET}


def infer_flow_config(state: Mapping[str, Tensor]) -> GeneratorConfig:
    """The configuration whose flow estimator a stage-1 checkpoint holds.

    Pose transfer and view synthesis are the models that are trained in two stages. What the file
    does not say, the encoder's widths and the kernels of attention, is as published.

    Raises:
        GflaError: ``bad_checkpoint`` naming the first tensor that is missing or misshapen.
    """
    widths, heads = _down_widths(state, _FLOW_NET), _flow_heads(state, _FLOW_NET)
    layers = tuple(len(widths) - 1 - head for head in heads)
    if layers not in _KERNELS:
        message = f"its flows are at layers {layers}; those of published models are at 3 and 2 or 2"
        raise GflaError("bad_checkpoint", message)
    common: dict[str, Any] = {"flow_widths": widths, "attention": _KERNELS[layers]}
    try:
        if any(name.startswith(f"{_FLOW_NET}.cat.") for name in state):
            # The view vectors' difference joins the features of the deepest layer.
            joined = _shape(state, f"{_FLOW_NET}.cat.model.0.model.2.weight", 4)[1]
            return ViewSynthesisConfig(structure_channels=joined - widths[-1], **common)
        # A picture of three channels and two poses.
        poses, rest = divmod(_shape(state, f"{_FLOW_NET}.block0.model.2.weight", 4)[1] - 3, 2)
        if rest:
            raise GflaError(
                "bad_checkpoint", f"{_FLOW_NET}.block0.model.2.weight fits no two poses"
            )
        return PoseTransferConfig(structure_channels=poses, **common)
    except GflaError as error:
        if error.code != "invalid_config":
            raise
        message = f"its tensors describe no known flow estimator: {error.message}"
        raise GflaError("bad_checkpoint", message) from error


def _animation(
    state: Mapping[str, Tensor], flow_net: str, estimators: FlowEstimators
) -> AnimationConfig:
    common = _common(state, "source_reference", flow_net, "attn_r")
    references = 1
    if estimators == "joint":
        # A joint estimator has a flow of 2 channels for each reference, the source among them.
        head = len(common["flow_widths"]) - 1 - common["attention"][0][0]
        references = _shape(state, f"{flow_net}.output{head}.weight", 4)[0] // 2 - 1
    return AnimationConfig(
        structure_channels=_shape(state, "target.block0.model.0.weight", 1)[0],
        previous_frames=references,
        flow_estimators=estimators,
        **common,
    )


def _common(
    state: Mapping[str, Tensor],
    source: str = "source",
    flow_net: str = "flow_net",
    attention: str = "attn",
) -> dict[str, Any]:
    """The fields that all configurations share, except for the structure's channels."""
    encoder_widths = _down_widths(state, source)
    flow_widths = _down_widths(state, flow_net)
    blocks, hidden = [], 0
    for head in _flow_heads(state, flow_net):
        layer = len(flow_widths) - 1 - head
        name = f"target.{attention}{len(encoder_widths) - layer}.fully_connect_layer.0.weight"
        hidden, _, kernel, _ = _shape(state, name, 4)
        blocks.append((layer, kernel))
    return {
        "encoder_widths": encoder_widths,
        "flow_widths": flow_widths,
        "attention": tuple(blocks),
        "attention_hidden": hidden,
    }


def _flow_heads(state: Mapping[str, Tensor], flow_net: str) -> list[int]:
    """Numbers of the flow heads, from the deepest layer up; attention blocks likewise."""
    heads = sorted(
        int(m[1]) for k in state if (m := re.fullmatch(rf"{flow_net}\.output(\d+)\.weight", k))
    )
    if not heads:
        raise GflaError("bad_checkpoint", f"{flow_net}.output*.weight are missing")
    return heads


def published_names(key: str, config: GeneratorConfig) -> tuple[str, ...]:
    """Under which names the published checkpoints hold one of our parameters.

    Two names where the published network registers a layer twice (its reflect-padded ones).
    """
    for pattern, names in _RULES:
        if match := re.fullmatch(pattern, key):
            groups = {name: value or "" for name, value in match.groupdict().items()}
            return tuple(name.format(**groups | _numbers(groups, config)) for name in names)
    raise GflaError("bad_checkpoint", f"{key} has no place in the published network")


_PART = r"(?P<part>(0|2|3|5)\.(weight|bias))"
_FLOW = r"flow_estimator(\.(?P<kind>previous|reference))?"
_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        rf"encoders?(\.(?P<kind>previous|reference))?\.downs\.(?P<down>\d+)\.{_PART}",
        ("source{of_kind}.{down}.model.{part}",),
    ),
    (
        rf"{_FLOW}\.encoder\.downs\.(?P<down>\d+)\.{_PART}",
        ("flow_net{of_kind}.{down}.model.{part}",),
    ),
    (rf"{_FLOW}\.join\.body\.{_PART}", ("flow_net{of_kind}.cat.model.0.model.{part}",)),
    (
        rf"{_FLOW}\.join\.shortcut\.(?P<part>\w+)",
        ("flow_net{of_kind}.cat.model.0.shortcut.0.{part}",),
    ),
    (
        rf"{_FLOW}\.ups\.(?P<up>\d+)\.body\.{_PART}",
        ("flow_net{of_kind}.decoder{up}.model.{part}",),
    ),
    (
        rf"{_FLOW}\.ups\.(?P<up>\d+)\.shortcut\.(?P<part>\w+)",
        ("flow_net{of_kind}.decoder{up}.shortcut.0.{part}",),
    ),
    (
        rf"{_FLOW}\.jumps\.(?P<jump>\d+)\.1\.(?P<part>\w+)",
        (
            "flow_net{of_kind}.jump{jump}.conv1.{part}",
            "flow_net{of_kind}.jump{jump}.model.2.{part}",
        ),
    ),
    (
        rf"{_FLOW}\.flow_heads\.(?P<head>\d+)\.(?P<part>\w+)",
        ("flow_net{of_kind}.output{head}.{part}",),
    ),
    (
        rf"{_FLOW}\.mask_heads\.(?P<head>\d+)\.(?P<part>\w+)",
        ("flow_net{of_kind}.mask{head}.0.{part}",),
    ),
    (rf"renderer\.encoder\.downs\.(?P<down>\d+)\.{_PART}", ("target.{down}.model.{part}",)),
    (rf"renderer\.encoder\.ups\.(?P<up>\d+)\.body\.{_PART}", ("target.block{up}.model.{part}",)),
    (
        r"renderer\.encoder\.ups\.(?P<up>\d+)\.shortcut\.(?P<part>\w+)",
        ("target.block{up}.shortcut.0.{part}",),
    ),
    (
        r"renderer\.attention\.(?P<block>\d+)\.(?P<kind>\w+)\.mix\.(?P<part>\w+)",
        ("target.attn{letter}{block}.fully_connect_layer.0.{part}",),
    ),
    (
        r"renderer\.attention\.(?P<block>\d+)\.(?P<kind>\w+)\.head\.(?P<part>\w+)",
        ("target.attn{letter}{block}.fully_connect_layer.2.{part}",),
    ),
    (
        rf"renderer\.residuals\.(?P<up>\d+)\.body\.{_PART}",
        ("target.decoder{up}.0.model.0.model.{part}",),
    ),
    (rf"renderer\.ups\.(?P<up>\d+)\.body\.{_PART}", ("target.decoder{up}.1.model.{part}",)),
    (
        r"renderer\.ups\.(?P<up>\d+)\.shortcut\.(?P<part>\w+)",
        ("target.decoder{up}.1.shortcut.0.{part}",),
    ),
    (
        r"renderer\.out\.1\.(?P<part>\w+)",
        ("target.outconv.conv1.{part}", "target.outconv.model.2.{part}"),
    ),
)


def _numbers(groups: Mapping[str, str], config: GeneratorConfig) -> dict[str, object]:
    """The published spelling of what the rules name: Downs, heads, attention, references."""
    spelled: dict[str, object] = {}
    if "down" in groups:
        # The published Downs: block0, encoder0, encoder1, ...
        down = int(groups["down"])
        spelled["down"] = "block0" if down == 0 else f"encoder{down - 1}"
    if "head" in groups:
        spelled["head"] = len(config.flow_widths) - 1 - int(groups["head"])
    if "block" in groups:
        spelled["block"] = len(config.encoder_widths) - int(groups["block"])
    if "kind" in groups:
        several = isinstance(config, AnimationConfig)
        spelled["of_kind"] = f"_{groups['kind']}" if groups["kind"] else ""
        spelled["letter"] = f"_{groups['kind'][:1]}" if several else ""
    return spelled


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
