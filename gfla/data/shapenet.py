"""ShapeNet's views as HDF5, in the layout that the view-synthesis task is published with.

``data_car.hdf5`` (or ``data_chair.hdf5``) has one group a view, named ``MODEL_AZIMUTH_ELEVATION``
with the azimuth in tens of degrees (0, 2, ..., 34) and the elevation in degrees (0, 10, 20). Its
dataset ``image`` is uint8 256 256 3, RGB on white; ``pose`` holds the same azimuth and elevation.
``id_car_train.txt`` and ``id_car_test.txt`` list the views of each split, one a line. (Layout of
"Multi-view to Novel View", Sun et al., ECCV 2018, which the paper uses.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfla.data.prepare.preparation import (
    PreparationReport,
    ProgressDisplay,
    in_parallel,
    no_display,
)
from gfla.data.views import AZIMUTHS, ELEVATIONS
from gfla.errors import GflaError
from gfla.files import write_text

INDEX = "views.json"
"""What a prepared split holds: the HDF5 file and the objects whose views are complete."""
_CHUNK = 64
"""Objects that are checked, and noted as checked, at once."""


def view_name(model: str, azimuth: int, elevation: int) -> str:
    """The group of a view; azimuth 0..17 and elevation 0..2 as everywhere in this package."""
    return f"{model}_{2 * azimuth}_{10 * elevation}"


class ShapeNetViews:
    """The complete objects of one split, read from the HDF5 file.

    The file is opened by the process that reads it, at its first picture.

    Args:
        folder: with the ``views.json`` that ``prepare_shapenet`` wrote.

    Raises:
        GflaError: ``no_data`` without such an index, ``invalid_data`` if it is damaged or its HDF5
            file is missing, ``missing_dependency`` without h5py.
    """

    def __init__(self, folder: Path) -> None:
        _h5py()
        path = folder / INDEX
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            self.objects: Sequence[str] = [str(name) for name in index["objects"]]
            self.path = folder / index["file"]
        except FileNotFoundError as error:
            message = f"there is no {path}; scripts/prepare_shapenet.py writes it"
            raise GflaError("no_data", message) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GflaError("invalid_data", f"{path} is damaged: {error!r}") from error
        if not self.path.is_file():
            raise GflaError("invalid_data", f"{self.path}, which {path} names, is missing")
        self._file: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def picture(self, name: str, azimuth: int, elevation: int) -> NDArray[np.uint8]:
        """RGB H W 3; see ``gfla.data.views.Views``."""
        group = view_name(name, azimuth, elevation)
        if self._file is None:
            self._file = _h5py().File(self.path, "r")
        try:
            picture = np.asarray(self._file[group]["image"][()])
        except (KeyError, OSError, RuntimeError) as error:
            raise GflaError("invalid_sample", f"view {group} cannot be read: {error}") from error
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise GflaError("invalid_sample", f"view {group} is {picture.dtype} {picture.shape}")
        return picture


@dataclass(frozen=True)
class _Check:
    """What one process is to look at."""

    file: Path
    models: tuple[str, ...]
    note: Path
    thorough: bool


def prepare_shapenet(
    folder: Path,
    out: Path,
    category: str = "car",
    *,
    thorough: bool = False,
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> PreparationReport:
    """Check a category's file and write which objects each split has; pictures stay where they are.

    Args:
        folder: with ``data_CATEGORY.hdf5``, ``id_CATEGORY_train.txt``, ``id_CATEGORY_test.txt``.
        out: gets ``train`` and ``held-out`` with an index each, and the report. What a stopped
            run had checked is not checked again.
        category: "car" or "chair".
        thorough: read every picture, rather than its shape alone.
        workers: processes; 0 for one a core.
        display: shows progress.

    Returns:
        The report; objects with a missing or damaged view are left out and listed.

    Raises:
        GflaError: ``no_data`` naming what is missing, ``invalid_data`` if a list is empty, an
            object is in both, or no object of a split is complete.
    """
    # Everything is there, and no object is in both splits.
    file = folder / f"data_{category}.hdf5"
    lists = {
        split: folder / f"id_{category}_{part}.txt"
        for split, part in (("train", "train"), ("held-out", "test"))
    }
    missing = [str(path) for path in (file, *lists.values()) if not path.is_file()]
    if missing:
        raise GflaError("no_data", f"missing: {', '.join(missing)}")
    models = {split: _models(path) for split, path in lists.items()}
    if shared := sorted(set(models["train"]) & set(models["held-out"])):
        message = f"{len(shared)} objects are in both lists, such as {shared[0]}"
        raise GflaError("invalid_data", message)
    # Each split: what is complete is indexed, what is not is told.
    report = PreparationReport(f"ShapeNet {category}: {file}", notes={"thorough": thorough})
    for split, names in models.items():
        found = _checked(file, names, out / split / "checked", thorough, workers, display)
        complete = [name for name in names if not found[name]]
        for name in names:
            if found[name]:
                report.skip(found[name], f"{split}/{name}")
        report.counts[f"objects in {split}"] = len(complete)
        if not complete:
            report.write(out)
            raise GflaError("invalid_data", f"no object of {split} is complete; see {out}")
        index = {"file": str(file.resolve()), "objects": complete}
        write_text(out / split / INDEX, json.dumps(index, indent=1) + "\n")
    report.write(out)
    return report


def _models(path: Path) -> list[str]:
    """The objects of a list of views, in order."""
    views = path.read_text(encoding="utf-8").split()
    names = dict.fromkeys(view.rsplit("_", 2)[0] for view in views)
    if not names:
        raise GflaError("invalid_data", f"{path} lists no view")
    return list(names)


def _checked(
    file: Path,
    models: Sequence[str],
    notes: Path,
    thorough: bool,
    workers: int,
    display: ProgressDisplay,
) -> Mapping[str, str]:
    """What is wrong with each object, empty if nothing; from notes where there are some."""
    found: dict[str, str] = {}
    # A file that was changed since is checked again.
    state = {"size": file.stat().st_size, "time": file.stat().st_mtime_ns, "thorough": thorough}
    # What an earlier run found out.
    for note in sorted(notes.glob("*.json")) if notes.is_dir() else []:
        values = json.loads(note.read_text(encoding="utf-8"))
        if values["state"] == state:
            found |= values["found"]
    # The rest, in chunks that are noted one by one: a stopped run loses one of them.
    left = [name for name in models if name not in found]
    begin = len(list(notes.glob("*.json"))) if notes.is_dir() else 0
    checks = [
        _Check(file, tuple(part), notes / f"{begin + number:06d}.json", thorough)
        for number, part in enumerate(_chunks(left))
    ]
    parts = in_parallel(_check, checks, workers, "checking", display)
    for check, part in zip(checks, parts, strict=True):
        found |= part
        write_text(check.note, json.dumps({"state": state, "found": part}) + "\n")
    return found


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), _CHUNK):
        yield names[first : first + _CHUNK]


def _check(check: _Check) -> dict[str, str]:
    try:
        with _h5py().File(check.file, "r") as file:
            return {name: _fault(file, name, check.thorough) for name in check.models}
    except OSError as error:
        raise GflaError("invalid_data", f"{check.file} is no HDF5 file: {error}") from error


def _fault(file: Any, model: str, thorough: bool) -> str:
    """The first thing that is wrong with an object's views."""
    for azimuth, elevation in product(range(AZIMUTHS), range(ELEVATIONS)):
        name = view_name(model, azimuth, elevation)
        try:
            if name not in file:
                return "a view is missing"
            image, pose = file[name]["image"], np.asarray(file[name]["pose"][()]).ravel()
            if image.dtype != np.uint8 or len(image.shape) != 3 or image.shape[2] != 3:
                return "a picture is not uint8 H W 3"
            # Tens of degrees of azimuth, degrees of elevation, as in the name.
            if pose.tolist() != [2 * azimuth, 10 * elevation]:
                return "a pose contradicts the view's name"
            if thorough:
                image[()]
        except (KeyError, OSError, RuntimeError):
            return "a view cannot be read"
    return ""


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        message = "h5py is not installed; it comes with: pip install 'animator[train]'"
        raise GflaError("missing_dependency", message) from error
    return h5py
