"""Generates a data set of animated portraits: `animator batch`, to be started as a script.

python scripts/generate_dataset.py pairs.csv --out run
python scripts/generate_dataset.py --sources 'photos/*.jpg' --drivings 'clips/*.mp4' --out run
"""

from __future__ import annotations

import typer

from animator.cli.batch import batch
from animator.processor import keep_memory, share_cores

if __name__ == "__main__":
    share_cores()
    keep_memory()
    typer.run(batch)
