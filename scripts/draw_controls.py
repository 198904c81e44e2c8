"""Draw the sheets of docs/controls.md: what the options of motion do, on the sample media.

Each sheet shows the portrait, the driving frame and the result for three values of an option. With
names of sheets only these are drawn.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from animator.animation.following import driving_frames
from animator.animation.inputs import open_inputs
from animator.animation.plan import JobPlan, make_plan, plan_motion
from animator.faces.blinks import blink_seed, closures
from animator.faces.crop import crop_square, resize
from animator.samples.media import write_samples
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.watch import Watch

FOLDER = Path(__file__).parent.parent / "docs" / "controls"
TILE, GAP, WORDS, TYPE = 232, 8, 34, 19
STEP = 3
"""Frames between two that are rendered on the way to the one that is shown."""
MOMENT = 1.3
"""Seconds into the driving video: the head is turned and the mouth open."""


@dataclass(frozen=True)
class Sheet:
    """What a sheet compares.

    Attributes:
        values: options of a job by what stands below the picture.
        moment: seconds into the driving video.
    """

    values: dict[str, dict[str, Any]]
    moment: float = MOMENT


SHEETS = {
    "strength": Sheet({f"--strength {x}": {"strength": float(x)} for x in ("0.5", "1", "1.5")}),
    "head": Sheet({f"--head {x}": {"head": float(x)} for x in ("0", "1", "1.6")}),
    "expression": Sheet({f"--expression {x}": {"expression": float(x)} for x in ("0", "1", "1.6")}),
    "regions": Sheet(
        {f"--regions {names}": {"regions": names} for names in ("head", "mouth,jaw", "eyes,brows")},
        1.2,
    ),
}
BLINK = {"regions": "mouth,jaw", "blink": "auto"}


def main() -> None:
    """Make the sample, plan once, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheets", nargs="*", default=[*SHEETS, "blink"])
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    settings = Settings.from_environment()
    with tempfile.TemporaryDirectory() as folder:
        source, driving = write_samples(folder)
        places = [Location(path) for path in (source, driving, f"{folder}/none.mp4")]
        spec = JobSpec(*places, end="4", anchor="first")
        watch = Watch(lambda progress: None, lambda: False)
        plan = make_plan(spec, open_inputs(spec, settings), settings, watch)
        for name in options.sheets:
            tiles = blink_tiles(spec, plan) if name == "blink" else option_tiles(spec, plan, name)
            path = options.output / f"{name}.jpg"
            joined(tiles).save(path, quality=82, optimize=True)
            print(f"{path}: {path.stat().st_size // 1024} KB")


def option_tiles(spec: JobSpec, plan: JobPlan, name: str) -> dict[str, NDArray[np.uint8]]:
    """Pictures by what stands below: source, driving frame, three values."""
    sheet = SHEETS[name]
    number = int(np.searchsorted(plan.driving.seconds, sheet.moment))
    return {
        **given(spec, plan, number),
        **{words: rendered(spec, plan, number, what) for words, what in sheet.values.items()},
    }


def seed_of(plan: JobPlan) -> int:
    """The seed of a job's blinks."""
    return blink_seed(plan.hashes["source"], plan.driving.landmarks.points)


def blink_tiles(spec: JobSpec, plan: JobPlan) -> dict[str, NDArray[np.uint8]]:
    """A blink at its deepest, half-way up, and the same moment without it."""
    closed = closures(plan.driving.seconds, seed_of(plan))
    deepest = int(closed.argmax())
    rising = deepest + int(np.argmin(np.abs(closed[deepest : deepest + 9] - 0.5)))
    return {
        **given(spec, plan, deepest),
        "--blink off": rendered(spec, plan, deepest, BLINK | {"blink": "off"}),
        "--blink auto": rendered(spec, plan, deepest, BLINK),
        "a moment later": rendered(spec, plan, rising, BLINK),
    }


def given(spec: JobSpec, plan: JobPlan, number: int) -> dict[str, NDArray[np.uint8]]:
    """The two inputs."""
    limits = Settings.from_environment().limits()
    with closing(
        driving_frames(spec, plan.driving, plan.kept[number : number + 1], limits)
    ) as frames:
        driving = next(frames)
    source = plan.source
    return {
        "source": crop_square(source.picture, source.square, TILE),
        "driving": resize(driving, TILE, TILE),
    }


def rendered(
    spec: JobSpec, plan: JobPlan, number: int, options: dict[str, Any]
) -> NDArray[np.uint8]:
    """A frame of the result, with some of those before it."""
    motion = plan_motion(replace(spec, **options), plan.source, plan.driving, seed_of(plan))
    state = plan.start()
    for index in (*range(max(number - 4 * STEP, 0), number, STEP), number):
        state, picture = plan.generator.step(state, motion.targets[index])
    return resize(picture, TILE, TILE)


def joined(tiles: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """One row of pictures with words below."""
    page = Image.new("RGB", (len(tiles) * (TILE + GAP) - GAP, TILE + WORDS), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(TYPE)
    for column, (words, picture) in enumerate(tiles.items()):
        left = column * (TILE + GAP)
        page.paste(Image.fromarray(picture), (left, 0))
        pen.text((left + TILE / 2, TILE + WORDS / 2), words, "black", font, anchor="mm")
    return page


if __name__ == "__main__":
    main()
