"""The one error type of this package, and the check that raises it most."""

from __future__ import annotations

from collections.abc import Collection


class GflaError(Exception):
    """A mistake in what the caller gave: a tensor, a configuration or a checkpoint.

    Attributes:
        code: stable, for programs (``invalid_shape``, ``invalid_config``, ``bad_checkpoint``, ...).
        message: one sentence for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # as it is made anew from another process
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a word that is none of those allowed.

    Raises:
        GflaError: ``invalid_config`` saying what came and what is allowed.
    """
    if value not in tuple(allowed):  # a list or a mapping has no place in a set, nor a hash
        message = f"{name} is {value!r}; allowed: {', '.join(allowed)}"
        raise GflaError("invalid_config", message)
