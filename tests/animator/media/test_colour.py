"""Colours of videos and photos as players show them, for every way to code them."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from animator.errors import AnimatorError
from animator.media.coding import VideoCoding
from animator.media.colour import Tags, shown_planes
from animator.media.decode import VideoReader, probe, read_image, read_picture
from animator.media.encode import VideoWriter
from tests.animator.media.colours import (
    P3,
    PROPHOTO,
    colourful,
    in_other_colours,
    to_planes,
    write_tagged,
)

HD = (1280, 720)
SD = (160, 96)


class Row(NamedTuple):
    """How a video is coded, and what its file says of that (0: nothing)."""

    name: str
    pix_fmt: str
    matrix: int
    full: bool = False
    primaries: int = 1
    transfer: int = 1
    tags: tuple[str, ...] = ("colorspace", "color_range", "color_primaries", "color_trc")
    size: tuple[int, int] = SD
    codec: str = "ffv1"


ALL = Row("", "", 0).tags
TABLE = [
    Row("small-untagged.mkv", "yuv420p", 5, tags=()),
    Row("large-untagged.mkv", "yuv420p", 1, tags=(), size=HD),
    Row("large-untagged.mp4", "yuv420p", 1, tags=(), size=HD, codec="libx264"),
    Row("small-709.mkv", "yuv420p", 1),
    Row("small-709.mp4", "yuv420p", 1, codec="libx264"),
    Row("large-601.mkv", "yuv422p", 6, size=HD),
    Row("full.mkv", "yuv420p", 1, full=True),
    Row("full.mp4", "yuv444p", 1, full=True, codec="libx264"),
    Row("motion-jpeg.avi", "yuvj420p", 5, full=True, size=HD, tags=(), codec="mjpeg"),
    Row("ten-bit.mkv", "yuv420p10le", 1),
    Row("smpte-c.mkv", "yuv420p", 6, primaries=6, transfer=6),
    Row("display-p3.mkv", "yuv420p10le", 1, primaries=12, transfer=13),
    Row("wide.mkv", "yuv420p10le", 9, primaries=9, transfer=14),
    Row("wide-8.mkv", "yuv420p", 9, primaries=9, transfer=14),
    Row("wide-only-primaries.mkv", "yuv420p10le", 9, primaries=9, tags=("color_primaries",)),
    Row("pq.mkv", "yuv420p10le", 9, primaries=9, transfer=16),
    Row("pq-full.mkv", "yuv444p10le", 9, full=True, primaries=9, transfer=16),
    Row("pq-only.mkv", "yuv420p10le", 9, primaries=9, transfer=16, tags=("color_trc",)),
    Row("hlg.mkv", "yuv420p10le", 9, primaries=9, transfer=18),
    Row("hlg.mov", "yuv420p10le", 9, primaries=9, transfer=18, codec="libx265"),
]


def mean_error(one: Any, other: Any) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_videos_show_their_colours(row: Row, tmp_path: Path) -> None:
    picture = colourful(*row.size)
    code = in_other_colours(picture, row.primaries, row.transfer)
    planes = to_planes(code, row.matrix, row.full, 10 if "10" in row.pix_fmt else 8)
    said = {
        "colorspace": row.matrix,
        "color_range": 2 if row.full else 1,
        "color_primaries": row.primaries,
        "color_trc": row.transfer,
    }
    options = {"ffv1": {}, "libx264": {"qp": "0"}, "mjpeg": {"qmin": "1", "q": "1"}}.get(
        row.codec, {"x265-params": "log-level=error:crf=4"}
    )
    tags = {name: said[name] for name in row.tags}
    path = write_tagged(tmp_path / row.name, planes, row.pix_fmt, row.codec, tags, **options)
    with VideoReader(path) as reader:
        shown = next(iter(reader)).pixels[1]
        notes = reader.info.notes
    assert mean_error(shown, picture) <= 2
    assert np.percentile(np.abs(shown.astype(int) - picture), 99) <= 10
    assert notes == (("hdr",) if row.transfer in (16, 18) else ())
    assert read_picture(path).notes == notes


@pytest.mark.parametrize("pix_fmt", ["gbrp10le", "bgr0", "bgra"])
def test_videos_in_rgb_show_their_colours(pix_fmt: str, tmp_path: Path) -> None:
    picture = colourful()
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SD, pix_fmt
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pix_fmt)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert mean_error(read_image(path), picture) <= 0.1


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_webm_lies_over_white(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    alpha = np.full(SD[::-1], 255, np.uint8)
    alpha[:, :80] = 64
    picture = np.full((*SD[::-1], 3), (200, 40, 40), np.uint8)
    planes = [*to_planes(picture / 255, 5, False, 8), alpha]
    tags = {"colorspace": 5, "color_range": 1}
    write_tagged(path, planes, "yuva420p", codec, tags, **{"auto-alt-ref": "0", "b": "2M"})
    with VideoReader(path) as reader:
        shown = np.concatenate([batch.pixels for batch in reader]).astype(int)
    assert len(shown) == 2
    assert np.abs(shown[:, 10:-10, 90:-10] - (200, 40, 40)).mean() <= 2
    over = 255 - (255 - np.array((200, 40, 40))) * 64 / 255
    assert np.abs(shown[:, 10:-10, 10:70] - over).mean() <= 2


def test_what_is_brighter_than_white_runs_into_it_softly() -> None:
    """Greys up to ten times diffuse white never darken, and keep apart up to white."""
    codes = np.linspace(0, 65535, 512).astype(np.uint16)[None]
    for transfer in (16, 18):
        tags = Tags(9, transfer, 9, True)
        grey = shown_planes((codes, codes, codes), tags)[0].astype(int)
        assert (np.diff(grey, axis=0) >= 0).all()
        assert grey[0].tolist() == [0, 0, 0] and grey[-1].tolist() == [255] * 3
        white = np.array([[round(65535 * {16: 0.5807, 18: 0.75}[transfer])]], np.uint16)
        assert 253 <= shown_planes((white, white, white), tags)[0, 0, 0] <= 255
        # A lamp in a strong colour beyond BT.709 is clipped, not wrapped round.
        red = shown_planes((codes, codes * 0, codes * 0), tags)[0].astype(int)
        assert red[-1, 0] == 255 and red[-1, 1] < 40 and (np.diff(red[:, 0]) >= 0).all()


def test_a_large_hdr_frame_is_quick() -> None:
    noise = np.random.default_rng(0).integers(0, 65535, (3, 1080, 1920), np.uint16)
    planes = (noise[0], noise[1], noise[2])
    seconds = []
    for _ in range(4):
        began = time.thread_time()
        shown_planes(planes, Tags(9, 18, 9, False))
        seconds.append(time.thread_time() - began)
    assert min(seconds[1:]) < 0.12  # measured 0.03 s


FINE = VideoCoding(options={"crf": "4", "preset": "veryfast"})


def test_results_carry_the_tags_of_their_colours(tmp_path: Path) -> None:
    picture = colourful()
    path = tmp_path / "a.mp4"
    with VideoWriter(path, width=160, height=96, time_base=probe_base(), coding=FINE) as writer:
        for pts in range(3):
            writer.write(picture, pts)
    with av.open(str(path)) as container:
        context: Any = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
        for tagged in (context, frame):
            tags = (tagged.color_primaries, tagged.color_trc, tagged.colorspace, tagged.color_range)
            assert [int(tag) for tag in tags] == [1, 1, 1, 1]
        luma = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(96, -1)[:, :160]
    expected = to_planes(picture / 255, 1, False, 8)[0]
    assert np.abs(luma - expected).mean() < 1
    assert mean_error(read_image(path), picture) <= 2


def probe_base() -> Any:
    from fractions import Fraction

    return Fraction(1, 25)


# -- photos ------------------------------------------------------------------------------------


def through(picture: np.ndarray, profile: bytes) -> Image.Image:
    ours = ImageCms.createProfile("sRGB")
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    told = ImageCms.profileToProfile(Image.fromarray(picture), ours, theirs)
    assert told is not None
    return told


@pytest.mark.parametrize("profile", [P3, PROPHOTO], ids=["p3", "prophoto"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp", "a.avif", "a.heic"])
def test_photos_with_a_profile_show_their_colours(
    name: str, profile: bytes, tmp_path: Path
) -> None:
    picture = colourful()
    told = through(picture, profile)
    options: dict[str, Any] = {"quality": 95} if name[2:] in ("jpg", "webp", "avif") else {}
    if name == "a.heic":
        pillow_heif.from_pillow(told).save(tmp_path / name, quality=95, icc_profile=profile)
    else:
        told.save(tmp_path / name, icc_profile=profile, **options)
    assert mean_error(read_image(tmp_path / name), picture) <= 2
    assert mean_error(np.asarray(told), picture) > 2  # without the profile it would fail


def test_profiles_hold_for_transparent_grey_and_palette_pictures(tmp_path: Path) -> None:
    picture = colourful()
    told = through(picture, P3)
    told.putalpha(Image.new("L", told.size, 128))
    told.save(tmp_path / "a.png", icc_profile=P3)
    assert mean_error(read_image(tmp_path / "a.png"), picture * (128 / 255) + 127) <= 2
    palette = Image.fromarray(picture).quantize(256)
    expected = np.asarray(palette.convert("RGB"))
    told = through(expected, PROPHOTO)
    told.quantize(256).save(tmp_path / "p.png", icc_profile=PROPHOTO)
    assert mean_error(read_image(tmp_path / "p.png"), expected) <= 2
    grey = Image.fromarray(np.full((40, 50), 100, np.uint8))
    grey.save(tmp_path / "g.png", icc_profile=PROPHOTO)  # gamma 1.8, lighter than sRGB
    assert abs(int(read_image(tmp_path / "g.png")[0, 0, 1]) - 119) <= 2


def test_a_broken_profile_is_a_note(tmp_path: Path) -> None:
    picture = colourful()
    cmyk = P3.replace(b"RGB ", b"CMYK", 1)
    for number, profile in enumerate((b"x" * 200, P3[:140], cmyk)):
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture).save(path, icc_profile=profile)
        still = read_picture(path)
        assert still.notes == ("broken_profile",)
        np.testing.assert_array_equal(still.pixels, picture)


def png_with(path: Path, picture: np.ndarray, kind: bytes, data: bytes) -> Path:
    Image.fromarray(picture).save(path)
    whole = path.read_bytes()
    chunk = struct.pack(">I", len(data)) + kind + data
    path.write_bytes(whole[:33] + chunk + struct.pack(">I", zlib.crc32(kind + data)) + whole[33:])
    return path


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 16), (9, 18), (1, 13)])
def test_numbers_of_a_png_are_heeded(primaries: int, transfer: int, tmp_path: Path) -> None:
    picture = colourful()
    code = in_other_colours(picture, primaries, transfer, still=True)
    stored = np.rint(255 * np.clip(code, 0, 1)).astype(np.uint8)
    path = png_with(tmp_path / "a.png", stored, b"cICP", bytes((primaries, transfer, 0, 1)))
    still = read_picture(path)
    assert mean_error(still.pixels, picture) <= 2
    assert still.notes == (("hdr",) if transfer > 15 else ())


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 16), (9, 18)])
def test_numbers_of_avif_and_heif_are_heeded(primaries: int, transfer: int, tmp_path: Path) -> None:
    picture = colourful()
    code = np.clip(in_other_colours(picture, primaries, transfer, still=True), 0, 1)
    Image.fromarray(np.rint(255 * code).astype(np.uint8)).save(
        tmp_path / "a.avif", quality=100, subsampling="4:4:4"
    )
    data = (tmp_path / "a.avif").read_bytes()
    at = data.index(b"colrnclx") + 8
    numbers = struct.pack(">HH", primaries, transfer)
    (tmp_path / "a.avif").write_bytes(data[:at] + numbers + data[at + 4 :])
    deep = np.rint(65535 * code).astype("<u2")
    photo = pillow_heif.from_bytes("RGB;16", SD, deep.tobytes())
    photo.save(
        tmp_path / "a.heic",
        quality=95,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=9,
    )
    for name in ("a.avif", "a.heic"):
        still = read_picture(tmp_path / name)
        coarse = name == "a.avif" and transfer == 16  # whose 8 bits are far apart
        assert mean_error(still.pixels, picture) <= (3 if coarse else 2), name
        assert still.notes == (("hdr",) if transfer > 15 else ()), name


def test_a_cameras_mark_of_adobe_rgb_is_heeded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    picture = np.full((64, 64, 3), (150, 180, 140), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif, quality=95)
    red, green, blue = read_image(tmp_path / "a.jpg")[30, 30].astype(int)
    assert red < 140 and abs(green - 180) < 4 and abs(blue - 138) < 5


def test_cmyk_lab_and_deep_pictures(tmp_path: Path) -> None:
    picture = colourful()
    lab = ImageCms.profileToProfile(
        Image.fromarray(picture),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    lab.save(tmp_path / "lab.tiff")
    assert mean_error(read_image(tmp_path / "lab.tiff"), picture) <= 2
    deep = np.full((40, 50, 2), (100 * 257, 128 * 257), ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 50, 40, 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        check = struct.pack(">I", zlib.crc32(kind + body))
        data += struct.pack(">I", len(body)) + kind + body + check
    (tmp_path / "la.png").write_bytes(data)
    assert np.abs(read_image(tmp_path / "la.png").astype(int) - 177).max() <= 1


# -- files of phones and cameras ---------------------------------------------------------------


UPRIGHT = {
    (b"irot", 0): None,
    (b"irot", 1): Image.Transpose.ROTATE_90,
    (b"irot", 2): Image.Transpose.ROTATE_180,
    (b"irot", 3): Image.Transpose.ROTATE_270,
    (b"imir", 0): Image.Transpose.FLIP_TOP_BOTTOM,
    (b"imir", 1): Image.Transpose.FLIP_LEFT_RIGHT,
}


@pytest.mark.parametrize("turned", UPRIGHT, ids=lambda turned: f"{turned[0].decode()}{turned[1]}")
def test_heic_is_read_upright(turned: tuple[bytes, int], tmp_path: Path) -> None:
    stored = Image.fromarray(colourful(256, 160))
    pillow_heif.from_pillow(stored).save(tmp_path / "a.heic", quality=95)
    data = bytearray((tmp_path / "a.heic").read_bytes())
    at = data.index(b"colrnclx")  # a property that says no more than what is assumed without it
    data[at : at + 5] = turned[0] + bytes([turned[1]])
    (tmp_path / "a.heic").write_bytes(data)
    expected = stored if UPRIGHT[turned] is None else stored.transpose(UPRIGHT[turned])
    shown = read_image(tmp_path / "a.heic")
    assert shown.shape[:2] == expected.size[::-1]
    assert mean_error(shown, np.asarray(expected)) <= 2


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_tiled_heic_is_read_whole_and_turned_once(
    tile: int, orientation: int, turned: int, tmp_path: Path
) -> None:
    """As phones write it: the orientation in the EXIF block is that of the box over again."""
    picture = colourful(256, 160)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tile_size": tile} if tile else {}
    heif = pillow_heif.from_pillow(Image.fromarray(picture))
    heif.save(tmp_path / "a.heic", quality=95, exif=exif.tobytes(), **options)
    data = (tmp_path / "a.heic").read_bytes()
    assert (b"irot" in data) == (turned > 0) and (b"grid" in data) == (tile > 0)
    shown = read_image(tmp_path / "a.heic")
    assert shown.shape == np.rot90(picture, turned).shape
    assert mean_error(shown, np.rot90(picture, turned)) <= 2


def test_the_main_picture_of_several_is_taken(tmp_path: Path) -> None:
    main, other = colourful(), np.zeros((64, 64, 3), np.uint8)
    several = pillow_heif.from_pillow(Image.fromarray(other))
    several.add_from_pillow(Image.fromarray(main))
    several.save(tmp_path / "a.heic", quality=95, primary_index=1)
    Image.fromarray(main).save(
        tmp_path / "a.jpg",
        format="MPO",
        save_all=True,
        append_images=[Image.fromarray(other)],
        quality=95,
    )
    Image.fromarray(main).save(tmp_path / "motion.jpg", quality=95)
    with (tmp_path / "motion.jpg").open("ab") as file:
        file.write(b"\0\0\0\x18ftypmp42" + bytes(4000))
    Image.fromarray(main).save(tmp_path / "a.ico", sizes=[(16, 9), (160, 96)])
    for name in ("a.heic", "a.jpg", "motion.jpg", "a.ico"):
        assert mean_error(read_image(tmp_path / name), main) <= 2, name


def test_raw_photos_are_refused_by_name(tmp_path: Path) -> None:
    preview = Image.fromarray(colourful())
    preview.save(tmp_path / "a.dng", format="TIFF", tiffinfo={50706: b"\1\4\0\0"})
    whole = struct.pack("<HHHIIHHIIHHII", 2, 256, 4, 1, 6000, 257, 4, 1, 4000, 0, 0, 0, 0)
    preview.save(tmp_path / "a.nef", format="TIFF", tiffinfo={330: 1})
    data = (tmp_path / "a.nef").read_bytes()
    at = data.index(struct.pack("<HH", 330, 4))
    offset = struct.pack("<I", len(data))
    (tmp_path / "a.nef").write_bytes(data[: at + 8] + offset + data[at + 12 :] + whole)
    (tmp_path / "a.cr3").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(5000))
    (tmp_path / "a.raf").write_bytes(b"FUJIFILMCCD-RAW 0201" + bytes(5000))
    for name in ("a.dng", "a.nef", "a.cr3", "a.raf"):
        with pytest.raises(AnimatorError, match="raw photo") as caught:
            read_image(tmp_path / name)
        assert caught.value.code == "unsupported_format", name


def test_heif_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.fromarray(colourful())).save(tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "other.heic").write_bytes(data.replace(b"hvc1", b"xyz1").replace(b"hvcC", b"xyzC"))
    (tmp_path / "half.heic").write_bytes(data[: len(data) // 2])
    (tmp_path / "head.heic").write_bytes(data[:40])
    for name in ("other.heic", "half.heic", "head.heic"):
        with pytest.raises(AnimatorError, match="HEIC") as caught:
            read_image(tmp_path / name)
        assert caught.value.code in ("unsupported_format", "unreadable_image"), name
    with pytest.raises(AnimatorError, match="is a picture") as caught:
        probe(tmp_path / "a.heic")
    assert caught.value.code == "unreadable_video"


def test_a_huge_heic_is_refused_from_its_header(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.fromarray(colourful())).save(tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    at = data.index(b"ispe") + 8
    (tmp_path / "a.heic").write_bytes(data[:at] + struct.pack(">II", 20000, 20000) + data[at + 8 :])
    with pytest.raises(AnimatorError) as caught:
        read_image(tmp_path / "a.heic")
    assert caught.value.code == "too_large"
