from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.tensor_checks import check_tensors

SHAPES = {"a": torch.Size([2, 3]), "b": torch.Size([4])}
TENSORS = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}


def test_exactly_these_tensors_pass():
    check_tensors(SHAPES, TENSORS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"b": None}, "^missing: b "),
        ({"c": torch.zeros(1)}, "^left over: c "),
        ({"b": None, "c": torch.zeros(1)}, "^missing: b; left over: c "),
        ({f"c{n:02d}": torch.zeros(1) for n in range(10)}, "c00, .* c07 and 2 more"),
        ({"a": torch.zeros(3, 2)}, r"a has shape \(3, 2\); needs \(2, 3\)"),
        ({"b": torch.full((4,), torch.inf)}, "b holds values that are not finite"),
    ],
)
def test_others_are_named(changes, said):
    tensors = {k: v for k, v in (TENSORS | changes).items() if v is not None}
    with pytest.raises(GflaError, match=said) as caught:
        check_tensors(SHAPES, tensors)
    assert caught.value.code == "bad_checkpoint"
