"""Pictures of any common kind as plain RGB."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.files.output import write_whole
from animator.media.container import refuse_scripts
from animator.settings import DEFAULT_LIMITS, MediaLimits

# No format that runs a program (EPS, WMF) or whose decoder hardly anyone looks at.
_WANTED = {"PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000"}


def read_still(
    path: str | Path, limits: MediaLimits = DEFAULT_LIMITS
) -> npt.NDArray[np.uint8] | None:
    """Read a picture, or the first one of an animated picture.

    The EXIF orientation is applied, transparency is laid over white, CMYK goes through the
    embedded colour profile where there is one, and deeper greys are scaled to 8 bits.

    Returns:
        uint8 H W 3, RGB; None if the file is not a picture at all.

    Raises:
        AnimatorError: those of `animator.files.local.open_file`, too_large (from the header,
            before anything is decoded), unreadable_image, unsupported_format for playlists and
            scripts, out_of_memory.
    """
    with open_file(path, limits) as file:
        refuse_scripts(path, file)
        try:
            image = Image.open(io.BufferedReader(file), formats=_formats())
        except UnidentifiedImageError:
            return None
        except Image.DecompressionBombError as error:
            message = f"{quoted(path)} has too many pixels; {limits.max_image_pixels} are allowed."
            raise AnimatorError("too_large", message) from error
        except Exception as error:  # noqa: BLE001 - a parser of hostile bytes may raise anything
            raise _damaged(path, error) from error
        width, height = image.size
        if width * height > limits.max_image_pixels:
            message = (
                f"{quoted(path)} has {width} x {height} pixels; "
                f"{limits.max_image_pixels} in all are allowed."
            )
            raise AnimatorError("too_large", message)
        try:
            image.load()
            return _to_rgb(_upright(image))
        except MemoryError as error:
            message = f"{quoted(path)} needs more memory than there is."
            raise AnimatorError("out_of_memory", message, retryable=True) from error
        except Exception as error:  # noqa: BLE001
            raise _damaged(path, error) from error


@cache
def _formats() -> list[str]:
    """The wanted formats that this build of Pillow has."""
    Image.init()
    return sorted(_WANTED & Image.OPEN.keys())


def _damaged(path: str | Path, error: Exception) -> AnimatorError:
    return AnimatorError("unreadable_image", f"{quoted(path)} is a damaged picture: {error}.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - a damaged EXIF block does not make the picture useless
        return image


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_to_eight_bits(np.asarray(image))[..., None], 3, axis=2)
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _to_eight_bits(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Grey of more than 8 bits, whose depth shows only in its type and its largest value."""
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(values.max(initial=0.0))
    if grey.dtype == np.uint16 or largest > 255:
        scale = 255 / max(65535, largest)
    elif grey.dtype.kind == "f" and largest <= 1:
        scale = 255
    else:
        scale = 1
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


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
