"""The environment of a farm under test, and the kinds of its jobs."""

from __future__ import annotations

from pathlib import Path

from animator.broker.embedded import EmbeddedRedis
from animator.spec import JobSpec
from tests.chaos.plan import Plan

LEASE_SECONDS = 3
SEGMENT_FRAMES = 6
CLIP_SECONDS = 0.8
MODES = ("crop", "side-by-side", "paste-back")


def environment(folder: Path) -> dict[str, str]:
    """What the environment of this process, and so of its workers, has to say."""
    (folder / "tmp").mkdir()
    return {
        "ANIMATOR_STATE_DIR": str(folder / "state"),
        "ANIMATOR_BROKER_URL": EmbeddedRedis(folder / "state").url,
        "ANIMATOR_LEASE_SECONDS": str(LEASE_SECONDS),
        "ANIMATOR_SEGMENT_FRAMES": str(SEGMENT_FRAMES),
        "ANIMATOR_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder / "tmp"),
    }


def specs(plan: Plan, media: tuple[Path, Path], weights: Path) -> list[JobSpec]:
    """The kinds of jobs; their outputs are still to be named."""
    source, driving = map(str, media)
    return [
        JobSpec(
            source,
            driving,
            "/",
            start=f"{number * CLIP_SECONDS / 2:.2f}",
            end=f"{(number / 2 + 1) * CLIP_SECONDS:.2f}",
            output_mode=MODES[number % len(MODES)],
            size=128,
            margin=1.75,
            weights=str(weights),
        )
        for number in range(plan.specs)
    ]
