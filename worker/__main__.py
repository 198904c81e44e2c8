"""The command `animator-worker`, also `python -m worker`: Celery's worker with our application.

The same as `celery -A worker worker`, but a folder `worker` of the user's own, in the current
folder, does not come before this package.
"""

from __future__ import annotations

import sys

import worker


def main() -> None:
    """Run Celery's worker with the options of the command line."""
    from celery.bin.celery import main as celery

    # Celery puts the current folder first on Python's path; what is imported stays what it is.
    assert sys.modules["worker"] is worker
    sys.argv[1:1] = ["--app", "worker", "worker"]
    celery()


if __name__ == "__main__":
    main()
