"""Shape checks in the vocabulary of ``gfla/README.md``."""

from __future__ import annotations

from torch import Tensor

from gfla.errors import GflaError


def shape_of(name: str, tensor: Tensor, shape: str, **sizes: int) -> tuple[int, ...]:
    """The sizes of a tensor that has the wanted shape.

    Args:
        name: of the tensor, for the message.
        tensor: of any type.
        shape: one word a dimension, such as ``"B 2 H W"``: a number is that size; a word is the
            size given for it in ``sizes``, or any size from 1.
        sizes: what some words must be.

    Returns:
        All sizes, in order.

    Raises:
        GflaError: ``invalid_shape`` saying what came and what is allowed.
    """
    words = shape.split()
    wanted = [int(word) if word.isdigit() else sizes.get(word) for word in words]
    got = tuple(tensor.shape)
    # An empty dimension fits nothing: no operation here means anything without pixels.
    fits = len(got) == len(wanted) and all(
        size >= 1 and (want is None or size == want) for size, want in zip(got, wanted, strict=True)
    )
    if not fits:
        known = [
            word if want is None else str(want) for word, want in zip(words, wanted, strict=True)
        ]
        message = f"{name} is {got}; needs {' '.join(known)}, each at least 1"
        raise GflaError("invalid_shape", message)
    return got


def check_sides(name: str, height: int, width: int, multiple: int) -> None:
    """Refuse pictures that a stack of Downs cannot halve evenly, or would leave nothing of.

    Args:
        name: of the picture, for the message.
        height: in pixels.
        width: in pixels.
        multiple: 2 to the number of Downs.

    Raises:
        GflaError: ``invalid_shape``.
    """
    # At one pixel there is nothing to normalise in the deepest layer.
    if height % multiple or width % multiple or height * width <= multiple**2:
        raise GflaError(
            "invalid_shape",
            f"{name} is {height} x {width}; its sides must be multiples of {multiple}, "
            f"and it must be larger than {multiple} x {multiple}",
        )
