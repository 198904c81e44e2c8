"""Data to train on: the packs that travelled along, or a made-up one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.data import astronaut

from animator.faces.detectors.mean_face import MEAN_FACE
from gfla.data.packs import write_pack
from gpu.parts import Setting
from gpu.sheet import Sheet

PACKS = "packs"
"""The folder of `train` and `held-out` in what travels along."""
FEATURES = "features.safetensors"
"""VGG's weights there."""
CHECKPOINT = "checkpoint.safetensors"
"""The weights there that training begins with, if not the default ones."""
_FRAMES, _SIDE = 40, 256


def training_data(setting: Setting, sheet: Sheet) -> Path:
    """A folder of packs; says so if it is made up."""
    packs = travelled(setting, PACKS)
    if packs is not None:
        return packs
    sheet.note("No packs travelled along: the data is a photo that is moved about.")
    folder = setting.folder / PACKS
    made_up(folder / "train" / "photo.npz")
    return folder


def travelled(setting: Setting, name: str) -> Path | None:
    """A file or folder of what travelled along, if it is there."""
    path = None if setting.pack is None else setting.pack / name
    return path if path is not None and path.exists() else None


def made_up(path: Path) -> None:
    """A photo that is moved about, with landmarks that move along: right sizes, little to learn."""
    path.parent.mkdir(parents=True)
    turns = np.linspace(0, 2 * np.pi, _FRAMES)
    shifts = np.stack([8 * np.cos(turns), 8 * np.sin(turns)], 1).round().astype(int)
    photo = astronaut()
    frames = [photo[8 + y : 8 + y + _SIDE, 96 - x : 96 - x + _SIDE] for x, y in shifts]
    landmarks = np.asarray(MEAN_FACE, np.float32) + np.stack([shifts[:, 0], -shifts[:, 1]], 1)[
        :, None
    ].astype(np.float32) / np.float32(_SIDE)
    meta = {"identity": "astronaut", "licence": "public domain", "source": "NASA", "kind": "clip"}
    write_pack(path, frames, landmarks, meta)
