"""Media files of many kinds, made on the spot, and ways to damage them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

_ATOMS = (
    "ftyp moov mvhd trak tkhd edts elst mdia mdhd hdlr minf stbl stsd stts ctts stss stsc stsz "
    "stco avc1 avcC esds mp4a mdat udta meta iprp ipco ispe pixi ipma iloc iinf hvcC colr pitm "
    "IHDR IDAT acTL fcTL PLTE iCCP RIFF VP8X ANMF ALPH LIST strl strh strf avih movi idx1 data"
).split()
"""Names of boxes and chunks, before or behind which is their size."""
_ELEMENTS = (0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B)
_EXTREMES = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make_seeds(folder: Path) -> list[Path]:
    """A sound file of each kind that this machine can write."""
    import av
    from PIL import Image

    pictures = [_picture(index) for index in range(12)]
    frames = [Image.fromarray(picture) for picture in pictures]
    made = []
    videos = {
        "mp4": ("libx264", "aac"),
        "mov": ("mpeg4", "pcm_s16le"),
        "avi": ("mpeg4", "pcm_s16le"),
        "webm": ("libvpx-vp9", "libopus"),
        "mkv": ("libx264", "aac"),
        "ts": ("libx264", "aac"),
    }
    for suffix, (codec, sound) in videos.items():
        with suppress(av.FFmpegError, ValueError):
            made.append(_write_video(folder / f"seed.{suffix}", codec, sound, pictures))
    for suffix in ("gif", "png", "webp", "tiff"):
        path = folder / f"seed.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
        made.append(path)
    frames[0].save(folder / "seed.jpg", exif=_turned(), quality=90)
    made.append(folder / "seed.jpg")
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    for suffix in ("avif", "heic"):
        with suppress(KeyError, ValueError, OSError):
            frames[0].save(folder / f"seed.{suffix}")
            made.append(folder / f"seed.{suffix}")
    with suppress(av.FFmpegError, ValueError):
        made.append(_write_video(folder / "seed.wav", None, "pcm_s16le", []))
    return made


def _picture(index: int, width: int = 96, height: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    rings = 127 * (1 + np.sin(np.hypot(x - 40 - index, y - 30) / 3))
    return np.stack([rings, x * 2.5, y * 4 % 256], axis=2).astype(np.uint8)


def _turned() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def _write_video(path: Path, codec: str | None, sound: str, pictures: list[Any]) -> Path:
    import av

    with av.open(str(path), "w") as output:
        if codec is not None:
            video: Any = output.add_stream(codec, rate=25)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio: Any = output.add_stream(sound, rate=48000)
        audio.layout = "mono"
        for picture in pictures:
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        form = audio.codec_context.format.name
        step = audio.codec_context.frame_size or 1024
        for start in range(0, 24000, step):
            wave = np.sin(np.arange(start, start + step) / 20)[None]
            wanted = (wave * 9000).astype(np.int16) if "s16" in form else wave.astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wanted, format=form, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            output.mux(audio.encode(frame))
        for stream in output.streams:
            output.mux(stream.encode(None))
    return path


# -- damage ------------------------------------------------------------------------------------


def mutate(content: bytes, dice: random.Random) -> bytes:
    """One to four kinds of damage, one after another."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        dice.choice(_DAMAGES)(data, dice)
        if not data:
            return b""
    return bytes(data)


def _flip(data: bytearray, dice: random.Random) -> None:
    # Headers are worth more than pictures.
    reach = len(data) if dice.random() < 0.5 else min(len(data), 2048)
    for _ in range(dice.choice((1, 2, 5, 20, 100))):
        data[dice.randrange(reach)] ^= 1 << dice.randrange(8)


def _overwrite(data: bytearray, dice: random.Random) -> None:
    start, count = dice.randrange(len(data)), dice.choice((1, 4, 16, 256))
    fill = dice.choice((b"\0", b"\xff", None))
    part = data[start : start + count]
    data[start : start + count] = dice.randbytes(len(part)) if fill is None else fill * len(part)


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _block(data: bytearray, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(data))
    return start, min(len(data), start + dice.choice((1, 8, 64, 1024, 8192)))


def _repeat(data: bytearray, dice: random.Random) -> None:
    start, stop = _block(data, dice)
    data[stop:stop] = data[start:stop] * dice.choice((1, 1, 3, 50))


def _remove(data: bytearray, dice: random.Random) -> None:
    start, stop = _block(data, dice)
    del data[start:stop]


def _insert(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    data[start:start] = dice.randbytes(dice.choice((1, 2, 8, 200)))


def _number(data: bytearray, dice: random.Random) -> None:
    """A number anywhere becomes an extreme one."""
    size = dice.choice((1, 2, 4, 8))
    _set(data, dice.randrange(len(data)), size, dice.choice(_EXTREMES), dice)


def _box(data: bytearray, dice: random.Random) -> None:
    """The size of a box or chunk, or a number in it, becomes another one."""
    places = [at for name in _ATOMS for at in _found(data, name.encode())]
    places += [at for element in _ELEMENTS for at in _found(data, element.to_bytes(4, "big"))]
    if not places:
        _number(data, dice)
        return
    at = dice.choice(places)
    where = dice.choice((at - 4, at + 4, at + dice.randrange(8, 80)))
    old = int.from_bytes(data[max(where, 0) : where + 4], "big")
    near = max(0, old + dice.choice((-8, -1, 1, 8, 1000)))
    _set(data, max(where, 0), 4, dice.choice((*_EXTREMES, near, len(data))), dice)
    _mend_checksum(data, at)


def _found(data: bytearray, name: bytes) -> Iterator[int]:
    at = data.find(name)
    while at >= 0:
        yield at
        at = data.find(name, at + 1)


def _set(data: bytearray, at: int, size: int, value: int, dice: random.Random) -> None:
    size = min(size, len(data) - at)
    if size > 0:
        limited = value & ((1 << 8 * size) - 1)
        turn = 1 if dice.random() < 0.7 else -1
        data[at : at + size] = limited.to_bytes(size, "big")[::turn]


def _mend_checksum(data: bytearray, at: int) -> None:
    """Have the reader of a PNG get as far as the damage."""
    length = int.from_bytes(data[max(at - 4, 0) : at], "big")
    if data.startswith(b"\x89PNG") and at + 8 + length <= len(data):
        end = at + 4 + length
        data[end : end + 4] = zlib.crc32(data[at:end]).to_bytes(4, "big")


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _overwrite, _truncate, _repeat, _remove, _insert, _number, _box, _box, _box),
)
