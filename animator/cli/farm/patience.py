"""A command that goes on looking, and waits while the queue is away for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from animator.cli.console import StopSignals, say
from animator.errors import AnimatorError
from animator.jobs.supervision import OUTAGE_SECONDS

T = TypeVar("T")
_RETRY_SECONDS = 0.5


class Patience:
    """Asks the store again and again, until it answers or has been away for a minute.

    Args:
        signals: a signal that it has received ends the command.
    """

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals

    def ask(self, question: Callable[[], T]) -> T:
        """The answer.

        Raises:
            AnimatorError: what the question raised, if waiting cannot or did not help.
        """
        asked = time.monotonic()
        told = False
        while True:
            try:
                return question()
            except AnimatorError as error:
                if not error.retryable or time.monotonic() - asked > OUTAGE_SECONDS:
                    raise
            if not told:
                say("the queue does not answer; waiting for it")
                told = True
            self.sleep(_RETRY_SECONDS)

    def sleep(self, seconds: float) -> None:
        """Wait, or end the command if it was told to.

        Raises:
            typer.Exit: with the signal's exit status.
        """
        time.sleep(seconds)
        if self._signals.requested():
            raise self._signals.exit()
