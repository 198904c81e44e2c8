"""Sample media for a machine that has none: a portrait and a driving video with sound.

Both come from the portrait of the astronaut Eileen Collins that NASA put into the public domain and
that scikit-image ships. The driving video is that photo, mirrored and cropped, warped by
`animator.samples.puppet`, with a humming voice that follows the mouth. Nothing is downloaded.
"""

from __future__ import annotations

import io
import math
import tempfile
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from animator.files.output import coded_errors, write_whole
from animator.media.encode import VideoWriter
from animator.samples.puppet import SIZE, Pose, Puppet

RATE = Fraction(30000, 1001)
FRAMES = 180
_SOUND_RATE = 48000
_CROP = (slice(0, 256), slice(88, 344))  # rows and columns of the photo, before mirroring

# Syllables: start and length in seconds, opening of the jaw in pixels, change of the mouth's width,
# pitch in hertz. The voice stays low and on a pentatonic scale.
_SYLLABLES = (
    (0.60, 0.26, 13, 0.00, 220.0),
    (0.86, 0.22, 8, 0.08, 246.9),
    (1.08, 0.30, 15, -0.10, 277.2),
    (1.50, 0.22, 10, -0.22, 246.9),
    (1.72, 0.22, 7, 0.10, 220.0),
    (1.94, 0.36, 14, 0.00, 185.0),
    (2.75, 0.24, 12, -0.16, 220.0),
    (2.99, 0.22, 9, 0.06, 277.2),
    (3.21, 0.22, 14, 0.00, 329.6),
    (3.43, 0.34, 11, -0.24, 277.2),
    (3.95, 0.22, 8, 0.10, 246.9),
    (4.17, 0.24, 13, -0.06, 220.0),
    (4.41, 0.44, 16, 0.00, 246.9),
    (5.15, 0.22, 9, -0.18, 220.0),
    (5.37, 0.40, 12, 0.00, 185.0),
)
_BLINKS = (1.02, 2.42, 2.70, 4.62)
_BLINK_CLOSE, _BLINK_OPEN = 0.09, 0.18  # seconds


def write_samples(folder: str | Path) -> tuple[Path, Path]:
    """Write `source.png` and `driving.mp4` (512 x 512, 30000/1001 frames a second, 6 s, sound).

    The folder is made if it is not there; files of these names in it are replaced.

    Returns:
        The paths of the portrait and of the driving video.

    Raises:
        AnimatorError: those of `animator.media.encode.VideoWriter`.
    """
    folder = Path(folder)
    with coded_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    photo = _photo()
    source, driving = folder / "source.png", folder / "driving.mp4"
    _write_picture(source, photo)
    _write_driving(driving, photo)
    return source, driving


def pose_at(seconds: float) -> Pose:
    """What the face of the driving video does at a time; it starts as in the photo."""
    begun = _ease(seconds / 0.7)
    nod = _ease((seconds - 1.9) / 0.3) * _ease((3.3 - seconds) / 0.4)
    yaw = 17 * begun * math.sin(2 * math.pi * seconds / 4.3)
    pitch = 4 * begun * math.sin(2 * math.pi * seconds / 3.1)
    pitch += 7 * nod * math.sin(2 * math.pi * (seconds - 1.9) / 0.7)
    roll = 1.5 * begun + 3 * begun * math.sin(2 * math.pi * seconds / 5.2)
    blink = max(_blink(seconds - start) for start in _BLINKS)
    spoken = [
        (_swell(seconds, start, length), jaw, width) for start, length, jaw, width, _ in _SYLLABLES
    ]
    jaw = 0.85 * sum(share * opening for share, opening, _ in spoken)
    # Between syllables the lips come together over the teeth, but not before the first.
    talking = _ease((seconds - 0.35) / 0.25) * _ease((5.95 - seconds) / 0.25)
    return Pose(
        yaw=math.radians(yaw),
        pitch=math.radians(pitch),
        roll=math.radians(roll),
        sway=(5 * begun * math.sin(2 * math.pi * seconds / 3.7), 1.5 * begun * math.sin(seconds)),
        jaw=jaw - 6 * talking * max(0.0, 1 - jaw / 6),
        width=sum(share * width for share, _, width in spoken) - 0.05 * talking,
        blink=blink,
        brows=5 * _ease((seconds - 3.1) / 0.25) * _ease((3.9 - seconds) / 0.4) - 1.5 * blink,
    )


