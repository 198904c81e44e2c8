"""Runs of a data set as a report meets them: rows, faults, statistics of shards, little videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.dataset.report.data import RunReport, summarise
from animator.dataset.rows import Row, make_row
from animator.dataset.samples import Fault, Sample, SampleOutcome
from animator.media.encode import VideoWriter
from animator.record import JobError
from animator.samples.media import pose_at
from animator.samples.puppet import Puppet

BEGAN = datetime(2026, 3, 7, 21, 4, tzinfo=UTC)
SHARD = 25
HOSTILE = "<script>alert(1)</script>"
_LOOKS = 6
_FACE = (slice(20, 340), slice(76, 396))  # rows and columns of the photo
_FAILURES = (
    ("no_face", "No face was found in '/data/portraits/{name}.png'."),
    ("no_face", "No face was found in any frame of '/data/driving/walk-{place}.mp4'."),
    ("unreadable_video", "'/data/driving/take-{place}.mp4' breaks off after 3.2 s."),
    (
        "too_long",
        "'/data/driving/lecture.mp4' has 7,200 s and 216,000 frames or more; 600 s allowed.",
    ),
    ("storage_unavailable", "s3://portraits/{name}.png cannot be reached: the store timed out."),
)
_FAULTS = (
    Fault(19, "duplicate_id", "The id 'ada-0011' was taken by row 12.", "ada-0011"),
    Fault(57, "no_such_file", "'/data/portraits/grace.jpg' does not exist.", "grace-0057"),
    Fault(58, "no_such_file", "'/data/portraits/grace.jpg' does not exist.", "grace-0058"),
    Fault(140, "invalid_id", "The id 'a/b' has a '/'; letters, digits, '_' and '-' are allowed."),
)


def make_rows(count: int, seed: int = 7) -> list[Row]:
    """Rows of a plausible run: most succeeded, some rejected by their quality, some failed."""
    random = np.random.default_rng(seed)
    return [_row(number, random) for number in range(count)]


def make_shards(rows: Sequence[Row], at_once: int = 2) -> list[dict[str, Any]]:
    """The statistics of the shards that these rows fill, with a pause in the middle of the run."""
    shards: list[dict[str, Any]] = []
    for number in range(len(rows) // SHARD):
        part = rows[number * SHARD : (number + 1) * SHARD]
        seconds = sum(row["seconds"] or 0.5 for row in part)
        # Shards run so many at a time; those before this one on its track come first.
        free = shards[number - at_once]["ended"] if number >= at_once else BEGAN.isoformat()
        began = datetime.fromisoformat(free)
        if number == len(rows) // SHARD // 2:
            began += timedelta(minutes=3)
        states = [row["state"] for row in part]
        shards.append(
            {
                "shard": number,
                "samples": len(part),
                **{state: states.count(state) for state in ("succeeded", "failed", "rejected")},
                "frames": sum(row["frames"] or 0 for row in part),
                "bytes": sum(row["bytes"] or 0 for row in part),
                "seconds": seconds,
                "began": began.isoformat(),
                "ended": (began + timedelta(seconds=seconds / 2)).isoformat(),
                "failures": {},
                "extractions": 6 if number == 0 else 1,
            }
        )
    return shards


def make_videos(folder: Path, frames: int = 24, size: int = 256) -> list[bytes]:
    """MP4 files of a talking face in several lights, the last ones blurred and shaking."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    puppet = Puppet(data.astronaut())
    pictures = [
        cv2.resize(puppet.render(pose_at(6 * (place + 0.5) / frames))[_FACE], (size, size))
        for place in range(frames)
    ]
    return [_video(folder / f"{look}.mp4", pictures, look) for look in range(_LOOKS)]


