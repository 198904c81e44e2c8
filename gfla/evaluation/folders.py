"""Comparison of two folders: as sets, and picture by picture where names are equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from gfla.errors import GflaError
from gfla.evaluation.files import as_batch, picture_files, read_picture, resized
from gfla.evaluation.protocol import Protocol
from gfla.evaluation.report import SampleFigures, Table
from gfla.evaluation.transfer import Measures, pairs_table
from gfla.ops.ranges import from_bytes

Announce = Callable[[str, int, int], None]


def compare_folders(
    real: Path, fake: Path, protocol: Protocol, measures: Measures, report: Announce
) -> Table:
    """Measure generated pictures against real ones.

    Args:
        real: folder of pictures.
        fake: folder of pictures; for metrics of pairs each has its counterpart in ``real`` under
            the same path, the suffix aside.
        protocol: of the task ``folders``; it scales all pictures.
        measures: its metrics.
        report: of pictures.

    Raises:
        GflaError: ``invalid_data`` naming a picture that is damaged or has no counterpart.
    """
    # Partners of all pictures, before any is measured.
    reals, fakes = (picture_files(folder) for folder in (real, fake))
    pairs = _paired(real, reals, fake, fakes) if measures.pictures else {}
    total = len(fakes) + (len(reals) if measures.sets is not None else 0)
    done = 0
    samples = []
    # Generated pictures: into their set, and against their partners.
    for path in fakes:
        ours = as_batch([resized(read_picture(path), protocol.pictures)])
        if measures.sets is not None:
            measures.sets.add(ours, real=False)
        figures = {}
        if measures.pictures:
            truth = as_batch([resized(read_picture(pairs[path]), protocol.pictures)])
            with torch.inference_mode():
                for name, metric in measures.pictures.items():
                    distance = metric.distance(from_bytes(ours), from_bytes(truth), None)
                    figures[name] = float(distance)
        name = path.relative_to(fake).as_posix()
        samples.append(SampleFigures(fake.name, name, name, figures))
        report("pictures", done := done + 1, total)
    # Real pictures, which sets alone need all of.
    of_set: dict[str, float] = {}
    if measures.sets is not None:
        for path in reals:
            measures.sets.add(as_batch([resized(read_picture(path), protocol.pictures)]), real=True)
            report("real pictures", done := done + 1, total)
        of_set = measures.sets.compute()
    title = f"{fake.name} against {real.name}"
    return pairs_table(title, {fake.name: (samples, of_set)}, {}, protocol)


def _paired(real: Path, reals: list[Path], fake: Path, fakes: list[Path]) -> dict[Path, Path]:
    """The real picture of every generated one."""
    by_name = {path.relative_to(real).with_suffix("").as_posix(): path for path in reals}
    pairs, missing = {}, []
    for path in fakes:
        name = path.relative_to(fake).with_suffix("").as_posix()
        if name in by_name:
            pairs[path] = by_name[name]
        else:
            missing.append(name)
    if missing:
        raise GflaError(
            "invalid_data",
            f"{len(missing)} of {len(fakes)} pictures in {fake} have no counterpart of the same "
            f"name in {real}, such as {', '.join(missing[:3])}",
        )
    return pairs
