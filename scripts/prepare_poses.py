"""Prepare one's own photos and videos of persons for pose transfer: pictures, joints and pairs.

MEDIA is a folder of photos and videos. Their joints come from torchvision's Keypoint R-CNN (its
weights are fetched, or name a file), or from files: --keypoints with a CSV
name:keypoints_y:keypoints_x or path:frame:width:height:keypoints_y:keypoints_x whose names are
relative to MEDIA, --openpose-json with a folder, --alphapose-json with a file or a folder of files
that are called as the videos are. A pair is two pictures of one person: of one file, unless
--identities names a CSV with the columns path and identity. What is skipped is listed in
OUT/report.txt; run it again to go on.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animator.cli.progress import counted
from animator.errors import AnimatorError
from animator.footage.person_media import Media, media_of_folder, media_of_table, read_identities
from animator.footage.persons import FrameOptions, prepare_persons
from gfla.data.pose_tables import read_annotations
from gfla.data.prepare.pose_files import read_pose_json, read_poses
from gfla.data.prepare.preparation import PreparationReport
from gfla.errors import GflaError


def main() -> None:
    """Parse, prepare, report."""
    options = parser().parse_args()
    report = PreparationReport("photos and videos of persons")
    try:
        media, found = find_media(options, report)
        detector = None
        if not found:
            from animator.persons.bodies import make_body_detector

            detector = make_body_detector("auto", options.device, weights=options.weights)
        values = {name: getattr(options, name) for name in vars(FrameOptions())}
        values["size"] = tuple(options.size)
        prepare_persons(
            media,
            options.out,
            frame_options(values),
            report,
            detector=detector,
            workers=options.workers,
            display=counted,
        )
    except (AnimatorError, GflaError) as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    print(report.text())


def frame_options(values: Mapping[str, Any]) -> FrameOptions:
    """The options; what is wrong with one is said by the name that it has here."""
    try:
        return FrameOptions(**values)
    except GflaError as error:
        name = error.message.split(" ", 1)[0]
        if name not in values:
            raise
        flag = f"--{name.replace('_', '-')}"
        raise GflaError(error.code, flag + error.message.removeprefix(name)) from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    poses = parser.add_mutually_exclusive_group()
    poses.add_argument("--keypoints", type=Path, metavar="CSV")
    poses.add_argument("--openpose-json", type=Path, metavar="DIR")
    poses.add_argument("--alphapose-json", type=Path, metavar="FILE|DIR")
    poses.add_argument("--weights", type=Path, help="file of Keypoint R-CNN's weights")
    parser.add_argument("--device", default="auto", help="of the detector: auto, cpu, cuda")
    parser.add_argument("--identities", type=Path, metavar="CSV")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="names to take, such as *.mp4",
    )
    defaults: dict[str, Any] = vars(FrameOptions())
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--frame", choices=("person", "whole"), help="what is cut from a picture")
    parser.add_argument("--margin", type=float, help="around the joints, in parts of their extent")
    parser.add_argument("--every", type=int, help="take every N-th frame of a video")
    parser.add_argument("--max-frames", type=int, help="take at most so many frames of a video")
    parser.add_argument("--min-joints", type=int, help="leave out pictures with fewer")
    parser.add_argument("--pairs-per-picture", type=int)
    parser.add_argument("--pairs", type=int, help="so many in all instead")
    parser.add_argument("--gap", type=int, help="least distance of the frames of a pair")
    parser.add_argument("--held-out", type=float, help="share of the persons")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--png", action="store_true", help="write PNG instead of JPEG")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    parser.set_defaults(**defaults)
    return parser


def find_media(options: argparse.Namespace, report: PreparationReport) -> tuple[list[Media], bool]:
    """The files, and whether their poses are known."""
    if not options.media.is_dir():
        raise GflaError("invalid_data", f"there is no folder {options.media}")
    identities: Mapping[str, str] = {}
    if options.identities:
        identities = read_identities(options.identities)
    broken: list[str] = []
    found = True
    if options.keypoints:
        rows = read_annotations(options.keypoints, broken)
        media = media_of_table(rows, options.media, identities, report)
    else:
        poses = None
        if options.openpose_json:
            poses = read_poses(sorted(options.openpose_json.rglob("*.json")), broken)
        elif options.alphapose_json:
            poses = read_alphapose(options.alphapose_json)
        found = poses is not None
        media = media_of_folder(options.media, identities, report, poses)
    for sentence in broken:
        report.skip("broken row or file of poses", sentence)
    if options.only:
        media = [m for m in media if any(fnmatch.fnmatch(m.name, p) for p in options.only)]
    if not media:
        raise GflaError("invalid_data", f"there is nothing to prepare\n{report.text()}")
    return media, found


def read_alphapose(path: Path) -> dict[str, Any]:
    """Poses of a file, or of a folder of files whose names are those of the videos."""
    if path.is_file():
        return dict(read_pose_json(path))
    return {
        f"{file.stem}/{name}": joints
        for file in sorted(path.rglob("*.json"))
        for name, joints in read_pose_json(file).items()
    }


if __name__ == "__main__":
    main()
