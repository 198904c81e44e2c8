"""Measure a face model by self-reenactment on packed clips of people it has never seen.

Every clip's first frame is animated with the clip's own landmarks. The table compares the result
with copying the source and with warping it piece by piece along the landmarks. `VGG` is a distance
of ImageNet VGG16 features, which is not LPIPS; `landmarks` is how far the face found in the result
lies from the driving one, in percent of the distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from animator.detectors import make_detector
from animator.faces import LandmarkDetector
from animator.weights_library import DEFAULT_WEIGHTS, PUBLISHED_SIZE
from gfla import checkpoint
from gfla.data.faces import FacePack, read_pack
from gfla.evaluation import faces
from gfla.losses.features import VggFeatures
from gfla.losses.perceptual import feature_distance

COLUMNS = ("L1", "VGG", "landmarks %")
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
SHEET_FRAMES = 6


def main() -> None:
    """Parse, render, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of held-out packs")
    parser.add_argument(
        "--features", type=Path, required=True, help="VGG16 weights, safetensors or .pth"
    )
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--frames", type=int, default=60, help="of every clip, at most")
    parser.add_argument("--every", type=int, default=4, help="compare every n-th frame")
    parser.add_argument("--clips", type=int, help="take only so many clips")
    parser.add_argument("--detector", default="dlib")
    parser.add_argument("--sheets", type=Path, help="folder for a picture of every clip")
    parser.add_argument("--json", type=Path, help="also write figures clip by clip")
    options = parser.parse_args()

    packs = [(path.stem, read_pack(path)) for path in sorted(options.data.glob("*.npz"))]
    clips = [(name, pack) for name, pack in packs if len(pack) > 1][: options.clips]
    loaded = checkpoint.load(options.weights)
    size = int(loaded.info.get("structure_size", PUBLISHED_SIZE))
    methods = {
        "copy of the source": faces.copy_source,
        "piecewise-affine warp": faces.affine_warp,
        "model": faces.model(loaded.generator, size),
    }
    features = VggFeatures(LAYERS, "vgg16", options.features)
    detector = make_detector(options.detector)
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in methods}
    for name, clip in track(clips, description="clips"):
        compared = range(1, min(len(clip), options.frames), options.every)
        results = {method: list(render(clip, compared)) for method, render in methods.items()}
        for method, values in measure(clip, compared, results, features, detector).items():
            figures[method].append(values)
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            sheet = draw(clip, compared, list(results.values()))
            cv2.imwrite(str(options.sheets / f"{name}.png"), sheet[..., ::-1])
    identities = {clip.meta["identity"] for _, clip in clips}
    print(f"{len(clips)} clips of {len(identities)} people, every {options.every}th frame")
    print(faces.table(figures, COLUMNS))
    if options.json:
        options.json.write_text(json.dumps({"clips": [n for n, _ in clips], "figures": figures}))


def measure(
    clip: FacePack,
    compared: range,
    results: dict[str, list[faces.Picture]],
    features: VggFeatures,
    detector: LandmarkDetector,
) -> dict[str, tuple[float, ...]]:
    """Means over a clip's frames by method, in the order of the columns."""
    values: dict[str, list[tuple[float, ...]]] = {method: [] for method in results}
    for place, index in enumerate(compared):
        truth = clip.frame(index)
        boxes, rolls = detector.boxes_of(clip.landmarks[index][None] * truth.shape[0] - 0.5)
        wanted, _ = detector.landmarks(truth[None], boxes, rolls)
        with torch.inference_mode():
            target = faces.as_tensor(truth)
            target_features = features(target)
            for method, pictures in results.items():
                found, _ = detector.landmarks(pictures[place][None], boxes, rolls)
                ours = faces.as_tensor(pictures[place])
                values[method].append(
                    (
                        float((ours - target).abs().mean()),
                        float(feature_distance(features(ours), target_features)),
                        faces.landmark_error(found[0], wanted[0]),
                    )
                )
    return {method: tuple(np.mean(rows, 0).tolist()) for method, rows in values.items()}


def draw(clip: FacePack, compared: range, shown: list[list[faces.Picture]]) -> faces.Picture:
    """Truth above the methods' results, some frames from left to right."""
    places = np.linspace(0, len(compared) - 1, min(SHEET_FRAMES, len(compared))).astype(int)
    rows = [[clip.frame(compared[place]) for place in places]]
    rows += [[results[place] for place in places] for results in shown]
    return np.vstack([np.hstack([clip.frame(0), *row]) for row in rows])


if __name__ == "__main__":
    main()
