"""Files of a run's folder besides its state: metrics, sample sheets, replaced samples."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gfla.files import replacing, write_bytes, write_text
from gfla.training.loader import Failure

METRICS, SKIPPED, SHEETS, BOARD = "metrics.jsonl", "skipped.jsonl", "samples", "tensorboard"
PART = "part"
"""Key of a line of metrics that a run which goes on writes anew."""


class Records:
    """Open files of a run folder; a resumed run's go on at its step, without repetition."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open them, and forget what was written after ``step``.

        Args:
            folder: of the run, which exists.
            step: of the state that the run goes on from; 0 for a new run.
        """
        self._folder = folder
        for name in (METRICS, SKIPPED):
            # A run that stopped after its last checkpoint makes those steps again.
            _forget_after(folder / name, step)
        # Line by line, so that a killed run has lost none.
        self._metrics = (folder / METRICS).open("a", encoding="utf-8", buffering=1)
        self._skipped = (folder / SKIPPED).open("a", encoding="utf-8", buffering=1)
        self._board = _open_board(folder / BOARD, step)

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *raised: object) -> None:
        self._metrics.close()
        self._skipped.close()
        if self._board is not None:
            self._board.close()

    def metrics(self, step: int, values: Mapping[str, float], *, part: bool = False) -> None:
        """A line of numbers, to five digits; a ``part`` is of an interval that was cut short."""
        rounded = {name: float(f"{value:.5g}") for name, value in values.items()}
        mark = {PART: True} if part else {}
        self._metrics.write(json.dumps({"step": step} | rounded | mark) + "\n")
        if self._board is not None and not part:
            for name, value in rounded.items():
                self._board.add_scalar(name, value, step)

    def skipped(self, step: int, failures: Sequence[Failure]) -> None:
        """A line for each sample that was replaced on the way to a step."""
        for failure in failures:
            line = {"step": step, "index": failure.index, "reason": failure.reason}
            self._skipped.write(json.dumps(line) + "\n")

    def sheet(self, step: int, picture: NDArray[np.uint8]) -> None:
        """A sample sheet, H W 3 RGB."""
        folder = self._folder / SHEETS
        folder.mkdir(exist_ok=True)
        coded = cv2.imencode(".png", picture[..., ::-1])[1]
        write_bytes(folder / f"{step:07d}.png", coded.tobytes())


def save_batch(path: Path, batches: Sequence[Mapping[str, Tensor]]) -> None:
    """The batches of a step as one npz; those after the first have numbered names."""
    arrays: dict[str, Any] = {
        name if index == 0 else f"{name}.{index}": value.detach().float().cpu().numpy()
        for index, batch in enumerate(batches)
        for name, value in batch.items()
    }
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def code_version() -> str:
    """The package's version, and the commit where it runs from a checkout."""
    try:
        name = version("animator")
    except PackageNotFoundError:
        name = "unknown"
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return name
    return f"{name} ({found.stdout.strip()})"


def _forget_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
            # The means of an interval that was cut short are told again when it is over.
            if values["step"] <= step and not values.get(PART):
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue  # the half line of a machine that stopped
    write_text(path, "".join(kept))


def _open_board(folder: Path, step: int) -> Any:
    """A writer for TensorBoard, or None where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    # TensorBoard forgets likewise, from ``purge_step`` on.
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
