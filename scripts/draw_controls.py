"""Draw the sheets of docs/controls.md: what the options of a result do, on the sample media.

Each sheet shows the portrait, the driving frame and the result for three values of an option, made
as `animator run` makes it. With names of sheets only these are drawn.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from animator.animation.faces.following import driving_frames
from animator.animation.faces.plan import face_size, make_plan, plan_motion, view_of
from animator.animation.inputs import open_inputs
from animator.animation.render import VIDEO, SegmentRenderer
from animator.faces.blinks import blink_seed, closures
from animator.faces.crop import resize
from animator.media.decode import VideoReader
from animator.samples.media import write_samples
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.watch import Watch
from animator.workspace.attempt import Workspace
from gfla.arrays import Picture

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
        whole: whether the whole portrait is shown as the source, not what a crop shows of it.
        part: the part of every result that is shown, by its edges left, top, right and bottom in
            units of the result.
    """

    values: dict[str, dict[str, Any]]
    moment: float = MOMENT
    whole: bool = False
    part: tuple[float, float, float, float] = (0, 0, 1, 1)


SHEETS = {
    "strength": Sheet({f"--strength {x}": {"strength": float(x)} for x in ("0.5", "1", "1.5")}),
    "head": Sheet({f"--head {x}": {"head": float(x)} for x in ("0", "1", "1.6")}),
    "expression": Sheet({f"--expression {x}": {"expression": float(x)} for x in ("0", "1", "1.6")}),
    "regions": Sheet(
        {f"--regions {names}": {"regions": names} for names in ("head", "mouth,jaw", "eyes,brows")},
        1.2,
    ),
    "size": Sheet(
        {
            **{f"--size {x}": {"size": x} for x in (128, 256)},
            "--size auto, 352": {"size": "auto"},
        },
        part=(0.3, 0.33, 0.7, 0.73),
    ),
    "margin": Sheet(
        {f"--margin {x}": {"margin": float(x)} for x in ("1.75", "2.4", "3.4")}, whole=True
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
    with tempfile.TemporaryDirectory() as folder:
        drawer = Drawer(Path(folder), Settings.from_environment())
        for name in options.sheets:
            tiles = drawer.blinks() if name == "blink" else drawer.values(SHEETS[name])
            path = options.output / f"{name}.jpg"
            joined(tiles).save(path, quality=82, optimize=True)
            print(f"{path}: {path.stat().st_size // 1024} KB")


class Drawer:
    """Renders frames of one job with one option or another.

    Args:
        folder: for the sample and for what is rendered.
        settings: how the networks run.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._watch = Watch(lambda progress: None, lambda: False)
        places = [Location(path) for path in (*write_samples(folder), f"{folder}/out.mp4")]
        self._spec = JobSpec(*places, end="4", anchor="first", crf=2)
        inputs = open_inputs(self._spec, settings)
        self._plan = make_plan(self._spec, inputs, settings, self._watch)
        points = self._plan.driving.landmarks.points
        self._seed = blink_seed(self._plan.hashes["source"], points)

    def values(self, sheet: Sheet) -> dict[str, Picture]:
        """Pictures by what stands below: source, driving frame, three values."""
        number = int(np.searchsorted(self._plan.driving.seconds, sheet.moment))
        results = {words: self._rendered(number, what) for words, what in sheet.values.items()}
        return {
            **self._given(number, sheet),
            **{words: tile(picture, sheet.part) for words, picture in results.items()},
        }

    def blinks(self) -> dict[str, Picture]:
        """A blink at its deepest, half-way up, and the same moment without it."""
        closed = closures(self._plan.driving.seconds, self._seed)
        deepest = int(closed.argmax())
        rising = deepest + int(np.argmin(np.abs(closed[deepest : deepest + 9] - 0.5)))
        return {
            **self._given(deepest, Sheet({})),
            "--blink off": tile(self._rendered(deepest, BLINK | {"blink": "off"})),
            "--blink auto": tile(self._rendered(deepest, BLINK)),
            "a moment later": tile(self._rendered(rising, BLINK)),
        }

    def _given(self, number: int, sheet: Sheet) -> dict[str, Picture]:
        """The two inputs."""
        plan, limits = self._plan, self._settings.limits()
        kept = plan.kept[number : number + 1]
        with closing(driving_frames(self._spec, plan.driving, kept, limits)) as frames:
            driving = next(frames)
        source = plan.source.picture
        seen = source if sheet.whole else view_of(self._spec, plan).picture(source)
        return {"source": tile(seen, sheet.part), "driving": tile(driving)}

    def _rendered(self, number: int, options: dict[str, Any]) -> Picture:
        """A frame of the result, made with some of those before it."""
        spec, plan = replace(self._spec, **options), self._plan
        motion = plan_motion(spec, plan.source, plan.driving, self._seed)
        chosen = np.array([*range(max(number - 4 * STEP, 0), number, STEP), number])
        face = replace(plan.face, targets=motion.targets[chosen], kept=motion.kept[chosen])
        time = replace(plan.time, pts=[plan.time.pts[index] for index in chosen])
        size = face_size(spec, plan.source, plan.generator)
        plan = replace(plan, faces=(face,), time=time, size=size)
        workspace = Workspace.temporary(str(self._folder / "out.mp4"))
        try:
            renderer = SegmentRenderer(spec, plan, workspace, self._settings, self._watch)
            with self._watch.stage("generate", renderer.total):
                renderer.render(0)
            renderer.join()
            with VideoReader(workspace.path / VIDEO) as reader:
                return [picture for batch in reader for picture in batch.pixels][-1]
        finally:
            workspace.remove()


def tile(picture: Picture, part: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Picture:
    """A part of a picture as a sheet shows it."""
    height, width = picture.shape[:2]
    left, top, right, bottom = part
    columns = slice(round(left * width), round(right * width))
    rows = slice(round(top * height), round(bottom * height))
    return resize(picture[rows, columns], TILE, TILE)


def joined(tiles: dict[str, Picture]) -> Image.Image:
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
