"""Lines of a worker's log."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from worker import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    log = logging.getLogger("worker.somewhere")
    log.debug("not this")
    log.info("begins\nin %d lines, %s", 2, "ж")
    with logs.job_context("abc", 3):
        try:
            raise ValueError("as planned")
        except ValueError:
            log.exception("a fault")
    log.warning("after it")
    first, second, third = objects(capsys.readouterr().err)
    assert first["message"] == "begins\nin 2 lines, ж"
    assert (first["level"], first["logger"]) == ("info", "worker.somewhere")
    assert "job" not in first and "job" not in third
    assert (second["job"], second["attempt"]) == ("abc", 3)
    assert "ValueError: as planned" in second["exception"]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "INFO")
    logging.getLogger("a").info("no job")
    with logs.job_context("abc", 3):
        logging.getLogger("b").warning("with %s", "one")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(" INFO a: no job")
    assert second.endswith(" WARNING b job=abc attempt=3: with one")


def test_jobs_that_run_at_the_same_time_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    together = threading.Barrier(8)

    def run(number: int) -> None:
        with logs.job_context(f"job-{number}", number):
            for _ in range(20):
                together.wait(10)
                logging.getLogger("x").info("from %d", number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = objects(capsys.readouterr().err)
    assert len(found) == 160
    for line in found:
        assert line["message"] == f"from {line['attempt']}"
        assert line["job"] == f"job-{line['attempt']}"


def test_addresses_that_are_asked_stay_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "INFO")
    logging.getLogger("httpx").info("HTTP Request: POST https://host/?token=secret")
    assert capsys.readouterr().err == ""
