"""The time that a run took by stage, and what was saved of it."""

from __future__ import annotations

from animator.dataset.report.data import RunReport
from animator.dataset.report.words import counted, share

STAGES = {
    "load": "reading the inputs",
    "landmarks": "landmarks",
    "generate": "rendering",
    "measure": "measuring quality",
    "other": "the rest",
}
_ATTEMPTS = 6  # numbers of attempts that are told apart


def stage_shares(report: RunReport) -> list[tuple[str, float, str]]:
    """The class of each stage, its share of all work, and its name."""
    whole = sum(stage.seconds for stage in report.stages)
    return [
        (f"s{place}", stage.seconds / whole, STAGES.get(stage.name, stage.name))
        for place, stage in enumerate(report.stages, 1)
    ]


def saved(report: RunReport) -> dict[str, str]:
    """What caches and earlier attempts saved, in words."""
    reuse = report.reuse
    resumed = "nothing"
    if reuse.resumed:
        frames = counted(reuse.resumed_frames, "frame")
        resumed = f"{counted(reuse.resumed, 'sample')}, {frames} that were not rendered again"
    attempts = [
        f"{counted(samples, 'sample')} took {attempts}"
        for attempts, samples in reuse.attempts[:_ATTEMPTS]
    ]
    return {
        "Landmarks": f"{share(reuse.cached, reuse.known)} of the samples found those of their "
        "driving video in the cache",
        "Extractions": f"{report.pace.extractions:,} in the shards that are complete",
        "Driving videos": f"{reuse.driving:,} different",
        "Resumed": resumed,
        "Attempts": "; ".join(attempts) or "–",
    }
