"""A data set whose makers are all killed, again and again; see `tests.chaos.killed_dataset`.

    python benchmarks/chaos_dataset.py 'portraits/*.jpg' 'clips/*.mp4' --kills 3

Exits with 1 if a promise is broken; the folder is kept then.
"""

from __future__ import annotations

import argparse
import glob
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import killed_dataset


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", help="pattern of pictures")
    parser.add_argument("drivings", help="pattern of driving videos")
    parser.add_argument("--end", default="1", help="seconds of each driving video")
    parser.add_argument("--shard-size", type=int, default=25)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts = [len(glob.glob(pattern)) for pattern in (options.sources, options.drivings)]
    folder = Path(tempfile.mkdtemp(prefix="dataset-"))
    arguments = ["--sources", options.sources, "--drivings", options.drivings]
    arguments += ["--end", options.end, "--shard-size", str(options.shard_size)]
    told = killed_dataset.run(
        arguments,
        folder,
        samples=counts[0] * counts[1],
        drivings=counts[1],
        kills=options.kills,
        seed=options.seed,
        say=lambda text: print(text, flush=True),
    )
    print(told.summary())
    if told.broken:
        print(f"Everything is in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
