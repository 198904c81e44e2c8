"""Pictures of any common kind as plain RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.files.output import write_whole
from animator.media.brands import brands, is_avif, is_heif, is_sequence
from animator.media.colour import over_white
from animator.media.container import refuse_scripts
from animator.media.heif import read_heif
from animator.media.profiles import FIRST_BYTES, Profile, profile_of, srgb
from animator.settings import DEFAULT_LIMITS, MediaLimits

# No format that runs a program (EPS, WMF) or whose decoder hardly anyone looks at.
_WANTED = {"PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000"}
_WANTED |= {"ICO"}
_RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")


@dataclass(frozen=True, eq=False)
class Still:
    """A picture that was read.

    Attributes:
        pixels: uint8 H W 3, RGB.
        notes: codes of `animator.media.notes.NOTES`.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_still(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Still | None:
    """Read a picture, or the main one of a file with several, or the first of an animated one.

    It comes whole and as a viewer shows it: its tiles are put together, orientation and colour
    profile are applied, HDR is toned down, transparency is laid over white, and deeper colours
    are scaled to 8 bits.

    Returns:
        The picture; None if the file is not a picture at all.

    Raises:
        AnimatorError: those of `animator.files.local.open_file`, too_large (from the header,
            before anything is decoded), unreadable_image, unsupported_format for playlists,
            scripts and raw photos, out_of_memory.
    """
    with open_file(path, limits) as file:
        refuse_scripts(path, file)
        head = file.read(FIRST_BYTES)
        file.seek(0)
        kinds = brands(head)
        if is_heif(kinds):
            try:
                return Still(*read_heif(path, file, limits))
            except AnimatorError as error:
                if error.code == "too_large" or not is_sequence(kinds):
                    raise
                return None  # it moves, and may be a video without a main picture
        if head.startswith(_RAW) or kinds[:1] == (b"crx ",):
            raise _raw(path)
        image = _open(path, file, limits)
        if image is None and is_avif(kinds) and not is_sequence(kinds):
            raise _damaged(path, "an AVIF header that makes no sense")
        return None if image is None else _loaded(path, image, head, limits)


def _open(path: str | Path, file: io.FileIO, limits: MediaLimits) -> Image.Image | None:
    """The picture, of which only the header is read; None if there is none."""
    try:
        return Image.open(io.BufferedReader(file), formats=_formats())
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        message = f"{quoted(path)} has too many pixels; {limits.max_image_pixels} are allowed."
        raise AnimatorError("too_large", message) from error
    except Exception as error:  # noqa: BLE001 - a parser of hostile bytes may raise anything
        raise _damaged(path, error) from error


def _loaded(path: str | Path, image: Image.Image, head: bytes, limits: MediaLimits) -> Still:
    if image.format == "TIFF":
        _choose_page(path, image)
    width, height = image.size
    if width * height > limits.max_image_pixels:
        message = (
            f"{quoted(path)} has {width} x {height} pixels; "
            f"{limits.max_image_pixels} in all are allowed."
        )
        raise AnimatorError("too_large", message)
    try:
        image.load()
        profile = profile_of(image, head)
        return Still(*_shown(_upright(image), profile))
    except MemoryError as error:
        message = f"{quoted(path)} needs more memory than there is."
        raise AnimatorError("out_of_memory", message, retryable=True) from error
    except Exception as error:  # noqa: BLE001
        raise _damaged(path, error) from error


def _choose_page(path: str | Path, image: Any) -> None:
    """Go to the first page of a TIFF that is not a preview of another; refuse a camera's raw."""
    try:
        larger = [size for size in _subpictures(image) if size > image.size]
        if larger or _DNG in image.tag_v2 or image.tag_v2.get(_PHOTOMETRIC) in _SENSOR:
            raise _raw(path)
        page = 0
        while image.tag_v2.get(_SUBFILE, 0) & 1 and page < _PAGES:
            page += 1
            image.seek(page)
    except EOFError:
        image.seek(0)
    except AnimatorError:
        raise
    except Exception as error:  # noqa: BLE001
        raise _damaged(path, error) from error


_SUBFILE, _PHOTOMETRIC, _SUBPICTURES, _DNG = 254, 262, 330, 50706
_WIDTH, _HEIGHT = 256, 257
_SENSOR = (32803, 34892)  # values of a colour filter array, and of its linear form
_PAGES = 16


def _subpictures(image: Any) -> Iterator[tuple[int, int]]:
    """Sizes of the pictures within a TIFF's first one, among which raw photos keep themselves."""
    offsets = image.tag_v2.get(_SUBPICTURES, ())
    for offset in (offsets if isinstance(offsets, tuple) else (offsets,))[:_PAGES]:
        position = image.fp.tell()
        image.fp.seek(0)
        header = image.fp.read(16 if image.tag_v2._bigtiff else 8)
        image.fp.seek(offset)
        directory = TiffImagePlugin.ImageFileDirectory_v2(header)
        directory.load(image.fp)
        image.fp.seek(position)
        yield int(directory.get(_WIDTH, 0)), int(directory.get(_HEIGHT, 0))


def _raw(path: str | Path) -> AnimatorError:
    message = (
        f"{quoted(path)} is a camera's raw photo (DNG, CR2, NEF, ARW and the like), of which only "
        "a preview could be read. Save it as JPEG."
    )
    return AnimatorError("unsupported_format", message)


@cache
def _formats() -> list[str]:
    """The wanted formats that this build of Pillow has."""
    Image.init()
    return sorted(_WANTED & Image.OPEN.keys())


def _damaged(path: str | Path, error: Exception | str) -> AnimatorError:
    return AnimatorError("unreadable_image", f"{quoted(path)} is a damaged picture: {error}.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - a damaged EXIF block does not make the picture useless
        return image


def _shown(image: Image.Image, profile: Profile) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """uint8 H W 3 of a loaded picture of any mode, and notes."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    pixels, notes = srgb(image, profile)
    return (pixels if alpha is None else over_white(pixels, alpha)), notes


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


def encode_picture(
    picture: NDArray[np.uint8], suffix: str, comment: str, quality: int = 82
) -> bytes:
    """A picture uint8 H W 3 RGB as PNG (suffix .png) or JPEG, with a comment in it."""
    encoded = io.BytesIO()
    image = Image.fromarray(picture)
    if suffix.lower() == ".png":
        info = PngImagePlugin.PngInfo()
        info.add(b"sRGB", b"\0")  # the rendering intent: perceptual
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
