"""Small media files with known content, made on the spot, and ways to read them back."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

FOOTAGE = Path(__file__).parents[2].parent / "shared" / "media" / "faces"
"""Real photos and videos beside the checkout, which may not be published."""
needs_footage = pytest.mark.skipif(not FOOTAGE.is_dir(), reason=f"no footage at {FOOTAGE}")
_BARS = 10


def edge_cases(*names: str) -> list[Path]:
    """Awkward real videos, all without names; none where there is no footage."""
    return _footage("edge_cases", names)


def hard_portraits(*names: str) -> list[Path]:
    """Awkward real photos, all without names; none where there is no footage."""
    return _footage("portraits_hard", names)


def _footage(folder: str, names: Sequence[str]) -> list[Path]:
    if not FOOTAGE.is_dir():
        return []
    return [FOOTAGE / folder / name for name in names] or sorted((FOOTAGE / folder).iterdir())


def numbered(index: int, width: int = 160, height: int = 96) -> npt.NDArray[np.uint8]:
    """uint8 H W 3: a picture that says its number in black and white bars, lowest bit left.

    Its upper left corner is red and its upper right corner green, to show how it was turned.
    """
    picture = np.full((height, width, 3), 128, np.uint8)
    bar = width // _BARS
    for bit in range(_BARS):
        picture[height // 2 :, bit * bar : (bit + 1) * bar] = 255 * (index >> bit & 1)
    picture[: height // 4, : width // 4] = (255, 0, 0)
    picture[: height // 4, -(width // 4) :] = (0, 255, 0)
    return picture


def number(picture: npt.NDArray[np.uint8]) -> int:
    """The number that `numbered` wrote."""
    height, width = picture.shape[:2]
    bar = width // _BARS
    row = picture[height * 3 // 4, :, 1]
    return sum(int(row[bit * bar + bar // 2] > 128) << bit for bit in range(_BARS))


def noise(seconds: float, rate: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """float32 1 N: sound without any repetition, between 200 Hz and 2 kHz, as codecs keep it."""
    count = round(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / rate)
    spectrum[(frequency < 200) | (frequency > 2000)] = 0
    samples = np.fft.irfft(spectrum, count)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)[None]


def write_video(
    path: Path,
    pts: Sequence[int],
    time_base: Fraction,
    *,
    pictures: Sequence[npt.NDArray[np.uint8]] | None = None,
    codec: str = "libx264",
    container: str | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (160, 96),
    rotation: int | None = None,
    pixel_aspect: Fraction | None = None,
    sound: npt.NDArray[np.float32] | None = None,
    sound_codec: str = "aac",
    sound_rate: int = 48000,
    sound_start: Fraction = Fraction(0),
    sound_channels: int = 1,
    sound_gap: range = range(0),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write numbered or given pictures at exactly these times, and sound from `sound_start` on.

    Of the sound, no packet has the samples in `sound_gap`.
    """
    with av.open(str(path), "w", format=container, container_options=container_options) as output:
        video = output.add_stream(codec, rate=Fraction(25), options=options or {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = time_base
        if rotation is not None:
            video.set_display_rotation(rotation)
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        audio: Any = None
        if sound is not None:
            options = {"strict": "experimental"} if sound_codec == "vorbis" else {}
            audio = output.add_stream(sound_codec, rate=sound_rate, options=options)
            audio.layout = "mono" if sound_channels == 1 else "stereo"
            audio.codec_context.time_base = Fraction(1, sound_rate)
            if sound_codec.startswith("wma"):
                audio.codec_context.bit_rate = 128_000
        for index, time in enumerate(pts):
            picture = numbered(index, *size) if pictures is None else pictures[index]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = time, time_base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None and sound is not None:
            _write_sound(output, audio, sound, sound_rate, sound_start, sound_gap)
    return path


def _write_sound(
    output: Any,
    stream: Any,
    sound: npt.NDArray[np.float32],
    rate: int,
    start: Fraction,
    gap: range,
) -> None:
    stream.codec_context.open(strict=False)
    step = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.format, stream.layout, rate)
    for first in range(0, sound.shape[1], step):
        if first in gap:
            continue
        samples = np.ascontiguousarray(sound[:, first : first + step])
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start * rate) + first
        for converted in resampler.resample(frame):
            output.mux(stream.encode(converted))
    output.mux(stream.encode(None))


def video_times(path: Path) -> list[Fraction]:
    """The exact time in seconds of every frame, as a decoder gives it."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def shown_times(path: Path) -> list[Fraction]:
    """The exact time in seconds of every frame, counted from the first."""
    times = video_times(path)
    return [time - times[0] for time in times]


def shown_sound(path: Path, rate: int = 48000) -> npt.NDArray[np.float32]:
    """As `sound_on_timeline`, with sample 0 at the time of the first frame."""
    return sound_on_timeline(path, rate)[round(video_times(path)[0] * rate) :]


def sound_on_timeline(path: Path, rate: int = 48000) -> npt.NDArray[np.float32]:
    """float32 N: mono sound at `rate`, sample 0 at time 0, silence where there is none."""
    pieces: list[tuple[int, npt.NDArray[np.float32]]] = []
    following = None
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", rate)
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                samples, start = piece.to_ndarray()[0], following or 0
                if piece.pts is not None:
                    start = round(piece.pts * piece.time_base * rate)
                # Timestamps in milliseconds jitter; what is farther off is a gap.
                if following is not None and abs(start - following) <= 0.003 * rate:
                    start = following
                following = start + len(samples)
                pieces.append((start, samples))
    timeline = np.zeros(max(start + len(samples) for start, samples in pieces), np.float32)
    for start, samples in pieces:
        timeline[max(start, 0) : max(start + len(samples), 0)] = samples[max(-start, 0) :]
    return timeline


def delay_seconds(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], rate: int = 48000
) -> float:
    """By how many seconds `second` is later than `first`, by their cross-correlation."""
    count = len(first) + len(second)
    product = np.fft.rfft(second, count) * np.conj(np.fft.rfft(first, count))
    lag = int(np.argmax(np.fft.irfft(product, count)))
    return (lag - count if lag > count // 2 else lag) / rate
