"""A hunt for media files that crash, hang or confuse what reads them.

Small files of many kinds are made, damaged at random, and read as a job and a check read them, in
child processes with limits. Each case follows from the seed and its number:

    python scripts/fuzz_media.py --cases 10000 --keep found
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import selectors
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 5.0
"""Processor time that one file may take."""
PATIENCE = 6
"""How many times as long it may take on the wall, where other programs want the processor, too."""
LOOK_EVERY = 20
"""Cases of which one is also looked at as `animator check` does."""
_ATOMS = (
    "ftyp moov mvhd trak tkhd edts elst mdia mdhd hdlr minf stbl stsd stts ctts stss stsc stsz stco "
    "avc1 avcC esds mp4a mdat udta meta iprp ipco ispe pixi ipma iloc iinf hvcC colr pitm IHDR IDAT "
    "acTL fcTL PLTE iCCP RIFF VP8X ANMF ALPH LIST strl strh strf avih movi idx1 data"
).split()
"""Names of boxes and chunks, before or behind which is their size."""
_ELEMENTS = (0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B)
_EXTREMES = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


# -- files to begin with -----------------------------------------------------------------------


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
    }
    videos |= {
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


# -- reading -----------------------------------------------------------------------------------


def exercise(path: Path, look: bool) -> dict[str, str]:
    """Read a file in every way in which jobs and checks do; what came of each.

    Raises:
        Exception: whatever is no coded error, with a note that says who raised it.
    """
    from animator.errors import AnimatorError

    found: dict[str, str] = {}
    for name, read in _readers(path, look).items():
        try:
            read()
            found[name] = "read"
        except AnimatorError as error:
            found[name] = error.code
        except Exception as error:
            error.add_note(f"in {name}")
            raise
    return found


def _readers(path: Path, look: bool) -> dict[str, Callable[[], object]]:
    from animator.checks.media import look as look_at
    from animator.media.decode import VideoReader, content_hash, probe, read_image
    from animator.media.encode import VideoWriter
    from animator.media.sampling import read_timing
    from animator.settings import DEFAULT_LIMITS
    from animator.spec import JobSpec

    def frames() -> None:
        with VideoReader(path) as reader:
            for _ in reader:
                pass

    def sound() -> None:
        size = {"width": 32, "height": 32}
        base = Fraction(1, 25)
        output = path.with_name("sound.mp4")
        with VideoWriter(output, **size, time_base=base, audio_from=path) as writer:
            for number in range(3):
                writer.write(np.zeros((32, 32, 3), np.uint8), number)

    def check() -> None:
        spec = JobSpec(str(path), str(path), str(path.with_name("out.mp4")))
        about = {"subjects": ["source", "driving"], "frames": 4, "seconds": 5}
        answers: list[dict[str, Any]] = []
        look_at({"spec": spec.to_json(), "limits": vars(DEFAULT_LIMITS), **about}, answers.append)
        assert len(answers) == 2

    return {
        "hash": lambda: content_hash(path),
        "image": lambda: read_image(path),
        "probe": lambda: probe(path),
        "timing": lambda: read_timing(path, DEFAULT_LIMITS, Fraction(0), None, SECONDS),
        "frames": frames,
        "sound": sound,
        **({"check": check} if look else {}),
    }


def child(target: str, memory_mb: int) -> None:
    """Read the files that are named on standard input, a line of JSON each; answer likewise."""
    import resource

    from animator.sandbox import become_expendable

    become_expendable()
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module, _, name = target.partition(":")
    read = getattr(importlib.import_module(module), name) if module else exercise
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for line in sys.stdin:
        task = json.loads(line)
        began, answer = time.process_time(), {}
        try:
            answer["found"] = read(Path(task["path"]), task["look"])
        except MemoryError:
            answer["found"] = {"any": "out_of_memory"}
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            notes = " ".join(getattr(error, "__notes__", []))
            answer["uncoded"] = f"{type(error).__name__}: {error} {notes}"[:500]
        answer["seconds"] = time.process_time() - began
        os.write(answers, json.dumps(answer).encode() + b"\n")


# -- the hunt ----------------------------------------------------------------------------------


@dataclass
class Hunt:
    """What came of the cases so far.

    Attributes:
        outcomes: how often each reader ended how.
        failures: what should not be, by the number of the case.
        slowest: processor time of the slowest, in seconds.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0


class Reader:
    """A child that reads files, and is replaced when it dies or hangs."""

    def __init__(self, target: str, memory_mb: int) -> None:
        self._command = [sys.executable, __file__, "--child", target, "--memory-mb", str(memory_mb)]
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, look: bool) -> dict[str, Any]:
        """What the child says of a file, or {"died": how}."""
        fresh = self._process is None
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"path": str(path), "look": look}).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            # A new child has to import everything first.
            ready = selector.select(SECONDS * PATIENCE * (5 if fresh else 1))
        line = process.stdout.readline() if ready else b""
        if line:
            return dict(json.loads(line))
        self.close()
        status = process.returncode
        return {"died": f"status {status}" if ready else "hung"}

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(self._command, stderr=subprocess.DEVNULL, **pipes)  # type: ignore[call-overload,no-any-return]


def hunt(options: argparse.Namespace, folder: Path) -> Hunt:
    """Go through the cases; failing files are copied to `options.keep`."""
    seeds = make_seeds(folder)
    print("seeds:", " ".join(path.suffix[1:] for path in seeds), flush=True)
    done, reader = Hunt(), Reader(options.target, options.memory_mb)
    for number in range(options.first, options.first + options.cases):
        dice = random.Random(f"{options.seed} {number}")
        origin = seeds[number % len(seeds)]
        path = folder / f"case{origin.suffix}"
        path.write_bytes(mutate(origin.read_bytes(), dice))
        answer = reader.read(path, number % LOOK_EVERY == 0)
        seconds = answer.get("seconds", 0.0)
        done.slowest = max(done.slowest, seconds)
        done.outcomes.update(f"{name} {how}" for name, how in answer.get("found", {}).items())
        wrong = answer.get("died") or answer.get("uncoded")
        if wrong is None and seconds > SECONDS:
            wrong = f"took {seconds:.1f} s"
        if wrong is not None:
            done.failures[number] = f"{origin.suffix[1:]}: {wrong}"
            print(number, done.failures[number], flush=True)
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}{origin.suffix}").write_bytes(path.read_bytes())
    reader.close()
    return done


def main() -> int:
    """Hunt and report; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="how many files are made")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", default="1", help="another one gives other files")
    parser.add_argument("--keep", type=Path, help="folder for files that something was wrong with")
    parser.add_argument("--memory-mb", type=int, default=4096, help="address space of a child")
    parser.add_argument("--target", default="", help="MODULE:FUNCTION to call instead of ours")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.memory_mb)
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        done = hunt(options, Path(folder))
    for outcome, count in sorted(done.outcomes.items()):
        print(f"{count:7} {outcome}")
    print(
        f"{options.cases} cases in {time.monotonic() - began:.0f} s, the slowest took "
        f"{done.slowest:.2f} s; {len(done.failures)} failures"
    )
    return int(bool(done.failures))


if __name__ == "__main__":
    sys.exit(main())
