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