def voice() -> npt.NDArray[np.float32]:
    """float32 N at 48 kHz, -1..1: a quiet hum that opens and closes with the mouth."""
    count = round(FRAMES / RATE * _SOUND_RATE)
    seconds = np.arange(count) / _SOUND_RATE
    sound = np.zeros(count)
    for start, length, jaw, width, pitch in _SYLLABLES:
        first, last = round(start * _SOUND_RATE), round((start + length + 0.04) * _SOUND_RATE)
        time = seconds[first:last] - start
        swell = np.sin(np.pi * np.clip(time / (length + 0.04), 0, 1)) ** 1.2
        phase = 2 * np.pi * pitch * time + 0.12 * np.sin(2 * np.pi * 5.5 * time)
        # An open mouth lets a higher first formant through, a wide one a higher second.
        formants = ((300 + 28 * jaw, 130), (1100 + 1600 * width + 20 * jaw, 200), (2600, 300))
        for harmonic in range(1, 16):
            frequency = harmonic * pitch
            strength = (0.06 + _gain(frequency, formants)) / harmonic**0.9
            sound[first:last] += strength * swell * np.sin(harmonic * phase)
    # A small room: a few soft reflections.
    for delay, gain in ((0.031, 0.25), (0.047, 0.18), (0.071, 0.12), (0.103, 0.08)):
        shift = round(delay * _SOUND_RATE)
        sound[shift:] += gain * sound[:-shift]
    return (0.16 * sound / np.abs(sound).max()).astype(np.float32)


def _gain(frequency: float, formants: Sequence[tuple[float, float]]) -> float:
    """What the mouth lets through of a frequency; formants are (centre, width), strongest first."""
    return sum(
        math.exp(-(((frequency - centre) / width) ** 2) / 2) / (1 + rank)
        for rank, (centre, width) in enumerate(formants)
    )


def _photo() -> npt.NDArray[np.uint8]:
    from skimage import data  # slow to import, and only needed here

    return data.astronaut()


def _write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, format="PNG")
    write_whole(path, encoded.getvalue())


def _write_driving(path: Path, photo: npt.NDArray[np.uint8]) -> None:
    face = Puppet(_other_look(photo))
    time_base = 1 / Fraction(RATE.numerator)
    step = RATE.denominator
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "voice.wav"
        _write_sound(sound)
        with VideoWriter(
            path,
            width=SIZE,
            height=SIZE,
            time_base=time_base,
            rate=RATE,
            audio_from=sound,
            metadata={
                "comment": "A warped photo of NASA (public domain), made by animator sample."
            },
        ) as writer:
            for number in range(FRAMES):
                writer.write(face.render(pose_at(float(number / RATE))), number * step)


def _other_look(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The head alone, mirrored and in a warmer light, so that it is not the source again."""
    crop = np.ascontiguousarray(photo[_CROP][:, ::-1])
    large = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LANCZOS4).astype(np.float32)
    graded = 255 * (large / 255) ** np.array([0.92, 0.98, 1.12], np.float32)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5
    shade = 1.04 - 0.5 * (columns**2 + (rows + 0.1) ** 2)
    return np.clip(graded * shade[..., None], 0, 255).astype(np.uint8)


def _write_sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_RATE)
        file.writeframes(np.rint(voice() * 32767).astype("<i2").tobytes())


def _ease(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _swell(seconds: float, start: float, length: float) -> float:
    """How far a syllable is under way: 0, 1 in its middle, 0."""
    share = (seconds - start) / (length + 0.04)
    return math.sin(math.pi * share) if 0 < share < 1 else 0.0


def _blink(seconds: float) -> float:
    if seconds < _BLINK_CLOSE:
        return _ease(seconds / _BLINK_CLOSE)
    return _ease(1 - (seconds - _BLINK_CLOSE - 0.03) / _BLINK_OPEN)
