"""A picture that appears whole under its name, and says that it is generated."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from animator.files.output import write_whole


def encode_picture(
    picture: NDArray[np.uint8], suffix: str, comment: str, quality: int = 82
) -> bytes:
    """A picture uint8 H W 3 RGB as PNG (suffix .png) or JPEG, with a comment in it."""
    encoded = io.BytesIO()
    image = Image.fromarray(picture)
    if suffix.lower() == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", comment)
        image.save(encoded, format="PNG", optimize=True, pnginfo=info)
    else:
        image.save(
            encoded, format="JPEG", quality=quality, progressive=True, comment=comment.encode()
        )
    return encoded.getvalue()


def write_picture(
    output: Path, picture: NDArray[np.uint8], comment: str, quality: int = 82
) -> None:
    """Write a picture as its suffix says; ``quality`` is JPEG's.

    Raises:
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full.
    """
    write_whole(output, encode_picture(picture, output.suffix, comment, quality))
