"""`animator views`: a turntable of one photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from animator.cli.app import app
from animator.settings import Settings
from animator.weights.importing import import_weights
from tests.animator.media_files import video_times
from tests.animator.weights_files import write_published


@pytest.fixture
def photo(tmp_path: Path, state_dir: Path) -> Path:
    for kind in ("shapenet", "fashion"):
        import_weights(write_published(tmp_path, kind, kind), settings=Settings.from_environment())
    path = tmp_path / "car.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)
    return path


def views(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["views", *map(str, arguments), "--device", "cpu"])
    return done.exit_code, done.output


@pytest.mark.slow
def test_a_turntable_and_a_path_of_ones_own(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "turn.mp4"
    code, said = views(photo, "-o", out, "--weights", "shapenet", "--azimuth", -40, "--json")
    assert code == 0 and json.loads(said)["frames"] == 54, said
    assert len(video_times(out)) == 54
    path = tmp_path / "mine.json"
    path.write_text('{"views": [[0, 0], [200, 20]]}')
    code, said = views(photo, "-o", f"{tmp_path}/p/", "--weights", "shapenet", "--views", path)
    assert code == 0 and len(list((tmp_path / "p").iterdir())) == 2, said


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "weights_wrong_kind"),
        (["--weights", "fashion"], "weights_wrong_kind"),
        (["--weights", "nothing"], "no_such_weights"),
        (["--weights", "shapenet", "--azimuth", "30"], "invalid_view"),
        (["--weights", "shapenet", "--elevation", "-10"], "invalid_view"),
        (["--weights", "shapenet", "--views", "none.json"], "no_such_file"),
        (["--weights", "shapenet", "--views", "none.json", "--azimuth", "20"], "invalid_option"),
    ],
)
def test_mistakes_are_told_in_a_sentence(photo: Path, options: list[str], code: str) -> None:
    status, said = views(photo, "-o", photo.with_suffix(".mp4"), *options)
    assert status == 1 and f"[{code}]" in said and "Traceback" not in said
    assert not photo.with_suffix(".mp4").exists()
