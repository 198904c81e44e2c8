"""Small inputs of data sets: portraits, short driving videos, and quick weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from gfla import checkpoint
from tests.helpers import small_generator


def portraits(source: Path, folder: Path, count: int) -> list[Path]:
    """So many pictures of one face, each with light of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as picture:
        whole = picture.convert("RGB")
    made = []
    for number in range(count):
        path = folder / f"p{number:02}.png"
        turned = ImageOps.mirror(whole) if number % 2 else whole
        turned.point(lambda value, number=number: max(0, value - 3 * number)).save(path)
        made.append(path)
    return made


def clips(driving: Path, folder: Path, count: int, frames: int = 12) -> list[Path]:
    """So many videos of some frames each, cut one after another from a longer one."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with VideoReader(driving, batch=frames) as reader:
        base, rate = reader.info.time_base, reader.info.average_rate
        size = {"width": reader.info.width, "height": reader.info.height}
        for number, batch in zip(range(count), reader, strict=False):
            path = folder / f"d{number:02}.mp4"
            with VideoWriter(path, **size, time_base=base, rate=rate) as writer:
                for picture, pts in zip(batch.pixels, batch.pts, strict=True):
                    writer.write(picture, pts - batch.pts[0])
            made.append(path)
    assert len(made) == count
    return made


def quick_weights(path: Path) -> Path:
    """Weights of a narrow model that was never trained."""
    checkpoint.save(path, small_generator(), {"name": "random"})
    return path


def arguments(folder: Path, samples: tuple[Path, Path], counts: Sequence[int]) -> list[str]:
    """Make so many portraits and videos; what `animator batch` is told of them."""
    portraits(samples[0], folder / "portraits", counts[0])
    clips(samples[1], folder / "clips", counts[1])
    weights = quick_weights(folder / "random.safetensors")
    found = ["--sources", f"{folder}/portraits/*.png", "--drivings", f"{folder}/clips/*.mp4"]
    return [*found, "--weights", str(weights), "--size=128", "--margin=1.75", "--device", "cpu"]
