"""A step of the published animation configurations on real files, with narrow networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from gfla import checkpoint
from gfla.data.packs import write_pack
from gfla.guidance.face import face_style
from gfla.guidance.skeleton import skeleton_style
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, about_weights, launch
from gfla.training.loop import Limits
from tests.gfla.data.test_published_faces import pack
from tests.gfla.data.test_published_persons import write_clip
from tests.gfla.training.training_data import lines_of
from tests.helpers import random_vgg

NARROW = (
    *("model.encoder_widths=[4,6,8]", "model.flow_widths=[4,4,6,6,6]", "model.attention_hidden=4"),
    *("data.image_size=[64,64]", "data.workers=0", "critics.image=[4,6]", "frames=6", "batch=1"),
    *("critics.temporal=[4,6,6]", "losses.style=0", "losses.perceptual=0", "record.log_every=1"),
    *("record.sheet_every=0", "record.sheet_rows=1", "record.save_every=0"),
)


def written(folder: Path, name: str) -> Path:
    split = folder / "train"
    split.mkdir()
    if name == "dance":
        write_clip(split, 8)
    else:
        clip = pack(8)
        meta = {"identity": "a", "licence": "CC0", "source": "made up", "kind": "clip"}
        write_pack(split / "a.npz", [clip.frame(t) for t in range(8)], clip.landmarks, meta)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["face", "dance"])
def test_a_step_of_a_published_configuration(tmp_path: Path, name: str) -> None:
    vgg = tmp_path / "vgg.safetensors"
    random_vgg(vgg, ["relu4_1"], "vgg19")
    config = load_config(name, [*NARROW, f"features.path={vgg}"])
    data, out = written(tmp_path, name), tmp_path / "run"
    result = launch(RunRequest(config, data, out, device="cpu", limits=Limits(max_steps=1)))
    assert result.step == 1
    (line,) = lines_of(out)
    assert {"correctness", "critic_image", "critic_temporal", "adversarial"} <= line.keys()
    assert all(value < 1e4 for value in line.values())
    # The weights say how their guidance was drawn, and are the latest ones.
    info = checkpoint.load(out / "average.safetensors").info
    assert (info.get("skeleton"), info.get("drawing")) == (
        ("published", None) if name == "dance" else (None, "published")
    )
    assert info.get("background_edges", False) is (name == "face")


def test_weights_say_how_their_guidance_was_drawn() -> None:
    face, dance = (about_weights(load_config(name)) for name in ("face", "dance"))
    assert face_style(face) == "published" and skeleton_style(dance) == "published"
    for name in ("face-better", "face-compact", "face-regions"):
        info = about_weights(load_config(name))
        assert face_style(info) == "default" and "background_edges" not in info
    assert about_weights(load_config("dance-coco"))["skeleton"] == "coco"


def test_weights_of_stage_one_say_so() -> None:
    assert about_weights(load_config("person-fashion", ["stage=flow"]))["stage"] == "flow"
    assert "stage" not in about_weights(load_config("person-fashion"))
