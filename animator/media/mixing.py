"""Sound of any number of channels as two or one, at the rate that is wanted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

_MOST_NAMED = 8  # channels; layouts of more have no mixing of their own


class Mixer:
    """Turns decoded sound into float samples of one layout and rate, whatever it is on the way.

    libav knows how to mix layouts that have a name. Of all others, the average of every other
    channel is heard left and that of the rest right, as players do.

    Args:
        layout: "mono" or "stereo".
        rate: samples a second.
    """

    def __init__(self, layout: str, rate: int) -> None:
        self._layout, self._rate = layout, rate
        self._resampler: AudioResampler | None = None
        self._input: tuple[str, str, int] | None = None
        self._by_hand = False

    def mix(self, frame: AudioFrame) -> list[AudioFrame]:
        """What comes of a frame, and of those before it that were kept back.

        Raises:
            av.FFmpegError, ValueError: if it cannot be mixed at all.
        """
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        converted = []
        if kind != self._input:
            converted = self.rest()
            self._input = kind
            self._by_hand = frame.layout.nb_channels > _MOST_NAMED
        if not self._by_hand:
            try:
                return [*converted, *self._resample(frame)]
            except (av.FFmpegError, ValueError):
                self._by_hand, self._resampler = True, None
        return [*converted, *self._resample(two_channels(frame))]

    def rest(self) -> list[AudioFrame]:
        """What was kept back."""
        resampler, self._resampler = self._resampler, None
        return [] if resampler is None else resampler.resample(None)

    def _resample(self, frame: AudioFrame) -> list[AudioFrame]:
        if self._resampler is None:
            self._resampler = AudioResampler("fltp", self._layout, self._rate)
        return self._resampler.resample(frame)


def two_channels(frame: AudioFrame) -> AudioFrame:
    """A frame in stereo: the averages of its channels of even and of odd number."""
    channels = frame.layout.nb_channels
    samples = _floats(frame.to_ndarray())
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    left = samples[0::2].mean(0)
    right = samples[1::2].mean(0) if channels > 1 else left
    mixed = AudioFrame.from_ndarray(
        np.ascontiguousarray(np.stack([left, right])).astype(np.float32), "fltp", "stereo"
    )
    mixed.sample_rate, mixed.pts = frame.sample_rate, frame.pts
    mixed.time_base = frame.time_base or Fraction(1, frame.sample_rate)
    return mixed


def _floats(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    full = np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1
    return (samples / full).astype(np.float32)
