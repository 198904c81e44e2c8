"""Evaluations from the command line to the files, on real and made faces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from animator.cli import app
from animator.errors import AnimatorError
from animator.evaluation.cases import Case, cross_cases, read_clips, retargeted, self_cases
from animator.evaluation.faces import Instruments, measure_case
from animator.evaluation.run import EvaluationRequest, evaluate, labelled
from animator.evaluation.sheets import file_name
from animator.faces.crop import fit_size
from animator.faces.detectors import make_detector
from animator.faces.identity import SAME_PERSON, IdentityModel, similarity
from animator.faces.tracking import FaceTracker
from animator.media.decode import VideoReader
from animator.settings import Settings
from gfla import checkpoint
from gfla.config import ABLATIONS
from gfla.data.openings import openness
from gfla.data.packs import write_pack
from gfla.evaluation.baselines import copy_source
from gfla.evaluation.metrics import PictureMetric, l1_distance
from gfla.evaluation.protocol import ClipOptions, PictureOptions, Protocol, load_protocol
from gfla.evaluation.report import label
from tests.gfla.person_files import write_prepared
from tests.golden.faces import MEAN_FACE
from tests.helpers import COMPACT, random_vgg, small_generator

pytest.importorskip("torchmetrics")
pytest.importorskip("yaml")
FACES = Protocol(
    "test",
    "faces",
    ("l1", "ssim", "landmarks", "identity", "jitter", "mouth_l1", "eyes_opening", "eyes_flicker"),
    pictures=PictureOptions(128, 128),
    clips=ClipOptions(frames=6, every=3),
)
REGIONS_OF_TRUTH = {"mouth_l1": 0, "eyes_opening": 0, "eyes_flicker": 1}
run = CliRunner().invoke


@pytest.fixture(scope="module")
def packs(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packs of a real face that moves; the second one mirrored, as another person."""
    folder = tmp_path_factory.mktemp("packs")
    with VideoReader(str(samples[1])) as reader:
        batches = iter(reader)
        frames = np.concatenate([next(batches).pixels, next(batches).pixels])[:10]
    tracker = FaceTracker(make_detector("dlib"))
    points = tracker.track(frames).points
    units = (points + 0.5) / frames.shape[1]
    small = [fit_size(frame, 128) for frame in frames]
    write_pack(folder / "one.npz", small, units, {"identity": "p1", "kind": "clip"})
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in small]
    found = FaceTracker(make_detector("dlib")).track(np.stack(mirrored)).points
    write_pack(folder / "two.npz", mirrored, (found + 0.5) / 128, {"identity": "p2"})
    write_pack(folder / "still.npz", small[:1], units[:1], {"identity": "p3"})
    return folder


@pytest.fixture(scope="module")
def face_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return path


def instruments(protocol: Protocol) -> Instruments:
    plain = {"l1": PictureMetric("l1", lambda a, b, mask: l1_distance(a, b))}
    return Instruments(protocol, plain, make_detector("dlib"), None)


@pytest.mark.slow
def test_faces_from_the_command_to_the_tables(
    packs: Path, face_weights: Path, tmp_path: Path, state_dir: Path
) -> None:
    protocol = tmp_path / "protocol.json"
    protocol.write_text(json.dumps(FACES.to_dict()))
    arguments = ["evaluate", "--protocol", str(protocol), "--data", str(packs), "--device", "cpu"]
    arguments += ["--weights", f"mine={face_weights}"]
    done = run(app, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    table = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))
    assert table["protocol_sha256"] == FACES.sha256 and FACES.sha256 in page
    assert table["data"]["clips"] == 2 and table["data"]["identities"] == 2
    assert len(table["weights"]["mine"]) == 64 and table["versions"]["torch"]
    assert table["versions"]["arithmetic"] == "float32 on cpu"
    own, cross = table["tables"]
    assert [row["name"] for row in own["rows"]] == [
        "copy of the source", "piecewise-affine warp", "landmark spline", "mine",
    ]  # fmt: skip
    figures = {row["name"]: row["figures"] for row in own["rows"]}
    warp, copy = figures["piecewise-affine warp"], figures["copy of the source"]
    assert warp["l1"]["value"] < copy["l1"]["value"]
    assert warp["landmarks"]["value"] < copy["landmarks"]["value"]
    assert copy["identity"]["value"] > SAME_PERSON
    assert set(figures["mine"]) == set(FACES.metrics)
    assert cross["metrics"] == ["landmarks", "identity", "jitter", "eyes_opening"]
    assert warp["mouth_l1"]["value"] < copy["mouth_l1"]["value"]
    assert "| mouth L1 ↓ | eyes opening % ↓ | eyes flicker → 1 |" in page
    sheets = sorted(path.name for path in (tmp_path / "out" / "sheets").iterdir())
    assert sheets == [f"{s}-mine-{r}.png" for s in ("cross", "self") for r in RANKS]
    with Image.open(tmp_path / "out" / "sheets" / "self-mine-worst.png") as sheet:
        assert sheet.width > 1000
    again = run(app, [*arguments, "--out", str(tmp_path / "out")])
    assert again.exit_code == 1 and "output_exists" in again.output


