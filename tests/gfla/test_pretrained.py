from __future__ import annotations

from urllib.error import URLError

import pytest
import torch

from gfla import pretrained
from gfla.errors import GflaError
from gfla.evaluation.inception import InceptionFeatures, TorchvisionFeatures
from gfla.evaluation.metrics import Lpips

pytest.importorskip("torchmetrics")
pytest.importorskip("torch_fidelity")
pytest.importorskip("lpips")


@pytest.mark.parametrize(
    "make", [Lpips, lambda: Lpips("vgg"), InceptionFeatures, TorchvisionFeatures]
)
def test_offline_says_what_to_fetch_and_where_to_put_it(make, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(GflaError) as raised:
        make()
    assert raised.value.code == "features_unavailable"
    assert str(tmp_path / "checkpoints") in raised.value.message
    assert "https://" in raised.value.message


def test_missing_packages_are_named():
    with pytest.raises(GflaError, match="no_such_package_at_all.*pip install") as raised:
        pretrained.require("no_such_package_at_all")
    assert raised.value.code == "missing_package"
