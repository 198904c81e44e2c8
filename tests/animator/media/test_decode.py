from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.media.decode import MediaLimits, VideoReader, content_hash, probe, read_image
from tests.animator.media_files import (
    edge_cases,
    needs_footage,
    noise,
    number,
    numbered,
    shown_times,
    video_times,
    write_video,
)

MS = Fraction(1, 1000)


def read(path: Path, **options: object) -> tuple[list[int], list[Fraction], list[int]]:
    """Frame numbers, times in seconds and batch lengths."""
    with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        numbers, times, lengths = [], [], []
        for batch in reader:
            numbers += [number(picture) for picture in batch.pixels]
            times += [pts * batch.time_base for pts in batch.pts]
            lengths.append(len(batch))
    return numbers, times, lengths


def code_of(path: Path | str, **options: object) -> str:
    with pytest.raises(AnimatorError) as caught, VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        for _ in reader:
            pass
    assert "\n" not in caught.value.message
    return caught.value.code


NTSC = [1001 * index for index in range(20)]
UNEVEN = [507, 1531, 2043, 2555, 5000, 5001, 9999]
KINDS = {
    "ntsc.mp4": (NTSC, Fraction(1, 30000), {}),
    "pal.mov": (list(range(20)), Fraction(1, 25), {}),
    "vfr.mp4": (UNEVEN, Fraction(1, 15360), {}),
    "late.mkv": ([40 * index + 1234 for index in range(9)], MS, {}),
    "vp9.webm": ([33 * index + 7 for index in range(9)], MS, {"codec": "libvpx-vp9"}),
    "old.mpg": (list(range(12)), Fraction(1, 25), {"codec": "mpeg1video"}),
    "late.ts": ([3600 * index + 126000 for index in range(9)], Fraction(1, 90000), {}),
    "old.avi": (list(range(12)), Fraction(1, 25), {"codec": "mpeg4"}),
    "anim.gif": ([0, 8, 17, 25, 60], Fraction(1, 100), {"codec": "gif", "pix_fmt": "rgb8"}),
    "deep.mkv": ([33 * index for index in range(9)], MS, {"pix_fmt": "yuv444p10le"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_comes_once_with_its_exact_time(name: str, tmp_path: Path) -> None:
    pts, time_base, options = KINDS[name]
    path = write_video(tmp_path / name, pts, time_base, **options)
    numbers, times, lengths = read(path, batch=4)
    assert numbers == list(range(len(pts)))
    assert times == shown_times(path)
    steps = [late - early for early, late in zip(times, times[1:], strict=False)]
    asked = [(late - early) * time_base for early, late in zip(pts, pts[1:], strict=False)]
    assert steps == asked
    assert all(length == 4 for length in lengths[:-1])


def test_start_and_end_choose_frames_and_times_start_anew(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [512 * n + 300 for n in range(60)], Fraction(1, 15360))
    numbers, times, _ = read(path, start=Fraction(1, 2), end=Fraction(1))
    assert numbers == list(range(15, 30))
    assert times == [Fraction(512 * n, 15360) for n in range(15)]
    with VideoReader(path, start=Fraction(1, 2), end=Fraction(1)) as reader:
        first = video_times(path)[0]
        assert first > 0
        assert (reader.audio_start, reader.audio_end) == (first + Fraction(1, 2), first + 1)
        assert reader.frames == 15
    with VideoReader(path) as reader:
        assert (reader.audio_start, reader.audio_end, reader.frames) == (first, None, 60)


@pytest.mark.parametrize("name", ["long.mp4", "long.mpg", "long.ts", "long.gif"])
def test_a_late_start_gives_the_same_frames_as_reading_all(name: str, tmp_path: Path) -> None:
    codec = {"mpg": "mpeg1video", "gif": "gif"}.get(name[-3:], "libx264")
    pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    options = {"g": "40"} if codec == "libx264" else None
    path = write_video(
        tmp_path / name, range(200), Fraction(1, 25), codec=codec, pix_fmt=pix_fmt, options=options
    )
    numbers, times, _ = read(path, start=Fraction("6.17"))
    assert numbers == list(range(155, 200))
    assert times[0] == 0 and times[-1] == Fraction(44, 25)


def test_rotation_mirroring_and_pixel_aspect_are_applied(tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", [0, 1], Fraction(1, 25), rotation=-90)
    info = probe(path)
    assert (info.width, info.height, abs(info.rotation)) == (96, 160, 90)
    with VideoReader(path) as reader:
        picture = next(iter(reader)).pixels[0]
    # Turned clockwise by 90 degrees: the upper left corner comes to the upper right.
    assert picture[5, -5, 0] > 200 and picture[-5, -5, 1] > 200

    path = write_video(tmp_path / "wide.mp4", [0, 1], Fraction(1, 25), pixel_aspect=Fraction(3, 2))
    assert (probe(path).width, probe(path).height) == (240, 96)
    path = write_video(tmp_path / "high.mp4", [0, 1], Fraction(1, 25), pixel_aspect=Fraction(2, 3))
    assert read(path)[0] == [0, 1]
    assert (probe(path).width, probe(path).height) == (160, 144)


def test_probe_tells_what_the_header_says(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a b.mp4", NTSC, Fraction(1, 30000), sound=noise(0.5, 48000), sound_rate=48000
    )
    info = probe(path)
    assert (info.width, info.height, info.rotation, info.frames) == (160, 96, 0, 20)
    assert info.time_base == Fraction(1, 30000)
    assert info.has_audio and info.codec == "h264" and "mp4" in info.format
    assert info.duration is not None and abs(info.duration - Fraction(20 * 1001, 30000)) < 40 * MS


def test_transparent_frames_lie_over_white(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (64, 48), (255, 0, 0, 0)) for _ in range(2)]
    frames[1].paste((0, 0, 255, 255), (0, 0, 32, 48))
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, disposal=2)
    with VideoReader(path) as reader:
        pixels = np.concatenate([batch.pixels for batch in reader])
    assert (pixels[0] == 255).all()
    assert pixels[1, 20, 10].tolist() == [0, 0, 255] and pixels[1, 20, 50].tolist() == [255] * 3


def test_a_size_that_changes_on_the_way_becomes_that_of_the_first_frame(tmp_path: Path) -> None:
    options = {"bf": "0"}
    write_video(tmp_path / "a.ts", range(10), Fraction(1, 25), options=options)
    write_video(tmp_path / "b.ts", range(10, 20), Fraction(1, 25), size=(320, 192), options=options)
    path = tmp_path / "both.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    numbers, times, _ = read(path)
    assert numbers == [*range(10), *range(10)]
    assert times == video_times(path)


def test_times_that_start_again_go_on_evenly(tmp_path: Path) -> None:
    write_video(tmp_path / "a.ts", range(100), Fraction(1, 25))
    path = tmp_path / "twice.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    numbers, times, _ = read(path)
    assert numbers == [*range(100), *range(100)]
    assert times == [Fraction(index, 25) for index in range(200)]
    numbers, times, _ = read(path, start=Fraction(6))
    assert (numbers, times[-1]) == ([*range(50, 100)], Fraction(49, 25))


def test_streams_that_turn_up_late_do_no_harm(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mpg", range(200), Fraction(1, 25), codec="mpeg1video")
    write_video(
        tmp_path / "b.mpg", range(230, 290), Fraction(1, 25), codec="mpeg1video",
        sound=noise(3, 48000), sound_codec="mp2", sound_start=Fraction(9),
    )  # fmt: skip
    path = tmp_path / "late.mpg"
    path.write_bytes((tmp_path / "a.mpg").read_bytes() + (tmp_path / "b.mpg").read_bytes())
    assert len(read(path)[0]) == 260


def test_large_frames_come_in_small_batches(tmp_path: Path) -> None:
    path = write_video(tmp_path / "big.mp4", range(5), Fraction(1, 25), size=(3840, 2160))
    assert read(path, batch=8)[2] == [2, 2, 1]


# -- what is refused ---------------------------------------------------------------------------


def test_missing_and_odd_inputs_have_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of(tmp_path / "nothing.mp4") == "no_such_file"
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        assert code_of("") == "no_frames"  # the folder where one is
    assert code_of("a\0b") == "no_such_file"
    assert code_of(tmp_path / ("x" * 300)) == "no_such_file"
    assert code_of(tmp_path) == "no_frames"  # a folder without pictures
    assert code_of("/dev/zero") == "not_a_file"
    os.mkfifo(tmp_path / "fifo.mp4")
    assert code_of(tmp_path / "fifo.mp4") == "not_a_file"
    (tmp_path / "empty.mp4").touch()
    assert code_of(tmp_path / "empty.mp4") == "unreadable_video"
    (tmp_path / "text.mp4").write_text("Dear diary,\n" * 100)
    assert code_of(tmp_path / "text.mp4") == "unreadable_video"
    Image.new("RGB", (64, 64)).save(tmp_path / "still.png")
    assert code_of(tmp_path / "still.png") == "unreadable_video"


def test_a_file_that_may_not_be_read_has_a_code(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"x")
    secret.chmod(0)
    if os.geteuid() == 0:  # whom permissions do not stop
        os.seteuid(65534)
        try:
            assert code_of(secret) == "unreadable_file"
        finally:
            os.seteuid(0)
    else:
        assert code_of(secret) == "unreadable_file"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n",
        "\ufeff\n#EXTM3U\n{path}\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "file '{path}'\n",
        "<?xml version='1.0'?><MPD><BaseURL>{path}</BaseURL></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5000 RTP/AVP 96\n",
    ],
)
def test_files_that_name_other_files_are_refused(text: str, tmp_path: Path) -> None:
    target = write_video(tmp_path / "target.mp4", range(5), Fraction(1, 25))
    script = tmp_path / "innocent.mp4"
    script.write_text(text.format(path=target))
    assert code_of(script) == "unsupported_format"
    with pytest.raises(AnimatorError) as caught:
        read_image(script)
    assert caught.value.code == "unsupported_format"


def test_a_movie_that_refers_to_another_file_does_not_open_it(tmp_path: Path) -> None:
    target = write_video(tmp_path / "target.mp4", range(5), Fraction(1, 25))
    data = target.read_bytes()
    # A data reference of "alis" kind with its "self-contained" flag off names another file.
    changed = data.replace(b"url \0\0\0\1", b"url \0\0\0\0")
    assert changed != data
    (tmp_path / "refers.mp4").write_bytes(changed)
    reader_codes = {"unreadable_video", "no_frames"}
    try:
        assert read(tmp_path / "refers.mp4")[0] == list(range(5))
    except AnimatorError as error:
        assert error.code in reader_codes


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("name", "codec", "flags"),
    [
        ("a.mp4", "libx264", ""),
        ("faststart.mp4", "libx264", "faststart"),
        ("fragments.mp4", "libx264", "frag_keyframe+empty_moov"),
        ("a.mkv", "libx264", ""),
        ("a.avi", "mpeg4", ""),
        ("a.gif", "gif", ""),
    ],
)
def test_a_truncated_file_is_an_error_and_not_a_shorter_video(
    name: str, codec: str, flags: str, share: float, tmp_path: Path
) -> None:
    path = write_video(
        tmp_path / name,
        range(100),
        Fraction(1, 25),
        codec=codec,
        pix_fmt="rgb8" if codec == "gif" else "yuv420p",
        options={"g": "10"},
        container_options={"movflags": flags} if flags else None,
    )
    assert len(read(path)[0]) == 100
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    try:
        numbers = read(path)[0]
    except AnimatorError as error:
        assert error.code == "unreadable_video"
    else:
        assert share == 0.99 and numbers == list(range(100))  # only an index at the end was lost


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(100), Fraction(1, 25), options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 2000
    data[middle : middle + 3000] = os.urandom(3000)
    path.write_bytes(data)
    # What the decoder can conceal stays as it is; what it cannot must not be left out silently.
    try:
        assert len(read(path)[0]) == 100
    except AnimatorError as error:
        assert error.code == "unreadable_video"


