from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from animator.errors import AnimatorError
from animator.media.decode import VideoReader, probe, read_image
from animator.samples.media import FRAMES, RATE, pose_at, voice, write_samples
from tests.animator.media_files import sound_on_timeline, video_times


@pytest.fixture(scope="module")
def frames(samples: tuple[Path, Path]) -> npt.NDArray[np.uint8]:
    with VideoReader(samples[1]) as reader:
        return np.concatenate([batch.pixels for batch in reader])


def test_the_files_are_what_they_should_be(samples: tuple[Path, Path]) -> None:
    source, driving = samples
    assert sorted(os.listdir(source.parent)) == ["driving.mp4", "source.png"]
    assert read_image(source).shape == (512, 512, 3)
    info = probe(driving)
    assert (info.width, info.height, info.has_audio) == (512, 512, True)
    assert info.average_rate == RATE
    assert info.duration is not None and info.duration >= 5
    assert video_times(driving) == [Fraction(1001 * n, 30000) for n in range(FRAMES)]


def test_every_frame_has_a_face_that_moves_blinks_and_talks(
    frames: npt.NDArray[np.uint8],
) -> None:
    import dlib

    from animator.faces.detectors.dlib import predictor_path

    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(predictor_path()))
    points = []
    for frame in frames[::2]:
        small = np.ascontiguousarray(frame[::2, ::2])
        faces, scores, _ = detector.run(small, 0, 0.2)
        assert len(faces) == 1 and scores[0] > 0.2
        box = faces[0]
        sides = (box.left(), box.top(), box.right(), box.bottom())
        shape = predictor(frame, dlib.rectangle(*(2 * side for side in sides)))
        points.append([(point.x, point.y) for point in shape.parts()])
    landmarks = np.asarray(points, np.float64)
    eyes = np.linalg.norm(landmarks[:, 37] - landmarks[:, 41], axis=1)
    mouth = np.linalg.norm(landmarks[:, 62] - landmarks[:, 66], axis=1)
    nose = landmarks[:, 30] - landmarks[:, [0, 16]].mean(axis=1)
    assert eyes.min() < 0.6 * np.median(eyes)
    assert mouth.max() > 2.5 * mouth.min()
    assert np.ptp(nose[:, 0]) > 25 and np.ptp(landmarks[:, 30, 1]) > 15


def test_the_motion_is_smooth_and_starts_at_rest(frames: npt.NDArray[np.uint8]) -> None:
    steps = np.abs(np.diff(frames[:, ::8, ::8].astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 8 and steps[0] < 2
    start = pose_at(0.0)
    assert (start.yaw, start.pitch, start.roll, start.jaw, start.blink) == (0, 0, 0, 0, 0)


def test_the_voice_is_quiet_and_follows_the_mouth(samples: tuple[Path, Path]) -> None:
    sound = sound_on_timeline(samples[1])
    assert 0.02 < np.abs(sound).max() < 0.3
    size = 48000 * 1001 // 30000
    loudness = np.sqrt((voice()[: size * (FRAMES - 1)].reshape(-1, size) ** 2).mean(axis=1))
    jaw = [pose_at(float((n + 0.5) / RATE)).jaw for n in range(FRAMES - 1)]
    assert np.corrcoef(loudness, jaw)[0, 1] > 0.7


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnimatorError) as caught:
        write_samples(tmp_path / "file")
    assert caught.value.code == "output_not_writable"
    (tmp_path / "driving.mp4").mkdir()
    with pytest.raises(AnimatorError) as caught:
        write_samples(tmp_path)
    assert caught.value.code == "output_exists_as_folder"
    assert sorted(os.listdir(tmp_path)) == ["driving.mp4", "file", "source.png"]
