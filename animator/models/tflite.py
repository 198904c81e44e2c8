"""TFLite networks run by PyTorch: on any device, on batches, whatever OpenCV's version knows.

The dozen operators that detectors of faces and bodies are made of. TensorFlow Lite keeps pictures
as B H W C; here they are B C H W from the input to the last operator, and the axes that a file
names are changed accordingly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from animator.models.flatbuffer import Graph, Operator

ADD, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEPTH_TO_SPACE, DEQUANTIZE = 0, 2, 3, 4, 5, 6
LOGISTIC, MAX_POOL_2D, RELU, RESHAPE, RESIZE_BILINEAR, PAD = 14, 17, 19, 22, 23, 34
PRELU, DENSIFY = 54, 124
"""TensorFlow Lite's numbers of the operators."""
_AXES = (0, 2, 3, 1)
"""Where the axes B H W C are in ours."""
_Step = Callable[[list[torch.Tensor]], torch.Tensor]


class TfliteNetwork:
    """A network of a TFLite file.

    Args:
        path: of the file.
        device: where it computes.

    Raises:
        ValueError: if it cannot be run here, saying why.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        try:
            graph = Graph(path.read_bytes())
            self._build(graph)
        except ValueError as error:
            raise ValueError(f"{path.name} is no network that can be run: {error}") from error

    def _build(self, graph: Graph) -> None:
        if len(graph.inputs) != 1:
            raise ValueError(f"it takes {len(graph.inputs)} inputs")
        self._input, self._outputs = graph.inputs[0], dict(graph.outputs)
        values = dict(graph.constants)
        self._steps: list[tuple[_Step, list[int], int]] = []
        for operator in graph.operators:
            (made,) = operator.outputs
            first = operator.inputs[0]
            if operator.code in (DEQUANTIZE, DENSIFY):  # of numbers in the file, once and for all
                if first not in values:
                    raise ValueError("it unpacks what it computed itself")
                values[made] = values[first].astype(np.float32)
                continue
            if operator.code not in _OPERATORS:
                raise ValueError(f"the operator {operator.code} is not known")
            step, read = _OPERATORS[operator.code](graph, operator, values, self.device)
            self._steps.append((step, read, made))
        # What nobody reads after a step makes room.
        kept, self._done = set(self._outputs.values()), list[set[int]]()
        for _, read, _ in reversed(self._steps):
            self._done.append(set(read) - kept)
            kept |= set(read)
        self._done.reverse()

    @torch.inference_mode()
    def __call__(self, pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run it on pictures B H W 3; its outputs by name, as TensorFlow Lite orders their axes."""
        batch = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device)
        held = {self._input: batch.permute(0, 3, 1, 2)}
        for (step, read, made), done in zip(self._steps, self._done, strict=True):
            held[made] = step([held[number] for number in read])
            for number in done:
                del held[number]
        return {
            name: np.ascontiguousarray(_outward(held[number]).float().cpu().numpy())
            for name, number in self._outputs.items()
        }


