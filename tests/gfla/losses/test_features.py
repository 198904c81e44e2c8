"""The feature network against torchvision's own, from files and without a connection."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
from torchvision.models.vgg import make_layers

from gfla.errors import GflaError
from gfla.losses.features import VGG_LAYERS, VggFeatures, select
from tests.helpers import random_vgg

LAYOUTS = {
    "vgg16": [4, 4, "M", 6, 6, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M"],
    "vgg19": [4, 4, "M", 6, 6, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M"],
}
"""Those of torchvision, which are its configurations D and E, but narrow."""


def torchvision_file(folder, network):
    """A network of torchvision's with random weights, and its state as torchvision saves it."""
    torch.manual_seed(0)
    layers = make_layers(LAYOUTS[network])
    state = {f"features.{name}": value for name, value in layers.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(2, 2)
    path = folder / f"{network}.pth"
    torch.save(state, path)
    return layers, path


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
@pytest.mark.parametrize("normalise", ["imagenet", "none"])
def test_layers_equal_torchvision(tmp_path, network, normalise):
    layers, path = torchvision_file(tmp_path, network)
    features = VggFeatures(list(VGG_LAYERS[network]), network, path, normalise)
    image = torch.rand(2, 3, 37, 50) * 2 - 1
    got = features(image)
    assert len(got) == (13 if network == "vgg16" else 16)
    expected = image
    if normalise == "imagenet":
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        expected = ((image + 1) / 2 - mean) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    names = {place + 1: name for name, place in VGG_LAYERS[network].items()}
    for index, layer in enumerate(layers):
        expected = layer(expected)
        if isinstance(layer, torch.nn.ReLU):
            torch.testing.assert_close(got.pop(names[index]), expected.clone())
    assert not got


def test_only_the_wanted_layers_come_back_shallowest_first(tmp_path):
    features = random_vgg(tmp_path / "vgg.safetensors", ("relu3_1", "relu1_2"), "vgg19")
    taps = features(torch.rand(1, 3, 32, 24))
    assert {name: tuple(t.shape) for name, t in taps.items()} == {
        "relu1_2": (1, 6, 32, 24),
        "relu3_1": (1, 10, 8, 6),
    }
    assert list(taps) == ["relu1_2", "relu3_1"]
    assert len(features.convolutions) == 5


def test_gradients_reach_the_picture_but_not_the_weights(tmp_path):
    features = random_vgg(tmp_path / "vgg.safetensors", ("relu2_2",))
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    features(picture)["relu2_2"].mean().backward()
    assert picture.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"layers": ("relu9_9",)}, "unknown_layer"),
        ({"layers": ("relu3_4",)}, "unknown_layer"),  # of VGG19 only
        ({"layers": ()}, "unknown_layer"),
        ({"network": "resnet50"}, "invalid_config"),
        ({"normalise": "mean"}, "invalid_config"),
        ({"path": "none.safetensors"}, "bad_checkpoint"),
        ({"path": "none.pth"}, "bad_checkpoint"),
    ],
)
def test_arguments_that_make_no_network_are_refused(tmp_path, arguments, code):
    wanted = {"layers": ("relu1_1",), "network": "vgg16", "path": "none.pth"} | arguments
    wanted["path"] = tmp_path / wanted["path"]
    with pytest.raises(GflaError) as caught:
        VggFeatures(**wanted)
    assert caught.value.code == code


def test_files_that_do_not_fit_are_refused_by_name(tmp_path):
    _, path = torchvision_file(tmp_path, "vgg19")
    with pytest.raises(GflaError, match=r"lacks features\.17\.weight") as caught:
        VggFeatures(("relu4_1",), "vgg16", path)
    assert caught.value.code == "bad_checkpoint"
    state = torch.load(path, weights_only=True)
    for name, value, words in (
        ("features.2.bias", torch.zeros(7), r"features\.2\.weight is \(4, 4, 3, 3\)"),
        ("features.2.weight", torch.zeros(4, 5, 3, 3), r"needs N 4 3 3"),
        ("features.2.weight", torch.full((4, 4, 3, 3), torch.nan), "not finite"),
    ):
        torch.save(state | {name: value}, path)
        with pytest.raises(GflaError, match=words):
            VggFeatures(("relu1_2",), "vgg19", path)


def test_without_a_connection_the_error_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(GflaError) as caught:
        VggFeatures(("relu1_1",))
    assert caught.value.code == "features_unavailable"
    for words in (
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        f"put it into {tmp_path}/checkpoints",
        "no route to host",
        "the path of a local file",
    ):
        assert words in str(caught.value)


def test_a_file_in_the_cache_needs_no_connection(tmp_path, monkeypatch):
    layers, path = torchvision_file(tmp_path, "vgg19")
    (tmp_path / "checkpoints").mkdir()
    path.rename(tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    features = VggFeatures(("relu1_1",))
    assert torch.equal(features.convolutions[0].weight, layers[0].weight)


def test_pictures_that_do_not_fit_are_refused(tmp_path):
    features = random_vgg(tmp_path / "vgg.safetensors", ("relu3_1",))
    for shape in ((0, 3, 16, 16), (1, 1, 16, 16), (1, 3, 3, 16)):
        with pytest.raises(GflaError) as caught:
            features(torch.rand(shape))
        assert caught.value.code == "invalid_shape"


def test_missing_features_are_named():
    with pytest.raises(GflaError, match="relu2_1") as caught:
        select({"relu1_1": torch.zeros(1)}, ["relu1_1", "relu2_1"])
    assert caught.value.code == "unknown_layer"
