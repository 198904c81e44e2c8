"""The entry points of a checkout that is not installed, written where Python looks for them."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def main(root: Path, folder: Path) -> None:
    """Write what a package's metadata says, unless it is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        distribution(project["name"])
    except PackageNotFoundError:
        pass
    else:
        return
    known = folder / f"{project['name']}-0.dist-info"
    known.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n"
    (known / "METADATA").write_text(metadata, encoding="utf-8")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (known / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
