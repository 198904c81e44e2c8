"""The sound track of a file that is heard, chosen by trying which can be decoded and written."""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard

from animator.files.sequence import is_sequence
from animator.media.container import open_media
from animator.media.mixing import Mixer
from animator.media.streams import demux, sound_streams
from animator.settings import MediaLimits

COPIED = {"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "flac", "alac"}
"""Codings that MP4 players understand."""
_COPIED = {
    "mp4": COPIED,
    "mov": COPIED - {"opus", "libopus", "flac"},
    "matroska": COPIED | {"vorbis", "libvorbis"},
    "webm": {"opus", "libopus", "vorbis", "libvorbis"},
}
"""Codings that players understand, by libav's name of the container."""
_OPUS_RATE = 48000
EDITED = ("mp4", "mov")
"""Containers with edit lists, which hide what a coder puts before the beginning of the sound.

Matroska and WebM hide it of Opus alone.
"""
_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
_TRIED = 100  # packets of a track

LEFT_OUT = "The sound is in a coding that cannot be read; it is left out."
EMPTY = "The sound track is empty, so there is no sound."
ANOTHER = "The main sound track cannot be read; another one is heard."


@dataclass(frozen=True)
class SoundChoice:
    """What is heard of a file.

    Attributes:
        index: the number of the stream, None for silence.
        copied: whether its packets go into the output as they are.
        note: what a person is to know of it, in a sentence.
    """

    index: int | None
    copied: bool = False
    note: str | None = None


def choose_sound(path: Path, limits: MediaLimits, muxer: str = "mp4") -> SoundChoice:
    """Choose the first sound track, best first, that can be decoded and written.

    Args:
        path: a local file.
        limits: what is refused.
        muxer: libav's name of the container that it goes into.

    Raises:
        AnimatorError: those of `animator.media.container.open_media`.
    """
    if is_sequence(path):
        return SoundChoice(None)
    with open_media(path, limits) as container:
        tracks = [stream.index for stream in sound_streams(container)]
    note = None
    for place, index in enumerate(tracks):
        packets, frame = 0, None
        with ExitStack() as resources:
            stream = open_stream(path, limits, resources, index)
            if _known(stream):
                tried, frame = _tried(stream)
                packets = len(tried)
                if frame is not None:
                    known = stream.codec_context.name in _COPIED[muxer]
                    copied = known and _can_be_copied(stream, tried, muxer)
                    if copied or _can_be_encoded(frame, muxer):
                        return SoundChoice(index, copied, ANOTHER if place else None)
            note = note or (EMPTY if _known(stream) and not packets else LEFT_OUT)
    return SoundChoice(None, note=note)


def sound_faults(path: Path, limits: MediaLimits) -> list[str]:
    """Sentences about what cannot be heard of a file; errors as in `choose_sound`."""
    note = choose_sound(path, limits).note
    return [] if note is None else [note]


def open_stream(path: Path, limits: MediaLimits, resources: ExitStack, index: int) -> AudioStream:
    """Open a sound stream of a file, and pass over all others."""
    container = resources.enter_context(open_media(path, limits))
    source = container.streams[index]
    assert isinstance(source, AudioStream)
    for stream in container.streams:
        if stream is not source:
            stream.discard = Discard.all
    return source


def encoded_rate(rate: int, muxer: str = "mp4") -> int:
    """The rate at which sound of a rate is coded, both in samples a second."""
    return rate if rate in _AAC_RATES and muxer in EDITED else _OPUS_RATE


def _known(stream: AudioStream) -> bool:
    context = stream.codec_context
    return context is not None and context.sample_rate > 0 and context.channels > 0


def _tried(stream: AudioStream) -> tuple[list[Packet[Any]], AudioFrame | None]:
    """The first packets, up to one that gives a frame, and that frame."""
    tried: list[Packet[Any]] = []
    packets = demux(stream.container, stream)
    while len(tried) < _TRIED:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            break
        if packet is None:
            break
        if packet.size:
            tried.append(packet)
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            continue
        for frame in frames:
            if isinstance(frame, AudioFrame):
                return tried, frame
    return tried, None


def _can_be_copied(stream: AudioStream, packets: list[Packet[Any]], muxer: str) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as output:
            target = output.add_stream_from_template(stream)
            output.start_encoding()
            start = next((packet.pts for packet in packets if packet.pts is not None), 0)
            packet = packets[-1]
            packet.pts = packet.dts = (packet.pts or start) - start
            packet.stream = target
            output.mux(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _can_be_encoded(frame: AudioFrame, muxer: str) -> bool:
    try:
        rate = encoded_rate(frame.sample_rate, muxer)
        mixer = Mixer("mono" if frame.layout.nb_channels == 1 else "stereo", rate)
        mixer.mix(frame)
        mixer.rest()
    except (av.FFmpegError, ValueError):
        return False
    return True
