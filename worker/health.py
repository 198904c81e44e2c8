"""The health check: `python -m worker.health` ends with status 0 if a worker here takes jobs.

For a container's health check. A process that lives but no longer consumes is not healthy.
"""

from __future__ import annotations

import socket
import sys

from animator.errors import AnimatorError
from animator.jobs.store import JobStore, connect
from animator.settings import Settings


def problem(settings: Settings) -> str | None:
    """Why no worker here takes jobs, None if one does."""
    if settings.broker_url is None:
        return "ANIMATOR_BROKER_URL is not set"
    here = socket.gethostname()
    try:
        workers = JobStore(connect(settings.broker_url)).workers()
    except AnimatorError as error:
        return error.message
    if any(worker.consuming and worker.host == here for worker in workers):
        return None
    return f"no worker on {here} takes jobs"


if __name__ == "__main__":
    sys.exit(problem(Settings.from_environment()))
