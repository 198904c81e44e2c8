"""Results of the whole pipeline: marked, signed, and rendered again; with a small network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from animator import __version__
from animator.animation.pipeline import animate
from animator.animation.rerender import compare_again, spec_of
from animator.errors import AnimatorError
from animator.provenance.mark import COMPOSITE, TRAINED
from animator.provenance.verifying import verify_file, with_inputs
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from tests.animator.provenance.certificates import Signer, make_signer

Samples = tuple[Path, Path]


@pytest.fixture
def spec(samples: Samples, weights: str, tmp_path: Path) -> JobSpec:
    folder = tmp_path / "out"
    folder.mkdir()
    return JobSpec(
        source=str(samples[0]),
        driving=str(samples[1]),
        output=str(folder / "out.mp4"),
        end="0.2",
        size=128,
        margin=1.75,
        detector="dlib",
        device="cpu",
        weights=weights,
    )


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "signer")


@pytest.fixture
def signing(signer: Signer) -> Settings:
    return replace(
        Settings.from_environment(), c2pa_certificate=signer.certificate, c2pa_key=signer.key
    )


def losing(path: Path, stage: str) -> Callable[[Progress], None]:
    """A file that is gone once this stage is reached."""

    def report(progress: Progress) -> None:
        if progress.stage == stage:
            path.unlink(missing_ok=True)

    return report


@pytest.mark.parametrize("mode", ["crop", "paste-back"])
def test_a_result_says_how_it_was_made_and_names_no_file(mode, spec):
    result = animate(replace(spec, output_mode=mode))
    report = verify_file(Path(spec.output))
    assert (report.verdict, report.told_by, report.media) == ("intact", "xmp", "unchanged")
    assert report.marks == {"signature": "absent", "xmp": "present", "comment": "present"}
    assert report.source_type == (TRAINED if mode == "crop" else COMPOSITE)
    mark = report.mark
    assert (mark.version, mark.weights) == (__version__, result.weights)
    assert mark.hashes == result.hashes
    expected = {"size": 128, "end": "0.2", "output_mode": mode, "precision": "float32"}
    assert expected.items() <= mark.settings.items()
    assert not {"weights", "device", "source", "driving", "output"} & mark.settings.keys()
    content = Path(spec.output).read_bytes()
    for name in (spec.source, spec.driving, spec.output, spec.weights):
        assert os.path.dirname(name).encode() not in content
    inputs = {"source": Path(spec.source), "driving": Path(spec.driving)}
    assert with_inputs(report, inputs).inputs == {"source": True, "driving": True}


def test_equal_jobs_give_equal_files(spec):
    animate(spec)
    first = Path(spec.output).read_bytes()
    animate(spec)
    assert Path(spec.output).read_bytes() == first


def test_with_a_certificate_a_result_is_signed_before_it_gets_its_name(spec, signing, signer):
    seen: list[bool] = []

    def may_publish() -> bool:
        (folder,) = Path(spec.output).parent.iterdir()  # hidden, with the finished file
        (video,) = folder.rglob("video.mp4")
        seen.append(verify_file(video, roots=signer.root).signature.state == "trusted")
        return True

    result = animate(spec, settings=signing, may_publish=may_publish)
    report = verify_file(Path(spec.output), roots=signer.root)
    assert seen == [True] and "sign" in result.timings
    assert (report.verdict, report.told_by) == ("intact", "signature")
    assert report.mark.hashes == result.hashes and report.mark.settings["size"] == 128
    assert os.listdir(Path(spec.output).parent) == ["out.mp4"]
    secret = signer.key.read_text().splitlines()[1]
    assert secret not in result.to_json() and str(signer.key) not in result.to_json()


def test_what_cannot_sign_is_told_before_anything_is_rendered(spec, signing, signer):
    signer.key.chmod(0o644)
    seen: list[Progress] = []
    with pytest.raises(AnimatorError) as raised:
        animate(spec, settings=signing, report=seen.append)
    assert raised.value.code == "invalid_signer"
    assert {progress.stage for progress in seen} <= {"load"}
    assert os.listdir(Path(spec.output).parent) == []


def test_a_failure_to_sign_loses_nothing_of_a_single_job(spec, signing, signer):
    with pytest.raises(AnimatorError) as raised:
        animate(spec, settings=signing, report=losing(signer.key, "generate"))
    assert raised.value.code == "signing_failed"
    (kept,) = Path(spec.output).parent.iterdir()
    assert kept.name == "out-1.mp4" and repr(str(kept)) in raised.value.message
    report = verify_file(kept)
    assert (report.verdict, report.signature) == ("intact", None)


def test_a_failure_to_sign_loses_nothing_of_a_job_that_is_tried_again(spec, signing, signer):
    pem = signer.key.read_bytes()
    first = Workspace.take(spec.output, "job", 1)
    with pytest.raises(AnimatorError, match="could not be signed"):
        animate(spec, settings=signing, report=losing(signer.key, "generate"), workspace=first)
    assert not Path(spec.output).exists()
    signer.key.write_bytes(pem)
    signer.key.chmod(0o600)
    second = Workspace.take(spec.output, "job", 2)
    result = animate(spec, settings=signing, workspace=second)
    assert result.resumed == result.frames
    assert verify_file(Path(spec.output)).signature.state == "valid"


# Rendered again


@pytest.mark.parametrize("mode", ["crop", "paste-back", "side-by-side"])
def test_a_result_rendered_again_is_the_same_bit_for_bit(mode, spec):
    spec = replace(spec, output_mode=mode)
    result = animate(spec)
    compared = compare_again(spec, 1000, settings=Settings.from_environment())
    assert (compared.outcome, compared.frames) == ("equal", result.frames)
    assert compared.equal == result.frames and compared.hashes == result.hashes
    json.dumps(compared.as_dict(), allow_nan=False)


def test_fewer_frames_are_the_same_to_within_coding(spec):
    animate(spec)
    compared = compare_again(spec, 2, settings=Settings.from_environment())
    assert compared.outcome in ("equal", "same") and compared.frames == 2
    assert min(compared.psnr) > 30


def test_marks_alone_say_how_to_render_again(spec, weights):
    animate(replace(spec, motion="absolute", smoothing=0.0))
    settings = dict(verify_file(Path(spec.output)).mark.settings)
    again = spec_of(settings, spec.source, spec.driving, spec.output, weights=weights, device="cpu")
    assert (again.motion, again.smoothing, again.end) == ("absolute", 0.0, "0.2")
    compared = compare_again(again, 1000, settings=Settings.from_environment())
    assert compared.outcome == "equal"


def test_another_portrait_shows_in_every_frame(spec, tmp_path):
    from PIL import Image, ImageOps

    animate(spec)
    with Image.open(spec.source) as picture:
        ImageOps.mirror(picture.convert("RGB")).save(tmp_path / "other.png")
    other = replace(spec, source=str(tmp_path / "other.png"))
    compared = compare_again(other, 3, settings=Settings.from_environment())
    assert compared.outcome == "different" and max(compared.psnr) < 30
    assert "something else" in " ".join(compared.findings)


def test_a_file_of_other_pictures_is_different(spec):
    animate(spec)
    other = replace(spec, size=160)
    compared = compare_again(other, 3, settings=Settings.from_environment())
    assert compared.outcome == "different" and "128 x 128" in compared.findings[0]
    shorter = compare_again(replace(spec, end="0.4"), 1000, settings=Settings.from_environment())
    assert shorter.outcome == "different" and "ends after" in shorter.findings[-1]


def test_marks_of_before_there_were_margins_mean_what_was_made_then(spec):
    old = spec_of({"size": 128}, spec.source, spec.driving, spec.output)
    assert (old.size, old.margin) == (128, 1.75)
    new = spec_of({"size": "auto", "margin": 2.4}, spec.source, spec.driving, spec.output)
    assert (new.size, new.margin) == ("auto", 2.4)


@pytest.mark.parametrize(
    "settings",
    [{"nonsense": 1}, {"size": 3}, {"size": "large"}, {"weights": "/etc/passwd"}, {"face": [1]},
     {"device": "cuda"}, {"output_mode": None}, {"start": 5}, {"source": "/etc/passwd"}],
    ids=str,
)  # fmt: skip
def test_settings_that_a_file_made_up_are_refused(settings, spec):
    with pytest.raises(AnimatorError) as raised:
        spec_of(settings, spec.source, spec.driving, spec.output)
    assert raised.value.code == "invalid_option"
