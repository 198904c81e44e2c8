"""The kinds of media files that the server takes: their suffixes and media types.

A file is stored and sent as what its content is, by this table, whatever its sender called it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MediaType:
    """What a kind of file is called.

    Attributes:
        suffix: of a file's name.
        name: the media type.
        shown: whether browsers show it, so that it may be sent to be shown within a page.
    """

    suffix: str
    name: str
    shown: bool = False


MEDIA_TYPES: dict[str, MediaType] = {
    # Pictures, some of which may move.
    "png": MediaType(".png", "image/png", True),
    "jpeg": MediaType(".jpg", "image/jpeg", True),
    "webp": MediaType(".webp", "image/webp", True),
    "avif": MediaType(".avif", "image/avif", True),
    "gif": MediaType(".gif", "image/gif", True),
    "apng": MediaType(".png", "image/apng", True),
    "bmp": MediaType(".bmp", "image/bmp", True),
    "heic": MediaType(".heic", "image/heic"),
    "tiff": MediaType(".tif", "image/tiff"),
    "jpeg2000": MediaType(".jp2", "image/jp2"),
    "ico": MediaType(".ico", "image/vnd.microsoft.icon"),
    "pnm": MediaType(".ppm", "image/x-portable-anymap"),
    "tga": MediaType(".tga", "image/x-tga"),
    # Videos.
    "mp4": MediaType(".mp4", "video/mp4", True),
    "quicktime": MediaType(".mov", "video/quicktime", True),
    "webm": MediaType(".webm", "video/webm", True),
    "ogg": MediaType(".ogv", "video/ogg", True),
    "matroska": MediaType(".mkv", "video/x-matroska"),
    "avi": MediaType(".avi", "video/x-msvideo"),
    "asf": MediaType(".wmv", "video/x-ms-asf"),
    "flv": MediaType(".flv", "video/x-flv"),
    "mpeg": MediaType(".mpg", "video/mpeg"),
    "mpegts": MediaType(".ts", "video/mp2t"),
    "mjpeg": MediaType(".mjpeg", "video/x-motion-jpeg"),
    "h264": MediaType(".h264", "video/h264"),
    "hevc": MediaType(".h265", "video/h265"),
    "m4v": MediaType(".m4v", "video/mp4v-es"),
    "dv": MediaType(".dv", "video/dv"),
    "ivf": MediaType(".ivf", "video/x-ivf"),
    "mxf": MediaType(".mxf", "application/mxf"),
    "nut": MediaType(".nut", "video/x-nut"),
    "y4m": MediaType(".y4m", "video/x-yuv4mpeg"),
    # A driving video's motion alone.
    "motion": MediaType(".motion", "application/vnd.animator.motion"),
    "other": MediaType(".bin", "application/octet-stream"),
}
"""By the names that `animator.checks.upload` gives to what it finds."""