def test_sound_alone_has_no_picture(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(noise(0.5, 48000), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert code_of(tmp_path / "a.m4a") == "no_video_stream"


def test_limits_hold_for_the_part_that_is_used(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(100), Fraction(1, 25))
    assert code_of(path, limits=MediaLimits(max_seconds=3)) == "too_long"
    assert code_of(path, limits=MediaLimits(max_frames=99)) == "too_long"
    part = {"start": Fraction(1), "end": Fraction(3)}
    assert len(read(path, **part, limits=MediaLimits(max_seconds=3, max_frames=50))[0]) == 50
    assert code_of(path, limits=MediaLimits(max_frame_pixels=160 * 96 - 1)) == "too_large"
    assert code_of(path, limits=MediaLimits(max_bytes=100)) == "too_large"
    assert probe(path, MediaLimits(max_seconds=3)).frames == 100
    with pytest.raises(ValueError, match="positive"):
        MediaLimits(max_frames=0)


def test_a_header_that_lies_about_the_length_is_found_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", range(100), Fraction(1, 25))
    assert code_of(path, limits=MediaLimits(max_frames=99)) == "too_long"


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [("-1", None, "invalid_option"), ("2", "2", "invalid_option"), ("9", None, "no_frames")],
)
def test_impossible_spans_have_codes(
    start: str, end: str | None, code: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", range(100), Fraction(1, 25))
    assert code_of(path, start=Fraction(start), end=Fraction(end) if end else None) == code


NAMES = [
    "with space.mp4",
    "quote'\".mp4",
    "new\nline.mp4",
    "日本語 Ünïcode.mp4",
    "-i.mp4",
    "frame%03d.mp4",
    "http:evil.mp4",
    "concat:a|b.mp4",
    "file:a.mp4",
    "pipe:0",
    "data:,x.png",
    os.fsdecode(b"bytes-\xff.mp4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = write_video(tmp_path / "plain.mp4", range(3), Fraction(1, 25))
    plain.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read(Path(name))[0] == [0, 1, 2]
    (tmp_path / name).unlink()
    assert code_of(name) == "no_such_file"
    Image.fromarray(numbered(5)).save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    assert number(read_image(Path(name))) == 5


# -- pictures ----------------------------------------------------------------------------------


def test_plain_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    picture = numbered(77)
    for name in ("a.png", "a.bmp", "a.tiff", "a.ppm"):
        Image.fromarray(picture).save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), picture)
    for name in ("a.jpg", "a.webp", "a.avif"):
        Image.fromarray(picture).save(tmp_path / name, quality=95)
        assert number(read_image(tmp_path / name)) == 77


def check_grey(path: Path, expected: int) -> None:
    pixels = read_image(path)
    assert pixels.dtype == np.uint8 and pixels.shape == (40, 50, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_grey_deep_and_palette_pictures(tmp_path: Path) -> None:
    grey = np.full((40, 50), 100, np.uint8)
    deep = grey.astype(np.uint16) * 257
    pictures: dict[str, Image.Image] = {
        "grey.png": Image.fromarray(grey),
        "sixteen.png": Image.fromarray(deep),
        "sixteen.tiff": Image.fromarray(deep),
        "float.tiff": Image.fromarray((grey / 255).astype(np.float32)),
        "palette.png": Image.fromarray(grey).convert("P"),
        "cmyk.jpg": Image.fromarray(grey).convert("CMYK"),
        "cmyk.tiff": Image.fromarray(grey).convert("CMYK"),
        "ycbcr.jpg": Image.fromarray(grey).convert("YCbCr"),
        "one.png": Image.fromarray(np.full((40, 50), 255, np.uint8)).convert("1"),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        check_grey(tmp_path / name, 255 if name == "one.png" else 100)


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    import cv2

    colour = np.zeros((40, 50, 3), np.uint16)
    colour[...] = (10 * 257, 120 * 257, 250 * 257)
    for name in ("a.png", "a.tiff"):
        cv2.imwrite(str(tmp_path / name), colour)
        pixels = read_image(tmp_path / name)
        assert np.abs(pixels.astype(int) - [250, 120, 10]).max() <= 1


def test_transparent_pictures_lie_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((40, 50, 4), np.uint8)
    rgba[:, :25] = (200, 100, 50, 255)
    rgba[:, 25:] = (0, 0, 0, 128)
    for name in ("a.png", "a.webp", "a.tiff"):
        Image.fromarray(rgba).save(tmp_path / name, lossless=True)
        pixels = read_image(tmp_path / name).astype(int)
        assert np.abs(pixels[:, :25] - [200, 100, 50]).max() <= 1
        assert np.abs(pixels[:, 25:] - 127).max() <= 1
    Image.fromarray(rgba[..., 3]).save(tmp_path / "palette.png")
    palette = Image.fromarray(rgba[..., :3]).quantize(4)
    palette.info["transparency"] = 0
    palette.save(tmp_path / "palette.png", transparency=int(np.asarray(palette)[0, 49]))
    assert read_image(tmp_path / "palette.png")[0, 49].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    picture = Image.fromarray(numbered(3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.asarray(expected))
    if orientation == 6:
        assert read_image(tmp_path / "a.png").shape == (160, 96, 3)


def test_animated_pictures_and_videos_give_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(numbered(index + 4)) for index in range(3)]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert number(read_image(tmp_path / name)) == 4
    video = write_video(tmp_path / "a.mp4", range(3), Fraction(1, 25))
    assert number(read_image(video, MediaLimits(max_frames=1))) == 0


def bad_image_code(path: Path) -> str:
    with pytest.raises(AnimatorError) as caught:
        read_image(path)
    return caught.value.code


def test_bad_pictures_have_codes(tmp_path: Path) -> None:
    assert bad_image_code(tmp_path / "nothing.png") == "no_such_file"
    assert bad_image_code(tmp_path) == "no_frames"
    (tmp_path / "text.png").write_text("hello\n" * 100)
    assert bad_image_code(tmp_path / "text.png") == "unreadable_image"
    noisy = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    for name in ("a.jpg", "a.png", "a.webp", "a.gif"):
        Image.fromarray(noisy).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert bad_image_code(tmp_path / name) == "unreadable_image"
        (tmp_path / name).write_bytes(data[:20])
        assert bad_image_code(tmp_path / name) == "unreadable_image"


@pytest.mark.parametrize("name", ["huge.png", "huge.jpg", "huge.tiff", "huge.bmp", "huge.gif"])
def test_a_huge_picture_is_refused_from_its_header(name: str, tmp_path: Path) -> None:
    """400 million pixels would take 1.2 GB; the address space allowed here does not hold them."""
    path = tmp_path / name
    Image.new("L", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    if name.endswith("png"):
        import zlib

        data[16:24] = (20000).to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif name.endswith("jpg"):
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = (20000).to_bytes(2, "big") * 2
    elif name.endswith("bmp"):
        data[18:26] = (20000).to_bytes(4, "little") * 2
    elif name.endswith("gif"):
        data[6:10] = (20000).to_bytes(2, "little") * 2
    else:
        Image.new("1", (20000, 20000)).save(path, compression="tiff_lzw")
        data = bytearray(path.read_bytes())
    path.write_bytes(data)
    before = peak_bytes()
    assert bad_image_code(path) == "too_large"
    assert code_of(path) in ("unreadable_video", "too_large")
    assert peak_bytes() - before < 100 * 1024**2


def peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_huge_video_frame_is_refused_from_its_header(tmp_path: Path) -> None:
    frames = [Image.new("P", (64, 48), color) for color in (0, 1)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = bytearray(path.read_bytes())
    data[6:10] = (12000).to_bytes(2, "little") * 2
    path.write_bytes(data)
    before = peak_bytes()
    assert code_of(path) in ("too_large", "unreadable_video")
    assert peak_bytes() - before < 100 * 1024**2


def test_the_content_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    with pytest.raises(AnimatorError):
        content_hash(tmp_path / "b")


# -- real footage ------------------------------------------------------------------------------


@needs_footage
@pytest.mark.parametrize("path", edge_cases(), ids=lambda path: path.name)
def test_edge_cases_decode_to_what_the_plain_decoder_gives(path: Path) -> None:
    with av.open(str(path)) as container:
        expected: list[tuple[int | None, float]] = []
        for index, frame in enumerate(container.decode(video=0)):
            shown = index % 50 == 0
            mean = float(frame.to_ndarray(format="rgb24").mean()) if shown else 0.0
            expected.append((frame.pts, mean))
    got: list[tuple[int, float]] = []
    with VideoReader(path) as reader:
        turned, info = reader.info.rotation, reader.info
        for batch in reader:
            assert batch.pixels.shape[1:] == (info.height, info.width, 3)
            shown = len(got) + np.arange(len(batch))
            means = [
                float(pixels.mean()) if index % 50 == 0 else 0.0
                for index, pixels in zip(shown, batch.pixels, strict=True)
            ]
            got += zip(batch.pts, means, strict=True)
    zero = expected[0][0] or 0
    assert [pts for pts, _ in got] == [(pts or 0) - zero for pts, _ in expected]
    if not turned and info.codec != "gif":
        for (_, ours), (_, theirs) in zip(got[::50], expected[::50], strict=True):
            assert abs(ours - theirs) < 2
