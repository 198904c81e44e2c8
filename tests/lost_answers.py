"""A job store whose connection breaks before the answer to a script is there."""

from __future__ import annotations

from typing import Any

from animator.jobs.store import JobStore


class SentTwice(JobStore):
    """A store whose every script runs twice, as after an answer that was lost on its way."""

    def _run(self, name: str, /, *, client: Any = None, **arguments: Any) -> Any:
        super()._run(name, **arguments)
        return super()._run(name, client=client, **arguments)
