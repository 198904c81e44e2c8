"""TFLite networks: small ones written here, checked by hand and against OpenCV's importer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from animator.models import tflite
from animator.models.flatbuffer import Graph
from animator.models.tflite import TfliteNetwork
from tests.tflite_files import Net

SAME, VALID, RELU = 0, 1, 1
OPTIONS = {"convolution": 1, "depthwise": 2, "pool": 5, "add": 11, "resize": 15, "space": 94}


def run(net: Net, taken: int, given: int, picture: NDArray[np.float32], folder: Path) -> np.ndarray:
    path = folder / "net.tflite"
    path.write_bytes(net.content(taken, [given]))
    return TfliteNetwork(path)(picture)[f"t{given}"]


@pytest.fixture
def picture() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(1, 7, 6, 3)).astype(np.float32)


def test_a_network_is_what_opencv_makes_of_it(picture: NDArray[np.float32], tmp_path: Path) -> None:
    """Convolutions of both kinds, a sum, slopes, the largest of four, and twice the size."""
    random = np.random.default_rng(1)

    def numbers(*shape: int) -> NDArray[np.float32]:
        return random.normal(size=shape).astype(np.float32)

    net = Net()
    taken = net.tensor(1, 7, 6, 3)
    stride_2 = {0: SAME, 1: 2, 2: 2, 3: 0, 4: 1, 5: 1}
    wide = net.operator(
        tflite.CONV_2D,
        [taken, net.constant(numbers(4, 3, 3, 3)), net.constant(numbers(4))],
        net.tensor(1, 4, 3, 4), OPTIONS["convolution"], stride_2,
    )  # fmt: skip
    sloped = net.operator(
        tflite.PRELU, [wide, net.constant(numbers(1, 1, 4))], net.tensor(1, 4, 3, 4)
    )
    deep = net.operator(
        tflite.DEPTHWISE_CONV_2D,
        [sloped, net.constant(numbers(1, 3, 3, 4)), net.constant(numbers(4))],
        net.tensor(1, 4, 3, 4), OPTIONS["depthwise"], {0: SAME, 1: 1, 2: 1, 3: 1, 4: 0, 5: 1, 6: 1},
    )  # fmt: skip
    summed = net.operator(
        tflite.ADD, [sloped, deep], net.tensor(1, 4, 3, 4), OPTIONS["add"], {0: RELU}
    )
    small = net.operator(
        tflite.MAX_POOL_2D, [summed], net.tensor(1, 2, 2, 4), OPTIONS["pool"],
        {0: SAME, 1: 2, 2: 2, 3: 2, 4: 2, 5: 0},
    )  # fmt: skip
    large = net.operator(
        tflite.RESIZE_BILINEAR, [small, net.constant(np.array([4, 4], np.int32))],
        net.tensor(1, 4, 4, 4), OPTIONS["resize"], {2: 0, 3: 1},
    )  # fmt: skip
    ours = run(net, taken, large, picture, tmp_path)
    theirs = cv2.dnn.readNetFromTFLite(str(tmp_path / "net.tflite"))
    theirs.setInput(np.ascontiguousarray(picture.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(ours, theirs.forward().transpose(0, 2, 3, 1), atol=1e-5)
    assert ours.std() > 0.1


def test_a_kernel_without_its_zeros(picture: NDArray[np.float32], tmp_path: Path) -> None:
    """Two of 2 x 1 x 1 x 3 numbers, by the places in each row, first as halves, then unfolded."""
    net = Net()
    taken = net.tensor(1, 7, 6, 3)
    levels = [{0: 0, 1: 2}, {0: 0, 1: 1}, {0: 0, 1: 1}]
    rows = {0: 1, 2: 3, 3: {0: np.array([0, 1, 2], np.uint8)}, 4: 3, 5: {0: np.array([2, 0], "u1")}}
    kernel = net.constant(
        np.array([5, 7], np.float16), {0: [0, 1, 2, 3], 2: [*levels, rows]}, (2, 1, 1, 3)
    )
    halves = net.operator(tflite.DENSIFY, [kernel], net.tensor(2, 1, 1, 3))
    whole = net.operator(tflite.DEQUANTIZE, [halves], net.tensor(2, 1, 1, 3))
    made = net.operator(
        tflite.CONV_2D, [taken, whole, net.constant(np.zeros(2, np.float32))],
        net.tensor(1, 7, 6, 2), OPTIONS["convolution"], {0: VALID, 1: 1, 2: 1},
    )  # fmt: skip
    answer = run(net, taken, made, picture, tmp_path)
    expected = np.stack([5 * picture[..., 2], 7 * picture[..., 0]], -1)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


def test_axes_are_those_of_the_file(picture: NDArray[np.float32], tmp_path: Path) -> None:
    """Padding, channels to places, lists joined, and the logistic function."""
    net = Net()
    taken = net.tensor(1, 7, 6, 3)
    around = np.array([[0, 0], [0, 1], [2, 0], [0, 1]], np.int32)
    wide = net.operator(tflite.PAD, [taken, net.constant(around)], net.tensor(1, 8, 8, 4))
    spread = net.operator(
        tflite.DEPTH_TO_SPACE, [wide], net.tensor(1, 16, 16, 1), OPTIONS["space"], {0: 2}
    )
    shape = net.constant(np.array([1, 256, 1], np.int32))
    flat = net.operator(tflite.RESHAPE, [spread, shape], net.tensor(1, 256, 1))
    both = net.operator(tflite.CONCATENATION, [flat, flat], net.tensor(1, 512, 1), 10, {0: 1, 1: 0})
    sure = net.operator(tflite.LOGISTIC, [both], net.tensor(1, 512, 1))
    answer = run(net, taken, sure, picture, tmp_path)
    padded = np.pad(picture, around)
    blocks = padded.reshape(8, 8, 2, 2).transpose(0, 2, 1, 3).reshape(-1)
    expected = 1 / (1 + np.exp(-np.tile(blocks, 2)))
    np.testing.assert_allclose(answer[0, :, 0], expected, rtol=1e-5)


def test_what_is_not_known_is_refused(picture: NDArray[np.float32], tmp_path: Path) -> None:
    net = Net()
    taken = net.tensor(1, 7, 6, 3)
    made = net.operator(99, [taken], net.tensor(1, 7, 6, 3))
    with pytest.raises(ValueError, match=r"net\.tflite .*operator 99"):
        run(net, taken, made, picture, tmp_path)


def test_damaged_files_are_refused() -> None:
    net = Net()
    taken = net.tensor(1, 2, 2, 1)
    made = net.operator(tflite.RELU, [taken], net.tensor(1, 2, 2, 1))
    content = net.content(taken, [made])
    assert len(Graph(content).operators) == 1
    with pytest.raises(ValueError, match="TFLite"):
        Graph(b"no" * 20)
    refused = 0
    for length in range(8, len(content)):
        try:
            Graph(content[:length])
        except ValueError:
            refused += 1
    assert refused > 0.9 * (len(content) - 8)
