"""Pictures as files: what a protocol does to them before they are compared."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gfla.arrays import Picture
from gfla.errors import GflaError
from gfla.evaluation.protocol import PictureOptions

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resized(picture: Picture, options: PictureOptions) -> Picture:
    """A picture H W 3 at the protocol's size, by its filter; unchanged where it fits."""
    if picture.shape[:2] == (options.height, options.width):
        return picture
    size = options.width, options.height
    return np.asarray(Image.fromarray(picture).resize(size, _FILTERS[options.resize]), np.uint8)


def stored(picture: Picture, options: PictureOptions) -> Picture:
    """A picture as it comes back from the protocol's file format; what that loses counts."""
    if options.file_format != "jpeg":  # PNG gives back what it got
        return picture
    file = io.BytesIO(encoded(picture, options))
    return np.asarray(Image.open(file).convert("RGB"), np.uint8)


def encoded(picture: Picture, options: PictureOptions) -> bytes:
    """A picture in the protocol's file format, PNG where it names none."""
    file = io.BytesIO()
    if options.file_format == "jpeg":
        coding = {"quality": options.jpeg_quality, "subsampling": options.jpeg_chroma}
        Image.fromarray(picture).save(file, format="JPEG", **coding)
    else:
        Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def suffix(options: PictureOptions) -> str:
    """Of the files that ``encoded`` makes."""
    return ".jpg" if options.file_format == "jpeg" else ".png"


def read_picture(path: Path) -> Picture:
    """A picture file as uint8 H W 3 RGB.

    Raises:
        GflaError: ``invalid_data`` if it is none.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise GflaError("invalid_data", f"{path} is no picture: {error}") from error


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, by name.

    Raises:
        GflaError: ``invalid_data`` if there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise GflaError(
            "invalid_data", f"there are no pictures ({', '.join(SUFFIXES)}) in {folder}"
        )
    return found


def as_batch(pictures: Sequence[Picture]) -> Tensor:
    """Pictures H W 3 as uint8 B 3 H W."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def as_picture(pixels: Tensor) -> Picture:
    """uint8 3 H W as a picture H W 3."""
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
