"""The process that runs one suspect job alone: `python -m worker.child JOB`.

It knows nothing of stores and queues, see `worker.isolated`. The job's id is there only for those
who look at the list of processes.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import logging
import os
import queue
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.record import Progress, Result
from animator.sandbox import become_expendable
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from worker import logs
from worker.failures import describe

logger = logging.getLogger(__name__)


class Parent:
    """The parent, at the other ends of two pipes.

    Args:
        source: what it says.
        sink: what it hears.

    Attributes:
        preview_wanted: whether it wants to see the newest frames.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.preview_wanted = False
        self._permissions: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def order(self) -> dict[str, Any]:
        """The job, which is the first that the parent says; it is heard from then on."""
        order: dict[str, Any] = json.loads(self._source.readline())
        # From here on it is heard: it may say stop at any time, or be gone.
        threading.Thread(target=self._listen, name="parent", daemon=True).start()
        return order

    def tell(self, kind: str, value: Any) -> None:
        """Say something."""
        with self._lock:
            self._sink.write(json.dumps({kind: value}).encode() + b"\n")
            self._sink.flush()

    def report(self, progress: Progress) -> None:
        """Say how far the job is."""
        self.tell("progress", asdict(progress))

    def show_preview(self, picture: bytes) -> None:
        """Show the newest frame, a JPEG."""
        self.tell("preview", base64.b64encode(picture).decode())

    def should_stop(self) -> bool:
        """Whether the parent said so."""
        return self._stop.is_set()

    def may_publish(self) -> bool:
        """Ask whether the job is still the parent's."""
        self.tell("publish", None)
        return self._permissions.get()

    def _listen(self) -> None:
        try:
            for line in self._source:
                message = json.loads(line)
                if "publish" in message:
                    self._permissions.put(message["publish"])
                elif "preview" in message:
                    self.preview_wanted = message["preview"]
                else:
                    self._stop.set()
        finally:
            os._exit(1)  # the parent is gone, or is not understood


def main(load_pipeline: Callable[[], Callable[..., Result]]) -> None:
    """Run the job that the parent tells."""
    # What libraries print goes to the log, with the standard error output.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # A crash shows where it was; the parent says which signal it was.
    faulthandler.enable()
    become_expendable()
    parent = Parent(sys.stdin.buffer, sink)
    order = parent.order()
    # Lines name the job, as those of the parent do.
    settings = Settings.from_environment(order["settings"])
    logs.configure(settings.log_format)
    logs.about_job(order["job"], order["attempt"])
    if order["memory_mb"] is not None:
        # Not the address space, of which libraries reserve much more than they use.
        resource.setrlimit(resource.RLIMIT_DATA, (order["memory_mb"] * 1024**2,) * 2)
    try:
        result = load_pipeline()(
            JobSpec.from_json(order["spec"]),
            settings=settings,
            report=parent.report,
            should_stop=parent.should_stop,
            workspace=Workspace(
                Path(order["output"]),
                order["job"],
                order["attempt"],
                replaces=order["replaces"],
            ),
            priority=order["priority"],
            may_publish=parent.may_publish,
            preview=parent,
        )
        parent.tell("result", result.to_json())
    except JobCancelled:
        parent.tell("stopped", None)
    except LeaseLost as lost:
        parent.tell("lost", str(lost))
    except Exception as error:
        if not isinstance(error, AnimatorError):
            logger.exception("a fault in the animator")
        parent.tell("error", asdict(describe(error)))


if __name__ == "__main__":
    from worker.tasks import load_pipeline

    main(load_pipeline)
