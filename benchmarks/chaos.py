"""Jobs on a farm of workers that die, on a Redis that dies, and whether it keeps its word.

The long form of `tests/chaos`: see `tests.chaos.farm` for what is done and what must hold. Exits
with 1 if a promise is broken; the folder with the videos and the workers' log is kept then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the workers; frames are compared bit for bit

from animator.samples.media import write_samples
from tests.chaos import farm
from tests.chaos.plan import Plan


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=2, help="jobs of a worker at a time")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--outages", type=float, nargs="*", default=[0.5, 0.5, 20, 20])
    parser.add_argument("--pauses", type=int, default=3)
    parser.add_argument("--duplicates", type=int, default=4)
    parser.add_argument("--failovers", type=float, nargs="*", default=[1.0, 1.0, 5.0])
    parser.add_argument("--garbage", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps of the clock by an hour")
    parser.add_argument("--damaged", type=int, default=3, help="records that nobody can read")
    parser.add_argument("--cancels", type=int, default=10)
    parser.add_argument("--specs", type=int, default=6, help="kinds of jobs")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between disturbances")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds for everything")
    options = parser.parse_args()
    times = {name: tuple(getattr(options, name)) for name in ("outages", "failovers")}
    plan = Plan(**vars(options) | times)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ |= farm.environment(folder)
    report = farm.run(plan, folder, write_samples(folder / "media"), lambda text: print(text))
    print(report.summary())
    if report.broken:
        print(*report.broken, f"Everything is in {folder}.", sep="\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
