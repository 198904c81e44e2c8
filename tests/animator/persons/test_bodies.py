from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from animator.errors import AnimatorError
from animator.persons import bodies
from animator.persons.bodies import KeypointRcnn, largest_body, own_weights_path
from gfla.joints import JOINTS, found


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch.hub folder without weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of the real network that see persons everywhere, as half the bytes."""
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    torch.manual_seed(0)
    state = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    state["roi_heads.box_predictor.cls_score.bias"] = torch.tensor([-9.0, 9.0])
    name = "roi_heads.keypoint_predictor.kps_score_lowres.bias"
    # One joint, COCO's left wrist, is never found.
    state[name] = torch.where(torch.arange(17) == 9, -1e4, 1e4)
    path = tmp_path_factory.mktemp("bodies") / "bodies.pth"
    torch.save({key: value.half() for key, value in state.items()}, path)
    return path


def test_the_real_network_finds_joints_in_their_order(weights: Path) -> None:
    detector = KeypointRcnn("cpu", weights, short_side=64)
    weights.unlink()  # pytest keeps folders; this file is large
    picture = np.random.default_rng(0).integers(0, 256, (90, 60, 3)).astype(np.uint8)
    people = detector.find(picture)
    assert people and all(body.score > 0.9 for body in people)
    assert [body.area for body in people] == sorted((b.area for b in people), reverse=True)
    joints = largest_body(picture, detector, "a.png")
    assert {JOINTS[index] for index in np.flatnonzero(~found(joints))} == {"left wrist"}
    there = joints[found(joints)]
    assert (there > -1).all() and (there <= [61, 91]).all()
    neck, right, left = (
        joints[JOINTS.index(n)] for n in ("neck", "right shoulder", "left shoulder")
    )
    assert np.allclose(neck, (right + left) / 2)


def test_without_a_network_connection_address_and_folder_are_named(
    empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "KEYPOINT_RCNN_URL", "http://127.0.0.1:9/net-0123456789.pth")
    with pytest.raises(AnimatorError) as caught:
        KeypointRcnn("cpu")
    assert caught.value.code == "detector_unavailable" and caught.value.retryable
    assert "http://127.0.0.1:9/net-0123456789.pth" in caught.value.message
    assert str(empty_hub) in caught.value.message and "--detector-weights" in caught.value.message


def test_the_address_is_torchvisions() -> None:
    from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights

    assert KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.url == bodies.KEYPOINT_RCNN_URL


def test_weights_that_lie_in_the_folder_are_taken(empty_hub: Path) -> None:
    path = own_weights_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not weights")
    with pytest.raises(AnimatorError, match="cannot be used") as caught:
        KeypointRcnn("cpu")
    assert str(path) in caught.value.message


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "noise.safetensors").write_bytes(hashlib.sha256(b"").digest())
    for name, words in (("other", "does not hold"), ("list", "no table"), ("noise", "cannot be")):
        path = next(tmp_path.glob(f"{name}.*"))
        with pytest.raises(AnimatorError, match=words) as caught:
            KeypointRcnn("cpu", path)
        assert caught.value.code == "detector_unavailable"
    with pytest.raises(AnimatorError) as caught:
        KeypointRcnn("cpu", tmp_path / "none.pth")
    assert caught.value.code == "no_such_file"


def test_nobody_in_the_picture() -> None:
    class Blind:
        def find(self, picture: np.ndarray) -> list[bodies.Body]:
            return []

    with pytest.raises(AnimatorError, match=r"a\.png") as caught:
        largest_body(np.zeros((8, 8, 3), np.uint8), Blind(), "a.png")
    assert caught.value.code == "no_body"