def _outward(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _inward(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


# How each operator becomes a step: what it does to the tensors that it reads, and which those are.

_Values = dict[int, NDArray[Any]]
_Made = tuple[_Step, list[int]]


def _convolution(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    deep = operator.code == DEPTHWISE_CONV_2D
    picture, kernel, *rest = operator.inputs
    # Kernels are O H W I in the file, and 1 H W O where every channel has its own.
    axes = (3, 0, 1, 2) if deep else (0, 3, 1, 2)
    weight = torch.from_numpy(values[kernel].transpose(axes).copy()).to(device)
    bias = torch.from_numpy(values[rest[0]].copy()).to(device) if rest and rest[0] >= 0 else None
    same = graph.option(operator, 0, "<b") == 0
    stride = graph.option(operator, 2, default=1), graph.option(operator, 1, default=1)
    spread = 5 if deep else 4
    if {graph.option(operator, spread + axis, default=1) for axis in (0, 1)} != {1}:
        raise ValueError("a kernel is spread out")
    if deep and graph.option(operator, 3, default=1) != 1:
        raise ValueError("a channel has several kernels")
    activate = _activation(graph.option(operator, 4 if deep else 3, "<b"))

    def step(inputs: list[torch.Tensor]) -> torch.Tensor:
        (tensor,) = inputs
        if same:
            tensor = _padded(tensor, weight.shape[2:], stride, 0.0)
        groups = tensor.shape[1] if deep else 1
        return activate(functional.conv2d(tensor, weight, bias, stride, groups=groups))

    return step, [picture]


def _pooling(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    same = graph.option(operator, 0, "<b") == 0
    stride = graph.option(operator, 2), graph.option(operator, 1)
    size = graph.option(operator, 4), graph.option(operator, 3)
    activate = _activation(graph.option(operator, 5, "<b"))

    def step(inputs: list[torch.Tensor]) -> torch.Tensor:
        (tensor,) = inputs
        if same:
            tensor = _padded(tensor, size, stride, -torch.inf)
        return activate(functional.max_pool2d(tensor, size, stride))

    return step, [operator.inputs[0]]


def _padded(tensor: torch.Tensor, size: Any, stride: tuple[int, int], value: float) -> torch.Tensor:
    """Padding by which an output has a stride-th of the input's size; an odd pixel goes behind."""
    sides = []
    for length, extent, pace in zip(tensor.shape[:1:-1], size[::-1], stride[::-1], strict=True):
        lacking = max((-(-length // pace) - 1) * pace + int(extent) - length, 0)
        sides += [lacking // 2, lacking - lacking // 2]
    return functional.pad(tensor, sides, value=value) if any(sides) else tensor


def _sum(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    activate = _activation(graph.option(operator, 0, "<b"))
    if any(number in values for number in operator.inputs):
        raise ValueError("it adds numbers of the file")
    return lambda inputs: activate(inputs[0] + inputs[1]), list(operator.inputs)


def _joined(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    axis = graph.option(operator, 0)
    activate = _activation(graph.option(operator, 1, "<b"))

    def step(inputs: list[torch.Tensor]) -> torch.Tensor:
        place = _AXES[axis] if inputs[0].ndim == 4 else axis
        return activate(torch.cat(inputs, place))

    return step, list(operator.inputs)


def _reshaped(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    shape = [int(size) for size in values[operator.inputs[1]].ravel()]

    def step(inputs: list[torch.Tensor]) -> torch.Tensor:
        (tensor,) = inputs
        return _inward(_outward(tensor).reshape(len(tensor), *shape[1:]))

    return step, [operator.inputs[0]]


def _resized(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    height, width = (int(size) for size in values[operator.inputs[1]].ravel())
    corners = bool(graph.option(operator, 2, "<b"))
    if not corners and not graph.option(operator, 3, "<b"):
        raise ValueError("it resizes by the corners of pixels")
    return (
        lambda inputs: functional.interpolate(
            inputs[0], (height, width), mode="bilinear", align_corners=corners
        ),
        [operator.inputs[0]],
    )


def _surrounded(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    around = values[operator.inputs[1]].reshape(-1, 2)
    if len(around) != 4:
        raise ValueError("it pads what is no picture")
    # The last axis first, as PyTorch wants it: W, H, C, B.
    sides = [int(size) for axis in (2, 1, 3, 0) for size in around[axis]]
    return lambda inputs: functional.pad(inputs[0], sides), [operator.inputs[0]]


def _shuffled(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    side = graph.option(operator, 0)

    def step(inputs: list[torch.Tensor]) -> torch.Tensor:
        (tensor,) = inputs
        count, channels, height, width = tensor.shape
        # The place in the block is the slowest part of a channel's number.
        parts = tensor.reshape(count, side, side, channels // side**2, height, width)
        spread = parts.permute(0, 3, 4, 1, 5, 2)
        return spread.reshape(count, -1, height * side, width * side)

    return step, [operator.inputs[0]]


def _sloped(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    slope = torch.from_numpy(values[operator.inputs[1]].ravel().copy()).to(device)
    return lambda inputs: functional.prelu(inputs[0], slope), [operator.inputs[0]]


def _relu(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    return lambda inputs: functional.relu(inputs[0]), [operator.inputs[0]]


def _logistic(graph: Graph, operator: Operator, values: _Values, device: torch.device) -> _Made:
    return lambda inputs: torch.sigmoid(inputs[0]), [operator.inputs[0]]


def _activation(kind: int) -> Callable[[torch.Tensor], torch.Tensor]:
    known: dict[int, Callable[[torch.Tensor], torch.Tensor]] = {
        0: lambda tensor: tensor,
        1: functional.relu,
        3: functional.relu6,
    }
    if kind not in known:
        raise ValueError(f"the activation {kind} is not known")
    return known[kind]


_OPERATORS: dict[int, Callable[[Graph, Operator, _Values, torch.device], _Made]] = {
    ADD: _sum,
    CONCATENATION: _joined,
    CONV_2D: _convolution,
    DEPTHWISE_CONV_2D: _convolution,
    DEPTH_TO_SPACE: _shuffled,
    LOGISTIC: _logistic,
    MAX_POOL_2D: _pooling,
    RELU: _relu,
    RESHAPE: _reshaped,
    RESIZE_BILINEAR: _resized,
    PAD: _surrounded,
    PRELU: _sloped,
}
