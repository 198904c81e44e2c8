"""HEIF pictures, which phones and cameras make (HEIC, HIF), whole and upright."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.media.colour import over_white
from animator.media.profiles import Profile, photo_tags, shown_picture, srgb
from animator.settings import MediaLimits

_MOST_BYTES = 512 * 1024**2  # libheif reads a file as a whole


def read_heif(
    path: str | Path, file: io.FileIO, limits: MediaLimits
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The main picture of a HEIF file, its tiles put together, turned as it says.

    The orientation of its EXIF block is that of the coded picture, as the standard has it, and is
    not applied again.

    Returns:
        uint8 H W 3 RGB, and codes of `animator.media.notes.NOTES`.

    Raises:
        AnimatorError: too_large, unsupported_format for a coding that is not known,
            unreadable_image, out_of_memory.
    """
    import pillow_heif

    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        message = f"{quoted(path)} is a HEIF picture of more than {_MOST_BYTES} bytes."
        raise AnimatorError("too_large", message)
    try:
        opened = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        picture = opened[opened.primary_index]
        _check_size(path, picture.size, limits)
        pixels = np.asarray(picture)
    except AnimatorError:
        raise
    except MemoryError as error:
        message = f"{quoted(path)} needs more memory than there is."
        raise AnimatorError("out_of_memory", message, retryable=True) from error
    except Exception as error:  # noqa: BLE001 - a parser of hostile bytes may raise anything
        raise _unreadable(path, error) from error
    return _shown(pixels.reshape(*pixels.shape[:2], -1), picture.mode, picture.info)


def _check_size(path: str | Path, size: tuple[int, int], limits: MediaLimits) -> None:
    width, height = size
    if width * height > limits.max_image_pixels:
        message = (
            f"{quoted(path)} has {width} x {height} pixels; "
            f"{limits.max_image_pixels} in all are allowed."
        )
        raise AnimatorError("too_large", message)


def _unreadable(path: str | Path, error: Exception) -> AnimatorError:
    reason = str(error).strip().rstrip(".")
    if "unsupported" in reason.lower() or "not supported" in reason.lower():
        message = f"{quoted(path)} is a HEIF (HEIC) picture of a kind that is not known: {reason}."
        return AnimatorError("unsupported_format", f"{message} Save it as JPEG or PNG.")
    message = f"{quoted(path)} is a HEIF (HEIC) picture that cannot be read: {reason}."
    return AnimatorError("unreadable_image", message)


def _shown(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], mode: str, info: dict[str, object]
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    deep = pixels.dtype != np.uint8
    depth = int(str(info.get("bit_depth", 16)))
    white = ((1 << depth) - 1) << (16 - depth) if deep and depth < 16 else 65535
    colours = mode.partition(";")[0]
    alpha = pixels[..., -1] if colours.endswith(("A", "a")) else None
    rgb = pixels[..., :1].repeat(3, 2) if colours[0] in "LI" else pixels[..., :3]
    numbers, icc = info.get("nclx_profile"), info.get("icc_profile")
    tags = None
    if isinstance(numbers, dict):
        tags = photo_tags(int(numbers["color_primaries"]), int(numbers["transfer_characteristics"]))
    tags = tags or photo_tags(1, 1)
    assert tags is not None
    notes: tuple[str, ...] = ("hdr",) if tags.hdr else ()
    if isinstance(icc, bytes) and icc:
        plain = photo_tags(1, 1)
        assert plain is not None
        grey = colours[0] in "LI"
        eight = shown_picture(rgb, plain, white)
        image = Image.fromarray(np.ascontiguousarray(eight[..., 0] if grey else eight))
        shown, notes = srgb(image, Profile(icc))
    else:
        shown = shown_picture(rgb, tags, white)
    if alpha is None:
        return shown, notes
    if deep:
        alpha = (alpha >> 8).astype(np.uint8)
    if colours.endswith("a"):  # the colours are multiplied by it already
        lit = shown.astype(np.uint16) + (255 - alpha.astype(np.uint16))[..., None]
        return np.minimum(lit, 255).astype(np.uint8), notes
    return over_white(shown, np.ascontiguousarray(alpha).astype(np.uint8)), notes
