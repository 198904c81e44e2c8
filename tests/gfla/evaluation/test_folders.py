from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfla.errors import GflaError
from gfla.evaluation.folders import compare_folders
from gfla.evaluation.inception import SetDistances
from gfla.evaluation.metrics import picture_metric
from gfla.evaluation.protocol import PictureOptions, load_protocol
from gfla.evaluation.transfer import Measures
from tests.gfla.evaluation.mean_colour import MeanColour

pytest.importorskip("torchmetrics")
pytest.importorskip("torch_fidelity")


def colours(folder: Path, shades, suffix=".png"):
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades):
        Image.fromarray(np.full((24, 20, 3), shade, np.uint8)).save(folder / f"{number}{suffix}")
    return folder


def test_folders_with_a_known_answer(tmp_path):
    real = colours(tmp_path / "real", [(40, 60, 80), (60, 90, 80), (80, 120, 110)])
    fake = colours(tmp_path / "fake", [(46, 60, 88), (66, 90, 88), (86, 120, 118)], ".bmp")
    names = ("l1", "psnr", "ssim")
    plain = {name: picture_metric(name) for name in names}
    protocol = load_protocol("folders")
    protocol = type(protocol)("known", "folders", ("fid", *names), pictures=PictureOptions(24, 20))
    measures = Measures(plain, SetDistances(MeanColour()))
    table = compare_folders(real, fake, protocol, measures, lambda what, done, total: None)
    figures = table.rows["fake"]
    assert figures["fid"].value == pytest.approx(6**2 + 8**2, rel=1e-6)
    assert figures["l1"].value == pytest.approx((6 + 8) / 3 / 127.5, rel=1e-5)
    assert figures["psnr"].value == pytest.approx(10 * np.log10(255**2 * 3 / 100), rel=1e-5)
    assert figures["l1"].samples == 3


def test_a_picture_without_counterpart_is_named(tmp_path):
    real = colours(tmp_path / "real", [(1, 2, 3)])
    fake = colours(tmp_path / "fake", [(1, 2, 3), (4, 5, 6)])
    measures = Measures({"l1": picture_metric("l1")}, None)
    with pytest.raises(GflaError, match="1 of 2 .* such as 1"):
        compare_folders(real, fake, load_protocol("folders"), measures, lambda *told: None)
