from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from gfla.errors import GflaError
from gfla.typed import known_only, typed


@dataclass(frozen=True)
class Hat:
    height: float = 1.0
    size: tuple[int, int] = (2, 3)


@pytest.mark.parametrize(
    ("wanted", "value", "same"),
    [
        (float, "1e-4", 1e-4),  # as YAML reads it
        (float, 3, 3.0),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[int, int] | None, None, None),
        (Literal["a", "b"], "b", "b"),
        (dict[str, Any], {"x": 1}, {"x": 1}),
        (Hat, {"size": [5, 6]}, Hat(1.0, (5, 6))),
    ],
)
def test_what_means_the_same_is_converted(wanted: Any, value: object, same: object) -> None:
    found = typed(wanted, value)
    assert found == same and type(found) is type(same)


@pytest.mark.parametrize(
    ("wanted", "value", "said"),
    [
        (int, 1.0, "a whole number"),
        (int, True, "a whole number"),
        (float, False, "a number"),
        (float, 10**400, "a number"),
        (bool, "yes", "true or false"),
        (str, None, "text"),
        (tuple[int, int], [1], "a list of 2"),
        (Literal["a", "b"], ["a"], "a, b"),
        (Hat, [], "keys and values"),
    ],
)
def test_all_else_is_refused_by_name(wanted: Any, value: object, said: str) -> None:
    with pytest.raises(GflaError) as caught:
        typed(wanted, value, "a.key")
    assert caught.value.code == "invalid_config"
    assert caught.value.message.startswith("a.key is ") and said in caught.value.message


def test_unknown_keys_are_told_with_the_nearest_known() -> None:
    with pytest.raises(GflaError, match="'hight' in hat; did you mean 'height'"):
        typed(Hat, {"hight": 2}, "hat")
    with pytest.raises(GflaError, match="unknown key 3 in hat; known are none"):
        known_only([3], [], "hat")


def test_other_types_have_readers_of_their_own() -> None:
    assert typed(bytes, "x", "key", {bytes: lambda value, where: (value, where)}) == ("x", "key")
