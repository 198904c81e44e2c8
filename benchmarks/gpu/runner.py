"""The runner: each part in a process of its own, ended when its time or that of all is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
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
LOOK_SECONDS = 0.5
"""Time between two looks at what a part has found so far."""
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
        self._remarks = "every part at small sizes on the CPU; no figure means anything. " * int(
            request.on_cpu
        )
        self.outcomes = [Outcome(part.name, part.title) for part in request.parts]

    def run(self) -> list[Outcome]:
        """Run all; what is known is in the folder of the results at any moment.

        Raises:
            OSError: if nothing can be written there at the beginning.
        """
        request = self._request
        request.out.mkdir(parents=True, exist_ok=True)
        self._write()
        device = "cpu" if request.on_cpu or not self._has_cuda() else "cuda"
        with (
            (request.out / "log.txt").open("w", encoding="utf-8") as log,
            tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as scratch,
        ):
            for number, part in enumerate(request.parts):
                self._part(number, part, device, log, Path(scratch))
                self._save()
        return self.outcomes

    def _part(self, number: int, part: Part, device: str, log: IO[str], scratch: Path) -> None:
        """One part, unless there is no GPU for it or no time."""
        outcome, absent = self.outcomes[number], device == "cpu" and not self._request.on_cpu
        # What the machine is can be told without a GPU.
        if absent and part.name != "machine":
            self.outcomes[number] = outcome.ended("no CUDA", 0)
            return
        kept = sum(later.kept for later in self._request.parts[number + 1 :])
        left = self._request.budget - kept - (time.monotonic() - self._began)
        if left < LEAST_SECONDS:
            self.outcomes[number] = outcome.ended("no time left", 0)
            return
        limit = min(part.seconds, left)
        folder = scratch / part.name
        folder.mkdir()
        print(f"{part.name}: {part.title}, {limit:.0f} s at most", flush=True)
        print(f"\n== {part.name}", file=log, flush=True)
        began, file = time.monotonic(), folder / "sheet.json"

        def note(status: Status) -> None:
            sheet = Sheet.read(file)
            if status == "failed" and code:
                sheet.faults.append(f"it ended with status {code}; see log.txt")
            elif status == "done" and sheet.faults:
                status = "failed"
            self.outcomes[number] = outcome.ended(status, time.monotonic() - began, sheet)

        # Whoever ends this process, and however: what is found is in the report.
        try:
            with closing(self._child(part, device, limit, folder, log)) as child:
                for code in child:
                    if code is None:
                        note("runs")
                        self._save()
        except BaseException:
            note("broken off")
            self._save()
            raise
        if code is None:
            note("over its time")
        else:
            note("failed" if code else "no CUDA" if absent else "done")

    def _child(
        self, part: Part, device: str, limit: float, folder: Path, log: IO[str]
    ) -> Generator[int | None]:
        """None now and then while its process runs; its status, unless it had to be ended."""
        command = [sys.executable, "-m", "gpu", str(folder), "--part", part.name]
        command += ["--device", device, "--seconds", str(limit)]
        command += ["--on-cpu"] if self._request.on_cpu else []
        command += ["--pack", str(self._request.pack)] if self._request.pack else []
        # A session of its own, so that whatever the part has started ends with it. Its input ends
        # when this process does.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
        ends = time.monotonic() + limit
        try:
            while (left := ends - time.monotonic()) > 0:
                try:
                    yield process.wait(min(LOOK_SECONDS, left))
                    return
                except subprocess.TimeoutExpired:
                    yield None
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
            self._remarks += f"CUDA did not say within {ASKING_SECONDS:.0f} s whether it is there. "
            return False

    def _save(self) -> None:
        """Write the report; a full disk is no reason to stop, as the next one may fit."""
        try:
            self._write()
        except OSError as error:
            print(f"the results cannot be written: {error}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        spent = time.monotonic() - self._began
        write_report(self._request.out, self.outcomes, f"{self._remarks}{spent:.0f} s so far.")