RANKS = ("best", "median", "worst")


def test_cases_of_a_clips_own_motion(packs: Path) -> None:
    clips = read_clips(packs, FACES)
    assert [name for name, _ in clips] == ["one", "two"]  # a still is no clip
    case = next(self_cases(clips, FACES))
    clip = clips[0][1]
    assert case.measured == len(case.targets) == 5
    assert np.array_equal(case.targets, clip.landmarks[1:6])
    assert np.array_equal(case.driving_frame(2, FACES), clip.frame(3))


def test_a_closed_mouth_may_be_the_source(packs: Path) -> None:
    clips = read_clips(packs, FACES)
    protocol = replace(FACES, clips=replace(FACES.clips, source="closed-mouth"))
    case, clip = next(self_cases(clips, protocol)), clips[0][1]
    closest = int(np.argmin(openness(clip.landmarks[: FACES.clips.frames], "mouth")))
    assert np.array_equal(case.source_points, clip.landmarks[closest])


def test_cases_of_another_persons_motion(packs: Path) -> None:
    clips = read_clips(packs, FACES)
    first, second = cross_cases(clips, FACES)
    assert (first.name, first.identity) == ("one moved by two", "p1")
    assert (second.name, second.identity) == ("two moved by one", "p2")
    assert len(first.targets) == 5 and not first.truth
    with pytest.raises(Exception, match="at least two people"):
        list(cross_cases(clips[:1], FACES))


def test_relative_motion_starts_from_the_sources_own_face() -> None:
    protocol = replace(FACES, clips=ClipOptions(smoothing=0, anchor="first"))
    source = (MEAN_FACE * 0.8 + 0.1).astype(np.float32)
    driving = np.stack([MEAN_FACE, MEAN_FACE + 0.05]).astype(np.float32)
    found = retargeted(source, driving, protocol)
    assert np.abs(found[0] - source).max() < 1e-3
    assert np.abs(found[1] - source - 0.04).max() < 1e-3  # the driving face is larger


@pytest.mark.slow
def test_copying_the_source_is_measured_as_what_it_is(packs: Path) -> None:
    (_, clip), *_ = clips = read_clips(packs, FACES)
    case = next(self_cases(clips, FACES))
    samples, shown = measure_case(case, {"copy": copy_source}, instruments(FACES))
    truth = [clip.frame(index) for index in (1, 4)]
    wanted = np.mean([np.abs(clip.frame(0) - 0.0 - frame).mean() / 127.5 for frame in truth])
    assert samples[0].figures["l1"] == pytest.approx(float(wanted), rel=1e-5)
    assert shown.frames == [2, 5]
    assert list(shown.rows) == ["true frame", "copy"]
    again, _ = measure_case(case, {"copy": copy_source}, instruments(FACES))
    assert again == samples


def test_perfect_results_have_no_error(packs: Path) -> None:
    case = next(self_cases(read_clips(packs, FACES), FACES))
    frames = [case.driving_frame(place, FACES) for place in range(5)]
    figures = measure_case(case, {"truth": lambda *given: iter(frames)}, instruments(FACES))[0][0]
    assert figures.figures == {"l1": 0, "landmarks": 0, "jitter": 0} | REGIONS_OF_TRUTH


def test_crops_are_measured_by_the_protocols_perceptual_metric(packs: Path) -> None:
    metrics = ("vgg16-features", "mouth_perceptual", "eyes_perceptual", "mouth_opening", "lids_l1")
    protocol = replace(FACES, metrics=metrics)
    case = next(self_cases(read_clips(packs, protocol), protocol))
    tools = instruments(protocol)
    tools.pictures = {"vgg16-features": PictureMetric("vgg16-features", _brightness)}
    brighter = [np.clip(case.driving_frame(n, protocol), 0, 245) + 10 for n in range(5)]
    figures = measure_case(case, {"m": lambda *given: iter(brighter)}, tools)[0][0].figures
    assert set(figures) == set(metrics)
    assert figures["mouth_perceptual"] == pytest.approx(10 / 127.5, rel=0.05)
    assert label("mouth_perceptual", protocol) == "mouth VGG16 feature distance"
    assert label("eyes_perceptual", load_protocol("faces")) == "eyes LPIPS (alex, v0.1)"


