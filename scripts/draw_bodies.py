"""Draw the joints of a video over its frames, or sheets of retargeting.

Without arguments: the sheet of docs/persons.md, of made-up dancers. With a video: its joints, found
by a detector or read from a file (--poses); with --onto PICTURE besides, that person moved by them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from animator.media.decode import MediaLimits, VideoReader, read_image
from animator.persons.bodies import make_body_detector
from animator.persons.body import BodyDetector
from animator.persons.body_sheets import TILES, Case, joints_sheet, retargeting_sheet, spaced
from animator.persons.gaps import fill_gaps
from animator.persons.smoothing import smooth_joints
from animator.persons.targets import Target, source_joints
from animator.samples.dancer import SHORT, TALL, dance
from animator.watch import Watch
from gfla.arrays import Picture
from gfla.joints import MISSING

SHEET = Path(__file__).parent.parent / "docs" / "persons.jpg"


def main() -> None:
    """Draw what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", nargs="?", help="a video or a folder of pictures")
    parser.add_argument("--poses", help="JSON or CSV of its joints; without, a detector finds them")
    parser.add_argument("--onto", help="a picture of the person to move")
    parser.add_argument("--onto-pose", help="JSON or CSV of that person's joints")
    parser.add_argument("--detector", default="auto", help="auto, blazepose or keypoint-rcnn")
    parser.add_argument("--person", type=int, help="which, from the left; without, the largest")
    parser.add_argument("--smoothing", type=float, default=0.5)
    parser.add_argument("--tiles", type=int, default=TILES)
    parser.add_argument("-o", "--output", type=Path, default=SHEET)
    options = parser.parse_args()
    sheet = _made_up() if options.video is None else _of_video(options)
    Image.fromarray(sheet).save(options.output, quality=85, optimize=True)
    print(f"{options.output}: {options.output.stat().st_size // 1024} KB")


def _made_up() -> Picture:
    seconds = np.arange(40) / 10
    tall, short = dance(TALL, seconds), dance(SHORT, seconds)
    cases = [Case("Tall source, short driver", tall[0], short),
             Case("Short source, tall driver", short[0], tall)]  # fmt: skip
    lines = ["Feet stay on the ground; the left arm, which points at the camera, stays short."]
    return retargeting_sheet("Bodies of another build", lines, cases)


def _of_video(options: argparse.Namespace) -> Picture:
    detector: list[BodyDetector] = []

    def make() -> BodyDetector:
        if not detector:
            detector.append(make_body_detector(options.detector))
        return detector[0]

    # The driver's joints, as found and as used.
    watch = Watch(lambda progress: None, lambda: False)
    target = Target(options.poses or options.video, MediaLimits(), options.person or "largest")
    poses = target.read(make, watch)
    joints = poses.joints
    if poses.there is not None:
        joints = np.where(poses.there[:, None, None], joints, MISSING)
    pts = poses.pts or tuple(range(len(joints)))
    seconds = np.array([float(at * poses.time_base) for at in pts])
    if poses.pts is None:
        seconds = seconds / 25
    calm = smooth_joints(fill_gaps(joints, seconds, "interpolate"), seconds, options.smoothing)
    name = Path(options.video).name
    if options.onto is None:
        wanted = set(spaced(len(joints), options.tiles))
        return joints_sheet(name, [], _frames(options.video, wanted), calm)
    # Somebody else, moved by them.
    picture = read_image(options.onto)
    if options.onto_pose:
        source, _ = source_joints(options.onto_pose, options.onto)
    else:
        source = make().find(picture)[0].joints
    return retargeting_sheet(name, [], [Case(Path(options.onto).stem, source, calm, picture)])


def _frames(video: str, wanted: set[int]) -> dict[int, Picture]:
    with VideoReader(video) as reader:
        pictures = (picture for batch in reader for picture in batch.pixels)
        return {number: picture for number, picture in enumerate(pictures) if number in wanted}


if __name__ == "__main__":
    main()
