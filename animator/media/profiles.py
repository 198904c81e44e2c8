"""Colour profiles of photos: ICC, and the four numbers of H.273 that PNG, AVIF and ICC may hold."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from animator.media.colour import Tags, shown_planes
from animator.media.curves import ADOBE_RGB, GAMUTS, HLG, PQ

_OPEN = 2
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
FIRST_BYTES = 1 << 20
"""In which the boxes and chunks before the pixels are looked for."""
_TAGS = 100  # of a profile that are looked at
_GRID = 9  # steps a channel, to tell whether a profile changes anything


class Profile(NamedTuple):
    """What a photo says of its colours.

    Attributes:
        icc: the embedded profile, None without one.
        tags: numbers that hold where there is no profile, None without them.
    """

    icc: bytes | None = None
    tags: Tags | None = None


def srgb(image: Image.Image, profile: Profile) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """A photo's colours in sRGB; a profile that makes no sense is left out of account.

    Args:
        image: opaque, of mode L, RGB, CMYK or LAB.
        profile: what it says of itself.

    Returns:
        uint8 H W 3 RGB, and codes of `animator.media.notes.NOTES`.
    """
    if profile.icc and image.mode != "LAB":
        # An HDR profile's curves are for programs that know no HDR.
        tags = _hdr_tags(profile.icc)
        if tags is not None:
            return shown_picture(np.asarray(image.convert("RGB")), tags), ("hdr",)
        converted = _through(image, profile.icc)
        if converted is not None:
            return np.array(converted), ()
        return np.array(image.convert("RGB")), ("broken_profile",)
    if image.mode == "LAB":
        lab, ours = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, ours, "LAB", "RGB")
        image = ImageCms.applyTransform(image, transform) or image
    pixels = np.array(image.convert("RGB"))
    if profile.tags is None:
        return pixels, ()
    return shown_picture(pixels, profile.tags), ("hdr",) if profile.tags.hdr else ()


def shown_picture(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], tags: Tags, white: int = 65535
) -> npt.NDArray[np.uint8]:
    """A photo's numbers in sRGB.

    Args:
        pixels: H W 3 RGB, 8 bits or 16.
        tags: what they mean.
        white: the number that stands for 1, of 16 bits.
    """
    if tags.plain:
        if pixels.dtype == np.uint8:
            return pixels.astype(np.uint8)
        scaled = np.rint(pixels * np.float32(255 / white))
        return np.minimum(scaled, 255).astype(np.uint8)
    if pixels.dtype == np.uint8:
        deep, white = pixels.astype(np.uint16) * 257, 65535
    else:
        deep = pixels.astype(np.uint16, copy=False)
    planes = tuple(np.ascontiguousarray(deep[..., channel]) for channel in range(3))
    return shown_planes(planes, tags, white, still=True)


def photo_tags(primaries: int, transfer: int) -> Tags | None:
    """Tags of RGB values by their numbers, None where these are left open or unknown."""
    if primaries not in GAMUTS and transfer not in (PQ, HLG):
        return None
    if primaries not in GAMUTS:
        primaries = 9
    return Tags(primaries, 1 if transfer in (0, _OPEN) else transfer, 1, True)


def profile_of(image: Image.Image, head: bytes) -> Profile:
    """What an open picture says of its colours.

    Args:
        image: as Pillow opened it.
        head: the beginning of its file, `FIRST_BYTES` or all of it.
    """
    icc = image.info.get("icc_profile") or None
    tags = None
    if image.format == "PNG":
        tags = _png_tags(head)
        if tags is not None:
            icc = None  # the standard puts the numbers before the profile
    elif image.format == "AVIF":
        tags = _avif_tags(head)
    elif image.format in ("JPEG", "MPO") and icc is None and _is_adobe_rgb(image):
        tags = Tags(ADOBE_RGB, 4, 1, True)
    return Profile(icc, tags)


def _through(image: Image.Image, icc: bytes) -> Image.Image | None:
    """The picture in sRGB by its profile, None if that makes no sense."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if _SPACES.get(image.mode) != space:
            return None
        relative = image.mode != "CMYK"
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC if relative else ImageCms.Intent.PERCEPTUAL,
            ImageCms.Flags.BLACKPOINTCOMPENSATION if relative else ImageCms.Flags.NONE,
        )
        if image.mode == "RGB" and _changes_nothing(transform):
            return image
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, _GRID).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(_GRID, -1, 3)
    there = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return there is not None and bool(np.abs(np.asarray(there).astype(int) - grid).max() <= 1)


def _hdr_tags(icc: bytes) -> Tags | None:
    """The numbers of an ICC profile for PQ or HLG (the tag cicp), None of others."""
    count = int.from_bytes(icc[128:132], "big")
    for entry in range(132, 132 + 12 * min(count, _TAGS), 12):
        if icc[entry : entry + 4] == b"cicp":
            start = int.from_bytes(icc[entry + 4 : entry + 8], "big")
            numbers = icc[start + 8 : start + 10]
            tags = photo_tags(*numbers) if len(numbers) == 2 else None
            return tags if tags is not None and tags.hdr else None
    return None


def _png_tags(head: bytes) -> Tags | None:
    position = 8
    while position + 12 <= len(head):
        length, kind = (
            int.from_bytes(head[position : position + 4], "big"),
            head[position + 4 :][:4],
        )
        if kind == b"IDAT":
            return None
        if kind == b"cICP" and length == 4:
            return photo_tags(head[position + 8], head[position + 9])
        position += 12 + length
    return None


def _avif_tags(head: bytes) -> Tags | None:
    """The numbers of an AVIF picture: those of its first box colr with numbers."""
    start = head.find(b"colrnclx")
    if start < 0 or len(head) < start + 12:
        return None
    values = (int.from_bytes(head[start + 8 + at : start + 10 + at], "big") for at in (0, 2))
    return photo_tags(*values)


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether a camera's file says by DCF's option file mark that it is in Adobe RGB."""
    try:
        return str(image.getexif().get_ifd(ExifTags.IFD.Interop).get(1, "")).startswith("R03")
    except Exception:  # noqa: BLE001 - a damaged EXIF block does not make the picture useless
        return False
