"""The command of the check; `scripts/gpu_check.sh` is how it is called.

    python -m gpu OUT [--on-cpu] [--only PART ...] [--budget SECONDS] [--pack FOLDER]

With ``--part`` it is the process of one part, and OUT its folder.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from gpu.parts import PARTS, Setting, exact_arithmetic, measure_of, part_named
from gpu.report import WELL
from gpu.runner import Request, Runner
from gpu.sheet import Sheet

NAMES = [part.name for part in PARTS]
BUDGET = 450.0
"""Seconds of all parts: half a minute less than eight minutes."""


def main() -> None:
    """Run a check, or one part of it."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("gpu-check"))
    parser.add_argument("--on-cpu", action="store_true", help="all parts, small, on the CPU")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="these parts alone")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds of all parts")
    parser.add_argument("--pack", type=Path, help="the folder that travelled along")
    parser.add_argument("--part", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options)
        return
    signal.signal(signal.SIGTERM, end)
    parts = [part for part in PARTS if not options.only or part.name in options.only]
    request = Request(options.out, parts, options.budget, options.on_cpu, options.pack)
    try:
        outcomes = Runner(request).run()
    except OSError as error:
        sys.exit(f"gpu_check: the results cannot be written: {error}")
    for outcome in outcomes:
        print(f"{outcome.name:10} {outcome.status}")
    print(f"results in {options.out / 'results.md'}")
    sys.exit(any(outcome.status not in WELL for outcome in outcomes))


def end(*_: object) -> None:
    """Told to end: write down what there is, and end the part that runs."""
    # `timeout` tells twice, a process and then its group.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("gpu_check: ended before its time")


def run_part(options: argparse.Namespace) -> None:
    """One part, in this process."""
    threading.Thread(target=end_with_runner, daemon=True).start()
    part = part_named(options.part)
    if part.exact:
        exact_arithmetic()
    setting = Setting(
        options.device, options.seconds, options.out, options.pack, small=options.on_cpu
    )
    measure_of(part)(setting, Sheet(options.out / "sheet.json"))


def end_with_runner() -> None:
    """End this process and all that it has started once the runner, which holds its input, is gone.

    A GPU is not to be kept busy by what nobody waits for.
    """
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