def video_for(videos: Sequence[bytes]) -> Callable[[Row], bytes]:
    """Gives a row one of the videos, the worse the less its measures are worth."""

    def video_of(row: Row) -> bytes:
        quality = row["sharpness"] if row["sharpness"] is not None else 140
        bad = quality < 90
        kinds = videos[_LOOKS // 2 :] if bad else videos[: _LOOKS // 2]
        return kinds[row["number"] % len(kinds)]

    return video_of


def make_report(folder: Path, count: int = 212, total: int = 320) -> RunReport:
    """The report of a run that is going on."""
    rows = make_rows(count)
    shards = make_shards(rows)
    return summarise(
        title="Portraits, spring",
        options={
            "manifest": "/data/portraits-spring.csv",
            "out": "/data/sets/spring",
            "weights": "default",
            "min_identity": 0.55,
            "shard_size": SHARD,
            "priority": "low",
            "measures": True,
        },
        total=total,
        rows=rows,
        faults=_FAULTS,
        shards=shards,
        now=datetime.fromisoformat(max(shard["ended"] for shard in shards)) + timedelta(seconds=48),
        video_of=video_for(make_videos(folder)),
    )


def hostile_report(videos: Sequence[bytes]) -> RunReport:
    """A run whose every text tries to get out, or to stretch the page."""
    endless = "w" * 5000
    rows = make_rows(60)
    for number, row in enumerate(rows):
        row["id"] = f'{HOSTILE}"onload="x' if number % 2 else endless
        row["driving"] = HOSTILE
        if row["code"]:
            row["code"], row["reason"] = HOSTILE, f"{HOSTILE}\n\udce9\u202e{endless}"
    return summarise(
        title=f"{HOSTILE}{endless}",
        options={HOSTILE: {"a": HOSTILE}, endless: endless, "style": "</style>" + HOSTILE},
        total=10**12,
        rows=rows,
        faults=[
            Fault(1, f"'{endless}", f"</div>{HOSTILE}", HOSTILE),
            Fault(2, "", endless, endless),
        ],
        shards=make_shards(rows),
        now=BEGAN + timedelta(hours=2),
        video_of=video_for(videos),
    )


def _row(number: int, random: np.random.Generator) -> Row:
    name = f"{('ada', 'grace', 'mary', 'emmy')[number % 4]}-{number:04}"
    sample = Sample(name, number + 1, f"/data/portraits/{name}.png", f"/d/take-{number % 9}.mp4")
    skill = random.normal()
    chance = random.random()
    shard = number // SHARD
    if chance < 0.06:
        code, sentence = _FAILURES[int(random.integers(len(_FAILURES)))]
        error = JobError(code, sentence.format(name=name, place=number % 9))
        return make_row(sample, number, shard, SampleOutcome(name, "failed", error, attempts=2))
    frames = int(random.integers(90, 400))
    result = {
        "frames": frames,
        "seconds": frames / random.uniform(9, 13) * (6 if chance > 0.99 else 1),
        "resumed": 60 if chance > 0.97 else 0,
        "cached": ("driving",) if number >= 9 else (),
        "warnings": (),
        "hashes": {"driving": f"{number % 9:064}"},
        "timings": {
            "load": 0.2 + random.random() / 9,
            "landmarks": 0.3 if number >= 9 else frames / 30,
            "generate": frames / 16,
            "measure": frames / 90,
        },
        "quality": {
            "face_coverage": float(min(1.0, 0.985 + 0.02 * skill + 0.01 * random.normal())),
            "landmark_error": float(3.1 * math.exp(-0.35 * skill + 0.3 * random.normal())),
            "identity": float(1 / (1 + math.exp(-1.3 - 0.5 * skill - 0.3 * random.normal()))),
            "sharpness": float(140 * math.exp(0.3 * skill + 0.25 * random.normal())),
            "jitter": float(0.6 * math.exp(-0.4 * skill + 0.35 * random.normal())),
            "mouth_opening": float(2.0 * math.exp(-0.3 * skill + 0.3 * random.normal())),
            "eyes_opening": float(4.0 * math.exp(-0.3 * skill + 0.3 * random.normal())),
        },
    }
    error, state = None, "succeeded"
    if result["quality"]["identity"] < 0.62:
        message = f"identity is {result['quality']['identity']:.2f}; at least 0.62 is asked for."
        error, state = JobError("low_quality", message), "rejected"
    outcome = SampleOutcome(name, state, error, result, 2 if chance > 0.97 else 1)
    file = f"shards/{shard:05}.tar" if state == "succeeded" else None
    return make_row(sample, number, shard, outcome, file=file, size=frames * 2100, offset=512)


def _video(path: Path, pictures: Sequence[NDArray[np.uint8]], look: int) -> bytes:
    gains = np.array([(1, 1, 1), (1.06, 1, 0.86), (0.84, 0.95, 1.08)][look % 3], np.float32)
    random = np.random.default_rng(look)
    shown = []
    for picture in pictures:
        if look >= _LOOKS // 2:
            shift = np.float32([[1, 0, random.normal() * 5], [0, 1, random.normal() * 5]])
            height, width = picture.shape[:2]
            picture = cv2.warpAffine(
                cv2.GaussianBlur(picture, (0, 0), 1 + 1.5 * (look - 2)), shift, (width, height)
            )
        shown.append(np.clip(picture * gains, 0, 255).astype(np.uint8))
    height, width = shown[0].shape[:2]
    time_base = Fraction(1, 25)
    with VideoWriter(path, width=width, height=height, time_base=time_base) as writer:
        for pts, frame in enumerate(shown):
            writer.write(frame, pts)
    return path.read_bytes()
