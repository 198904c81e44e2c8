"""Planning a data set of 100,000 samples: seconds, and the most memory of the whole process.

A manifest over 2,000 sources and 50 driving videos, which are small files that exist, in random
order, in every format. A process of its own reads it, plans and writes the plan; another one reads
the plan again. Memory is the resident set's high-water mark as the kernel sees it, so the
interpreter and the libraries count, too (Linux); that of the child that reads Parquet is beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
FORMATS = ("csv", "jsonl", "parquet")
SOURCES, DRIVINGS = 2000, 50


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=RESULTS / "dataset_plan.json")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "MANIFEST", "FOLDER"))
    options = parser.parse_args()
    if options.child:
        measure(*options.child)
        return
    from environment import describe  # loads PyTorch, which the measured processes must not

    report: dict[str, object] = {
        "environment": describe(),
        "sources": SOURCES,
        "drivings": DRIVINGS,
        "rows": {str(count): measured(count) for count in options.rows},
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measured(count: int) -> dict[str, object]:
    """The figures of all formats for so many rows."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifests(folder, count)
        for kind in FORMATS:
            manifest, run = folder / f"rows.{kind}", folder / f"run-{kind}"
            figures[kind] = {
                "manifest bytes": manifest.stat().st_size,
                "plan": child("plan", manifest, run),
                "plan bytes": (run / "plan.parquet").stat().st_size,
                "load": child("load", manifest, run),
            }
            print(count, kind, figures[kind])
    return figures


def write_manifests(folder: Path, count: int) -> None:
    """The inputs, and the same rows in every format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sources = [f"sources/portrait_{number:05d}.png" for number in range(SOURCES)]
    drivings = [f"drivings/speaker_{number:03d}.mp4" for number in range(DRIVINGS)]
    for name in (*sources, *drivings):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    generator = random.Random(1)
    rows = [
        {
            "id": f"sample-{number:07d}",
            "source": generator.choice(sources),
            "driving": generator.choice(drivings),
            "seed": number,
            "caption": "a column that is ignored",
        }
        for number in range(count)
    ]
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")


def child(what: str, manifest: Path, run: Path) -> dict[str, float]:
    """The figures of one process."""
    command = [sys.executable, __file__, "--child", what, str(manifest), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure(what: str, manifest: str, run: str) -> None:
    """Plan or load in this process, and print the figures."""
    from animator.dataset.manifest.reader import RowDefaults, read_manifest
    from animator.dataset.plan import make_plan
    from animator.dataset.plan_files import read_plan, write_plan
    from animator.files.storage import Storage
    from animator.settings import Settings

    settings = Settings(Path(run).parent / "state")
    storage = Storage.open(run, settings)
    imported = peak_mib()
    began = time.perf_counter()
    figures = {}
    if what == "plan":
        plan = make_plan(read_manifest(manifest, settings, RowDefaults()), settings)
        figures["planned seconds"] = round(time.perf_counter() - began, 2)
        if manifest.endswith(".parquet"):
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            figures["peak MiB of the child"] = most // 1024
        write_plan(plan, storage)
    else:
        plan = read_plan(storage)
    figures |= {
        "seconds": round(time.perf_counter() - began, 2),
        "peak MiB": peak_mib(),
        "of these before it begins": imported,
        "samples": len(plan.samples),
        "faults": len(plan.faults),
    }
    print(json.dumps(figures))


def peak_mib() -> int:
    """The most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(value) // 1024


if __name__ == "__main__":
    main()
