"""One video from the files of its segments: packets are copied, their times set anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.media.container import open_media
from animator.media.mp4 import Mp4Output, Sound, believable, last_duration
from animator.media.streams import demux
from animator.settings import MediaLimits

_OWN = MediaLimits(max_bytes=2**62, max_frame_pixels=2**31 - 1)  # the files are our own


def join(
    segments: Sequence[Path],
    output: Path,
    pts: Sequence[int],
    time_base: Fraction,
    *,
    rate: Fraction | None = None,
    sound: Sound | None = None,
    metadata: Mapping[str, str] | None = None,
    check: Callable[[], object] = lambda: None,
    muxer: str = "mp4",
) -> list[str]:
    """Write the frames of segments as one file, at exactly their times, with sound.

    Each segment begins with a key frame and refers to no other, and the one encoder with the same
    settings made them all. Segments are coded at the times of the video, by which the encoder
    shares out its bits; here their own timestamps only tell the order in which frames are shown.

    Args:
        segments: MP4 files without sound, in order; at least one.
        output: the file to write; it appears whole or not at all.
        pts: of all frames, strictly increasing.
        time_base: of `pts`, in seconds.
        rate: frames a second on average; only gives the last frame its duration.
        sound: what is heard.
        metadata: what the file says about itself.
        check: called before each segment; what it raises ends the work.
        muxer: libav's name of the container.

    Returns:
        Sentences about what the file lacks.

    Raises:
        AnimatorError: encoding_failed if the segments do not fit together, and those of
            `animator.media.mp4.Mp4Output`.
    """
    warnings: list[str] = []
    # Read once for the order alone, as one delay is to suit all segments, and once more for the
    # packets: those of a long video are not to lie in memory all at once.
    ranks = [_display_ranks(path) for path in segments]
    if sum(map(len, ranks)) != len(pts):
        raise _misfit(output)
    # How much earlier a frame is decoded than shown, at most; in frames.
    delay = max(place - rank for order in ranks for place, rank in enumerate(order))
    # Packets get the driving video's times, in its own time base.
    duration = last_duration(list(pts[-2:]), believable(rate), time_base)
    mp4 = Mp4Output(
        output, time_base, sound=sound, metadata=metadata, warn=warnings.append, muxer=muxer
    )
    with mp4.guarded():
        mp4.open()
        stream = _add_stream(mp4, segments[0], muxer)
        shift = mp4.start(pts[0])
        first = 0
        for path, order in zip(segments, ranks, strict=True):
            check()
            for place, (rank, packet) in enumerate(zip(order, _packets(path, stream), strict=True)):
                index = first + place
                packet.stream, packet.time_base = stream, time_base
                packet.pts = pts[first + rank] + shift
                packet.dts = _decoding_time(pts, index, delay) + shift
                packet.duration = duration  # the muxer itself sees how long all but the last are
                mp4.mux(packet)
                mp4.reached(pts[index])
            first += len(order)
        mp4.publish()
    return warnings


def _decoding_time(pts: Sequence[int], index: int, delay: int) -> int:
    """When the frame that is decoded as number `index` is: in order, and never after it is shown.

    That is the time of the frame shown `delay` frames before; as far as there is none, the first
    times are repeated before the beginning.
    """
    if index >= delay:
        return pts[index - delay]
    return pts[index] - (pts[delay] - pts[0])


def _display_ranks(path: Path) -> list[int]:
    """For each packet of a segment in its order: as what number its frame is shown."""
    times = [packet.pts for packet in _packets(path) if packet.pts is not None]
    places = {time: rank for rank, time in enumerate(sorted(times))}
    return [places[time] for time in times]


def _packets(path: Path, like: VideoStream | None = None) -> Iterator[Packet[Any]]:
    """The packets of a segment.

    Raises:
        AnimatorError: encoding_failed if its decoder needs another header than that of `like`.
    """
    with open_media(path, _OWN) as container:
        stream = container.streams.video[0]
        if like is not None and _header(stream) != _header(like):
            raise _misfit(path)
        yield from (packet for packet in demux(container, stream) if packet.size)


def _add_stream(mp4: Mp4Output, path: Path, muxer: str) -> VideoStream:
    with open_media(path, _OWN) as container:
        like = container.streams.video[0]
        # Of H.264 the decoder and the coder have one name, as libav's usual way asks for.
        opaque = like.codec_context.name != "h264" or muxer not in ("mp4", "mov")
        stream: VideoStream = mp4.container.add_stream_from_template(like, opaque=opaque)
        if muxer in ("mp4", "mov") and like.codec_context.name == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # libav's own choice is not taken by all
    stream.time_base = mp4.time_base
    return stream


def _header(stream: VideoStream) -> bytes | None:
    return stream.codec_context.extradata


def _misfit(path: Path) -> AnimatorError:
    message = f"The parts of {quoted(path)} do not fit together."
    return AnimatorError("encoding_failed", message)
