"""Sample media made in a child process, for those who must not load what that takes."""

from __future__ import annotations

from pathlib import Path

from animator.samples.media import write_samples
from animator.sandbox import Message, Send


def make(task: Message, send: Send) -> None:
    """Write the sample media into the folder that the task names, and say so."""
    source, driving = write_samples(Path(task["folder"]))
    send({"source": source.name, "driving": driving.name})
