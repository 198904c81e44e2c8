"""Pack footage of faces for training: clips and stills in, steady square crops with landmarks out.

MANIFEST is a CSV with the columns path, kind (face_video or portrait), identity and license, and
perhaps split, beside the media. Rows under a permissive licence go to OUT/train, people who occur
only under other licences to OUT/held-out, so that nobody is on both sides; --test-people keeps some
apart for the test of a finished model. What is left out is
listed in OUT/report.txt, file by file in OUT/report.json; stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from animator.cli.progress import counted
from animator.errors import AnimatorError
from animator.footage.faces import PackOptions, prepare_clips
from animator.footage.regions import prepare_regions
from animator.footage.selection import Quality
from gfla.errors import GflaError


def main() -> None:
    """Parse, pack, report."""
    standard = PackOptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stills", type=Path, help="folder of photos, each of another person")
    parser.add_argument("--stills-license", default="MIT")
    parser.add_argument(
        "--test-people", type=Path, help="file of identities, one a line, that go to OUT/test"
    )
    parser.add_argument(
        "--regions", type=Path, metavar="DIR", help="gets mouths and eyes cut out, for region heads"
    )
    parser.add_argument("--detector", default=standard.detector)
    parser.add_argument("--size", type=int, default=standard.size, help="side of the crops")
    parser.add_argument("--smoothing", type=float, default=standard.smoothing, help="0 to 1")
    parser.add_argument("--smallest-face", type=float, default=standard.quality.smallest_face)
    parser.add_argument("--sharpness", type=float, default=standard.quality.sharpness)
    parser.add_argument("--turn", type=float, default=standard.quality.turn)
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        report = prepare_clips(
            options.manifest,
            options.out,
            PackOptions(
                detector=options.detector,
                size=options.size,
                smoothing=options.smoothing,
                quality=Quality(options.smallest_face, options.sharpness, options.turn),
            ),
            stills=options.stills,
            stills_licence=options.stills_license,
            test_people=_identities(options.test_people),
            workers=options.workers,
            display=counted,
        )
        if options.regions is not None:
            prepare_regions(options.out, options.regions, workers=options.workers, display=counted)
    except (AnimatorError, GflaError) as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    print(report.text())


def _identities(path: Path | None) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, UnicodeDecodeError) as error:
        raise GflaError("no_data", f"{path} cannot be read: {error}") from error
    return {line.split("#")[0].strip() for line in lines} - {""}


if __name__ == "__main__":
    main()
