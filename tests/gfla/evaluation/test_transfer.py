from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfla.config import PoseTransferConfig, ViewSynthesisConfig
from gfla.errors import GflaError
from gfla.evaluation import transfer
from gfla.evaluation.inception import SetDistances
from gfla.evaluation.metrics import MetricFiles, PictureMetric
from gfla.evaluation.pairs import identity_of, open_pairs
from gfla.evaluation.protocol import PictureOptions, Protocol, SetOptions
from tests.gfla.evaluation.mean_colour import MeanColour
from tests.gfla.person_files import write_picture, write_prepared
from tests.helpers import small_generator

pytest.importorskip("torchmetrics")
WIDTHS = {"encoder_widths": (4, 6, 8), "flow_widths": (4, 4, 6, 6, 8), "attention_hidden": 8}
PROTOCOL = Protocol("test", "pairs", ("l1", "psnr"), pictures=PictureOptions(64, 64))
NAMES = ("a.png", "b.png", "c.png")


def quiet(what, done, total):
    assert 0 < done <= total


def run(pairs, protocol=PROTOCOL, measures=None, seed=0, save=None, generator=None):
    generator = generator or small_generator(PoseTransferConfig(**WIDTHS), seed)
    measures = measures or transfer.Measures.load(protocol, MetricFiles())
    transfer.add_reference(measures, pairs, protocol, quiet)
    rows = {
        "copy": transfer.measure_row(
            "copy", transfer.copy_renderer, pairs, measures, protocol, quiet, batch=4
        ),
        "model": transfer.measure_row(
            "model",
            transfer.model_renderer(generator, torch.device("cpu")),
            pairs, measures, protocol, quiet, save, batch=4,
        ),
    }  # fmt: skip
    properties = {"model": transfer.model_properties(generator)}
    return transfer.pairs_table("Pairs", rows, properties, protocol)


def test_every_pair_is_measured_once(tmp_path):
    pairs = open_pairs(PROTOCOL, write_prepared(tmp_path, (64, 64), NAMES))
    table = run(pairs)
    assert len(pairs) == 6
    assert table.rows["model"]["l1"].samples == 6
    measured = [s for s in table.samples if s.row == "copy"]
    assert [s.sample for s in measured] == list(pairs.names)
    batch = pairs.stacked([3])
    wanted = (batch["source"] - 0.0 - batch["target"]).abs().mean() / 127.5
    assert measured[3].figures["l1"] == pytest.approx(float(wanted), rel=1e-5)
    assert "| copy |" in table.to_markdown(PROTOCOL)
    assert table.properties["model"]["content-aware sampling"] == "Y"


def test_it_comes_out_the_same_again(tmp_path):
    folder = write_prepared(tmp_path, (64, 64), NAMES)
    first, second = (run(open_pairs(PROTOCOL, folder)) for _ in range(2))
    assert first.rows == second.rows
    assert run(open_pairs(PROTOCOL, folder), seed=1).rows["model"] != first.rows["model"]


def test_samples_are_drawn_by_the_seed(tmp_path):
    folder = write_prepared(tmp_path, (64, 64), NAMES)
    drawn = [open_pairs(replace(PROTOCOL, samples=3, seed=n), folder).names for n in (0, 0, 1)]
    assert len(drawn[0]) == 3 and drawn[0] == drawn[1] != drawn[2]


def test_views_are_pairs_too(tmp_path):
    protocol = replace(PROTOCOL, data="synthetic-views", pictures=PictureOptions(256, 256))
    with pytest.raises(GflaError, match="endless data"):
        open_pairs(protocol, tmp_path)
    pairs = open_pairs(replace(protocol, samples=3), tmp_path)
    assert list(pairs.names) == ["00000", "00001", "00002"]
    table = run(pairs, generator=small_generator(ViewSynthesisConfig(**WIDTHS)))
    assert table.rows["model"]["l1"].samples == 3
    assert list(table.properties["model"]) == ["parameters"]


def test_incomplete_data_is_refused(tmp_path):
    folder = write_prepared(tmp_path, (64, 64), NAMES)
    with pytest.raises(GflaError, match="6 usable pairs, the protocol test is of 8570") as raised:
        open_pairs(replace(PROTOCOL, expected_samples=8570), folder)
    assert raised.value.code == "invalid_data"
    with pytest.raises(GflaError, match="bicubic"):
        open_pairs(replace(PROTOCOL, pictures=PictureOptions(64, 64, "nearest")), folder)


def test_sets_are_compared_with_targets_or_with_the_training_set(tmp_path):
    folder = tmp_path / "data"
    write_prepared(folder / "held-out", (64, 64), NAMES)
    fid = replace(PROTOCOL, metrics=("l1", "fid"))
    against = {}
    for name in ("targets", "training-set"):
        protocol = replace(fid, sets=SetOptions(reference=name))
        if name == "training-set":
            with pytest.raises(GflaError, match="whole training set"):
                open_pairs(protocol, folder)
            for seed in range(3):
                write_picture(folder / "train" / "images" / f"{seed}.png", (32, 32), seed + 50)
        l1 = transfer.Measures.load(PROTOCOL, MetricFiles()).pictures["l1"]
        measures = transfer.Measures({"l1": l1}, SetDistances(MeanColour()))
        against[name] = run(open_pairs(protocol, folder), protocol, measures)
        assert measures.sets is not None
        assert measures.sets.real == (6 if name == "targets" else 3)
    rows = [table.rows["copy"]["fid"] for table in against.values()]
    # Sources and targets of all ordered pairs are the same pictures.
    assert rows[0].value == pytest.approx(0, abs=1e-5) and rows[0].low is None
    assert rows[1].value > 1


def test_masks_are_of_the_targets_person(tmp_path):
    pairs = open_pairs(PROTOCOL, write_prepared(tmp_path, (64, 64), NAMES))
    batch = pairs.stacked([0, 1])
    assert batch["mask"].shape == (2, 1, 64, 64)
    assert set(batch["mask"].unique().tolist()) == {0.0, 1.0}
    seen = []
    metric = PictureMetric("seen", lambda a, b, mask: seen.append(mask) or torch.zeros(len(a)))
    transfer.measure_row(
        "copy", transfer.copy_renderer, pairs, transfer.Measures({"seen": metric}, None),
        PROTOCOL, quiet, batch=2,
    )  # fmt: skip
    assert torch.equal(seen[0], batch["mask"])


def test_rendered_pictures_are_kept_in_the_protocols_format(tmp_path):
    protocol = replace(PROTOCOL, pictures=PictureOptions(64, 64, file_format="jpeg"))
    pairs = open_pairs(protocol, write_prepared(tmp_path / "data", (64, 64), NAMES))
    run(pairs, protocol, save=tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) == 6 and files[0] == "00000_a__b.jpg"


def test_people_are_told_by_published_names():
    assert identity_of("fashionWOMENDressesid0000271801_1front.jpg") == "id00002718"
    assert identity_of("WOMEN/Dresses/id_00002718/01_1_front.jpg") == "id_00002718"
    assert identity_of("0002_c1s1_000451_03.jpg") == "0002"
    assert identity_of("me.png") == "me.png"


@pytest.mark.parametrize(
    ("sampling", "cells"),
    [("local", ("Y", "Y")), ("bilinear", ("Y", "N")), ("global", ("N", "-")), ("none", ("N", "-"))],
)
def test_properties_are_those_of_table_2(sampling, cells):
    generator = small_generator(PoseTransferConfig(**WIDTHS, sampling=sampling))
    found = transfer.model_properties(generator)
    assert (found["flow-based"], found["content-aware sampling"]) == cells
