"""The runner: each part in a process of its own, ended when its time or that of all is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gpu.parts import Part
from gpu.report import Outcome, Status, write_report
from gpu.sheet import Sheet

LEAST_SECONDS = 10.0
"""A part that would have less is not begun."""
ASKING_SECONDS = 60.0
"""How long CUDA may take to say whether it is there."""
_ASK = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 3)"


@dataclass(frozen=True)
class Request:
    """A check.

    Attributes:
        out: folder of the results.
        parts: which, in their order.
        budget: seconds of all parts together.
        on_cpu: run every part at small sizes on the CPU instead.
        pack: what travelled along.
    """

    out: Path
    parts: Sequence[Part]
    budget: float
    on_cpu: bool = False
    pack: Path | None = None


class Runner:
    """Runs the parts of a request one after another."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._began = time.monotonic()
        self.outcomes = [Outcome(part.name, part.title) for part in request.parts]

    def run(self) -> list[Outcome]:
        """Run all; what is known is in the folder of the results at any moment."""
        request = self._request
        request.out.mkdir(parents=True, exist_ok=True)
        self._write()
        device = "cpu" if request.on_cpu or not self._has_cuda() else "cuda"
        with (
            (request.out / "log.txt").open("w", encoding="utf-8") as log,
            tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch,
        ):
            for number, part in enumerate(request.parts):
                self.outcomes[number] = self._part(number, part, device, log, Path(scratch))
                self._write()
        return self.outcomes

    def _part(self, number: int, part: Part, device: str, log: IO[str], scratch: Path) -> Outcome:
        """One part, unless there is no GPU for it or no time."""
        outcome, absent = self.outcomes[number], device == "cpu" and not self._request.on_cpu
        # What the machine is can be told without a GPU.
        if absent and part.name != "machine":
            return outcome.ended("no CUDA", 0)
        left = self._request.budget - (time.monotonic() - self._began)
        if left < LEAST_SECONDS:
            return outcome.ended("no time left", 0)
        limit = min(part.seconds, left)
        folder = scratch / part.name
        folder.mkdir()
        print(f"{part.name}: {part.title}, {limit:.0f} s at most", flush=True)
        log.write(f"\n== {part.name}\n")
        log.flush()
        began = time.monotonic()
        code = self._child(part, device, limit, folder, log)
        sheet = Sheet.read(folder / "sheet.json")
        status: Status = "done"
        if code is None:
            status = "over its time"
        elif code or sheet.faults:
            status = "failed"
            if code:
                sheet.faults.append(f"it ended with status {code}; see log.txt")
        elif absent:
            status = "no CUDA"
        return outcome.ended(status, time.monotonic() - began, sheet)

    def _child(
        self, part: Part, device: str, limit: float, folder: Path, log: IO[str]
    ) -> int | None:
        """Its process's status; None if it had to be ended."""
        command = [sys.executable, "-m", "gpu", str(folder), "--part", part.name]
        command += ["--device", device, "--seconds", str(limit)]
        command += ["--on-cpu"] if self._request.on_cpu else []
        command += ["--pack", str(self._request.pack)] if self._request.pack else []
        # A session of its own, so that whatever the part has started ends with it.
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _has_cuda(self) -> bool:
        """Asked in another process: a driver that hangs must not hang this one."""
        try:
            command = [sys.executable, "-c", _ASK]
            return subprocess.run(command, timeout=ASKING_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _write(self) -> None:
        spent = time.monotonic() - self._began
        what = "every part at small sizes on the CPU; no figure means anything. " * int(
            self._request.on_cpu
        )
        write_report(self._request.out, self.outcomes, f"{what}{spent:.0f} s so far.")