@pytest.mark.slow
def test_drift_is_a_late_distance_over_an_early_one(packs: Path) -> None:
    options = ClipOptions(frames=4, drift_early=4, drift_late=9, drift_window=2)
    protocol = replace(FACES, metrics=("l1", "vgg16-features", "drift"), clips=options)
    clips = read_clips(packs, protocol)
    case = next(self_cases(clips, protocol))
    assert (case.measured, len(case.targets)) == (3, 8)
    tools = instruments(protocol)
    # Brightness in place of a perceptual distance; frame n is rendered as n grey levels too bright.
    tools.pictures = {"vgg16-features": PictureMetric("vgg16-features", _brightness)}

    def brighter(source, points, targets):  # type: ignore[no-untyped-def]
        for place in range(len(targets)):
            truth = case.driving_frame(place, protocol).astype(int)
            yield np.clip(truth // 2 + place + 2, 0, 255).astype(np.uint8)

    def halved(self, place, protocol):  # type: ignore[no-untyped-def]
        clip, frames = self.driving
        return (clip.frame(int(frames[place])).astype(int) // 2).astype(np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        rendered = list(brighter(None, None, case.targets))
        patch.setattr(Case, "driving_frame", halved)
        samples, _ = measure_case(case, {"m": lambda *given: iter(rendered)}, tools)
    figures = samples[0].figures
    assert figures["drift early"] == pytest.approx(3.5 / 127.5, rel=1e-4)
    assert figures["drift late"] == pytest.approx(8.5 / 127.5, rel=1e-4)
    assert figures["drift"] == pytest.approx(8.5 / 3.5, rel=1e-4)


def _brightness(
    result: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    return (result.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs()


def test_short_clips_have_no_drift_unless_they_go_back(packs: Path) -> None:
    options = ClipOptions(frames=6, drift_early=6, drift_late=20, drift_window=2)
    metrics = ("l1", "vgg16-features", "drift")
    protocol = replace(FACES, metrics=metrics, clips=options)
    clips = read_clips(packs, protocol)
    assert len(next(self_cases(clips, protocol)).targets) == 5
    looped = replace(protocol, clips=replace(options, drift_loop=True))
    case = next(self_cases(clips, looped))
    assert len(case.targets) == 19 and case.measured == 5
    assert np.array_equal(case.targets[9], clips[0][1].landmarks[8])  # on its way back


def test_a_face_is_like_itself_and_unlike_another(packs: Path, shared_dir: Path) -> None:
    model = IdentityModel()
    (_, one), _ = read_clips(packs, FACES)
    first, later = (model.embed(one.frame(n), one.landmarks[n] * 128 - 0.5) for n in (0, 9))
    portraits = sorted((shared_dir / "media" / "faces" / "portraits").glob("*.jpg"))
    from animator.faces.tracking import find_face
    from animator.media.decode import read_image

    other = read_image(str(portraits[0]))
    points = find_face(other, make_detector("dlib"))[0].points[0]
    assert similarity(first, first) == 1
    assert similarity(first, later) > SAME_PERSON > similarity(first, model.embed(other, points))


@pytest.mark.slow
def test_one_command_makes_the_table_of_ablations(tmp_path: Path, state_dir: Path) -> None:
    widths = {"encoder_widths": (4, 6, 8), "flow_widths": (4, 4, 6, 6, 8), "attention_hidden": 8}
    write_prepared(tmp_path / "data" / "held-out", (64, 64), ("a.png", "b.png", "c.png"))
    protocol = Protocol("tiny", "pairs", ("l1", "ssim"), pictures=PictureOptions(64, 64))
    (tmp_path / "p.json").write_text(json.dumps(protocol.to_dict()))
    random_vgg(tmp_path / "vgg.safetensors", ["relu5_3"])
    arguments = ["evaluate", "--protocol", str(tmp_path / "p.json"), "--save-pictures"]
    arguments += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    arguments += ["--features", str(tmp_path / "vgg.safetensors")]
    for name, config in ABLATIONS.items():
        path = tmp_path / f"{name}.safetensors"
        checkpoint.save(path, small_generator(replace(config, **widths)), {"name": name})
        arguments += ["--weights", f"{name}={path}"]
    done = run(app, arguments)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    head = "| method | parameters | flow-based | content-aware sampling | L1 ↓ | SSIM ↑ | VGG16"
    assert head in page
    for row in ("| copy of the source |  |", " M | Y | Y |", "| bilinear |"):
        assert row in page
    assert "instead" not in page and '"vgg16-features"' in page
    sheets = sorted(path.stem for path in (tmp_path / "out" / "sheets").iterdir())
    assert sheets == sorted(ABLATIONS)
    assert len(list((tmp_path / "out" / "pictures").rglob("*.png"))) == 5 * 6


@pytest.mark.slow
def test_two_folders(tmp_path: Path, state_dir: Path) -> None:
    for name, shade in (("real", 100), ("fake", 110)):
        (tmp_path / name).mkdir()
        for number in range(3):
            picture = np.full((64, 64, 3), shade + 20 * number, np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    out = tmp_path / "out"
    arguments = ["evaluate", "folders", str(tmp_path / "real"), str(tmp_path / "fake")]
    done = run(app, [*arguments, "--metrics", "l1, psnr", "--out", str(out)])
    assert done.exit_code == 0, done.output
    table = json.loads((out / "table.json").read_text())["tables"][0]
    figures = table["rows"][0]["figures"]
    assert figures["l1"]["value"] == pytest.approx(10 / 127.5, rel=1e-5)
    assert figures["psnr"]["value"] == pytest.approx(20 * np.log10(25.5), rel=1e-5)
    assert table["metrics"] == ["l1", "psnr"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["evaluate"], "invalid_option"),
        (["evaluate", "--data", "x", "--out", "y", "--protocol", "none"], "bad_protocol"),
        (["evaluate", "--data", "x", "--out", "y", "--protocol", "folders"], "invalid_option"),
        (["evaluate", "--data", "x", "--out", "y"], "bad_data"),
        (["evaluate", "folders", "x", "y", "--out", "z", "--metrics", "l1"], "bad_data"),
        (["evaluate", "folders", "x", "y", "--out", "z", "--metrics", "lpips"], "bad_protocol"),
        (["evaluate", "folders", "x", "y", "--out", "z", "--protocol", "small"], "invalid_option"),
    ],
)
def test_errors_have_codes(
    arguments: list[str],
    code: str,
    tmp_path: Path,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(app, arguments)
    assert done.exit_code == 1
    assert f"error [{code}]" in done.output


def test_a_metric_that_cannot_be_had_is_no_other_metric(
    packs: Path, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    done = run(app, ["evaluate", "--data", str(packs), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "error [metric_unavailable]" in done.output
    assert "https://download.pytorch.org/models/alexnet" in done.output
    assert str(tmp_path / "hub" / "checkpoints") in done.output
    assert not (tmp_path / "out" / "table.md").exists()


def test_weights_of_another_kind_are_refused(
    face_weights: Path, tmp_path: Path, state_dir: Path
) -> None:
    write_prepared(tmp_path / "data", (64, 64))
    protocol = Protocol("tiny", "pairs", ("l1",), pictures=PictureOptions(64, 64))
    weights = ((None, str(face_weights)),)
    request = EvaluationRequest(protocol, tmp_path / "data", tmp_path / "out", weights)
    with pytest.raises(AnimatorError) as raised:
        evaluate(request, Settings(state_dir))
    assert raised.value.code == "weights_wrong_kind"


def test_rows_need_names_of_their_own(
    packs: Path, face_weights: Path, tmp_path: Path, state_dir: Path
) -> None:
    request = EvaluationRequest(FACES, packs, tmp_path / "out", ((None, str(face_weights)),) * 2)
    with pytest.raises(AnimatorError, match="Two rows"):
        evaluate(request, Settings(state_dir))


def test_protocols_can_be_listed_and_printed(state_dir: Path) -> None:
    listed = run(app, ["evaluate", "protocols"])
    assert "paper: " in listed.output and "faces: " in listed.output
    printed = run(app, ["evaluate", "protocols", "paper"])
    assert printed.exit_code == 0 and '"expected_samples": 8570' in printed.output


def test_labels_are_told_from_paths(tmp_path: Path) -> None:
    odd = tmp_path / "a=b.safetensors"
    odd.write_bytes(b"")
    assert labelled("mine=default") == ("mine", "default")
    assert labelled("default") == (None, "default")
    assert labelled(str(odd)) == (None, str(odd))


def test_names_of_rows_become_names_of_files() -> None:
    assert file_name("face-compact-1@ab12") == "face-compact-1-ab12"
    assert file_name("../..") == "row"
