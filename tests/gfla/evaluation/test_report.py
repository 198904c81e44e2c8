from __future__ import annotations

import json

from gfla.evaluation.protocol import Protocol
from gfla.evaluation.report import Evaluation, SampleFigures, Table, ranked
from gfla.evaluation.stats import Figure

PROTOCOL = Protocol("test", "faces", ("l1", "landmarks"))


def test_best_median_and_worst():
    samples = [SampleFigures("m", str(n), "x", {"l1": v}) for n, v in enumerate([3, 1, 5, 4, 2])]
    samples.append(SampleFigures("other", "9", "x", {"l1": 0}))
    assert ranked(samples, "m", "l1", rising=False) == {"best": 1, "median": 0, "worst": 2}
    assert ranked(samples, "m", "l1", rising=True) == {"best": 2, "median": 0, "worst": 1}
    assert ranked(samples, "m", "ssim", rising=True) == {}


def evaluation() -> Evaluation:
    estimate = Figure(0.125, 0.1, 0.2, 4, 2)
    rows = {"copy": {"l1": estimate, "landmarks": Figure(float("inf"), None, None, 4, 2)}}
    samples = [SampleFigures("copy", "clip", "a", {"l1": float("nan")})]
    table = Table("Self", ("l1", "landmarks"), rows | {"ours|x": {"l1": estimate}}, {}, samples)
    return Evaluation(PROTOCOL, [table], {"ours|x": "ab"}, {}, {"clips": 4}, {"torch": "2"}, ["!"])


def test_tables_carry_what_made_them():
    page = evaluation().to_markdown()
    assert "| method | L1 ↓ | landmark error % ↓ |" in page
    assert "| copy | 0.125 [0.1, 0.2] | inf |" in page
    assert "| ours\\|x | 0.125 [0.1, 0.2] | – |" in page
    assert PROTOCOL.sha256 in page and "torch: 2" in page and '"every": 4' in page
    plain = evaluation().to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["protocol_sha256"] == PROTOCOL.sha256
    assert plain["tables"][0]["rows"][0]["figures"]["landmarks"]["value"] is None
