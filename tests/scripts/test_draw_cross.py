"""Sheets of every portrait with every driver, as a user makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from animator.media.decode import read_image
from tests.scripts.test_blind_sheet import SMALL, place_of


@pytest.mark.slow
def test_each_driver_has_a_sheet_and_what_has_no_face_stops_nothing(
    script: Callable[[str], Any],
    samples: tuple[Path, Path],
    small_weights: list[Path],
    faceless: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cross, faces, sheet = script("draw_cross"), script("face_results"), script("sheet_command")
    out, weights = tmp_path / "out", ["--weights", str(small_weights[0])]
    portraits = ["--portraits", str(faceless[0]), str(samples[0])]
    command = [str(out), *portraits, "--drivers", str(samples[1]), *weights, *SMALL]
    assert cross.main([*command, "--frames", "3"]) == 0
    assert "result 1 of 1: source.png, driving.mp4" in capsys.readouterr().err
    (path,) = out.glob("*.png")
    assert path.name == "01-driving.png"

    page = read_image(path)
    results = faces.FaceResults(out, 0.6, 0.2, 128)
    driver, portrait = results.driver(samples[1], 3), results.portrait(samples[0])
    job = faces.Job(results.weights(str(small_weights[0])), portrait, driver)
    driven = place_of(faces.heads(driver.shown), page)
    # Between the driver and the result is the row of the picture without a face, which is lower.
    made = place_of(faces.whole(results.shown(job)), page)
    assert faces.SIDE + 90 < made - driven < 2 * faces.SIDE

    # Again with more frames nothing is rendered, but all is drawn.
    assert cross.main([*command, "--frames", "6"]) == 0
    assert "results: 1, of which 1 are there" in capsys.readouterr().err
    assert read_image(path).shape != page.shape
    assert sheet.seconds("1.5") == 1.5


def test_mistakes_are_told_before_anything_is_rendered(
    script: Callable[[str], Any],
    samples: tuple[Path, Path],
    faceless: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, driving = map(str, samples)
    for files, code in (
        (["--portraits", source, "/nowhere.png", "--drivers", driving], "no_such_file"),
        (["--portraits", source, "--drivers", str(faceless[1])], "no_face"),
        (["--portraits", source, "--drivers", driving, "--weights", "/no/file"], "no_such_file"),
        (["--portraits", source, "--drivers", driving, "--frames", "0"], "invalid_option"),
    ):
        assert script("draw_cross").main([str(tmp_path / "out"), *files]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error [{code}]: ")
    assert not (tmp_path / "out").exists()
