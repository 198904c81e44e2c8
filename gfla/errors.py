"""The one error type of this package."""

from __future__ import annotations


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
