"""The streams of a file that a player shows and plays, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.local import quoted

# Covers of songs, previews, alpha and depth maps, second eyes: pictures beside the moving picture.
_BESIDE = (
    Disposition.attached_pic
    | Disposition.timed_thumbnails
    | Disposition.still_image
    | Disposition.dependent
    | Disposition.metadata
)
_COMMENTS = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.hearing_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.dub
)
_NO_LANGUAGE = (None, "", "und", "mis", "mul", "zxx")


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that a player shows.

    Raises:
        AnimatorError: no_video_stream; unreadable_video if none is in a coding that is known.
    """
    best = container.streams.best("video")
    moving = [
        stream
        for stream in (best, *container.streams.video)
        if isinstance(stream, VideoStream) and not stream.disposition & _BESIDE
    ]
    if not moving:
        raise AnimatorError("no_video_stream", f"{quoted(path)} has no moving picture.")
    for stream in moving:
        if stream.codec_context is not None:
            return stream
    message = f"{quoted(path)} has pictures in a coding that is not known."
    raise AnimatorError("unreadable_video", message)


def sound_streams(container: InputContainer) -> list[AudioStream]:
    """All sound, best first: what the file names as default, in no language, and not a comment."""
    best = container.streams.best("audio")

    def rank(stream: AudioStream) -> tuple[bool, bool, bool, bool]:
        return (
            not stream.disposition & Disposition.default,
            stream.language not in _NO_LANGUAGE,
            bool(stream.disposition & _COMMENTS),
            stream is not best,
        )

    return sorted(container.streams.audio, key=rank)


def demux(container: Any, *streams: Stream) -> Iterator[Packet[Any]]:
    """The packets of streams, the last of which is empty and flushes the decoder.

    The container's own method fails at the end of files in which more streams turned up on the way.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)
