"""The compose file's services work together, as processes where there is no Docker."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from animator.broker.embedded import find_server
from animator.errors import AnimatorError
from animator.jobs.store import JobStore, connect
from animator.settings import Settings
from animator.web.access.tokens import add_token
from animator.web.settings import ServerSettings
from gfla import checkpoint
from gfla.build import build_generator, initialise
from tests.deploy.compose import DEPLOY, REPOSITORY, Compose
from tests.helpers import NARROW
from tests.worker.test_metrics import scrape

pytestmark = pytest.mark.slow

_METRIC = r"\banimator_(?!worker_env)[a-z_]+\b"


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


@pytest.fixture
def compose(tmp_path: Path) -> Compose:
    if find_server() is None:
        pytest.skip("there is no Redis server on this machine")
    (tmp_path / "media").mkdir()
    environment = {
        "ANIMATOR_MEDIA": str(tmp_path / "media"),
        "ANIMATOR_TOKENS": str(tmp_path / "tokens"),
        "WORKERS": "2",
    }
    return Compose(tmp_path, environment)


@contextmanager
def running(
    compose: Compose, service: str, replica: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = compose.start(
            service, replica, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        print(log.read_text(errors="replace"))  # noqa: T201 - shown if the test fails


def answers(store: JobStore) -> bool:
    try:
        store.ping()
    except AnimatorError:
        return False
    return True


def test_a_job_goes_through(compose: Compose, samples: tuple[Path, Path], tmp_path: Path) -> None:
    media = tmp_path / "media"
    generator = build_generator(NARROW)
    initialise(generator)
    checkpoint.save(media / "random.safetensors", generator, {"name": "random"})
    for path in samples:
        (media / path.name).write_bytes(path.read_bytes())
    store = JobStore(connect(f"redis://{compose.address('redis')}:6379/0"))
    grace = _seconds(compose.services["worker"]["stop_grace_period"])
    with ExitStack() as stack:
        log = tmp_path / "redis.log"
        redis = stack.enter_context(running(compose, "redis", 0, log))
        until(lambda: answers(store))
        workers = [
            stack.enter_context(running(compose, "worker", replica, tmp_path / f"{replica}.log"))
            for replica in range(compose.replicas("worker"))
        ]
        until(lambda: sum(info.consuming for info in store.workers()) == len(workers) == 2)
        command = ["animator", "submit", "--no-wait", "--json", "-o", str(media / "out.mp4")]
        command += ["--weights", str(media / "random.safetensors"), "--end", "0.3"]
        submitting = compose.start(
            "worker", 9, [*command, *(str(media / path.name) for path in samples)],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        text, _ = submitting.communicate(timeout=120)
        assert submitting.returncode == 0
        job = json.loads(text)["id"]
        record = until(lambda: (found := store.get(job)).state.ended and found)
        assert record.error is None and record.result is not None
        assert (media / "out.mp4").stat().st_size > 0

        until(lambda: _sum(_scrape_all(compose), "animator_jobs_ended_total") == 1)
        scrapes = _scrape_all(compose)
        assert _sum(scrapes, "animator_frames_total") == record.result.frames == 9
        assert _sum(scrapes, "animator_engine_frames_total") == 9
        for found in scrapes:  # of the whole farm, each tells the same
            assert found["animator_redis_up",] == 1
            assert found["animator_jobs", "succeeded"] == 1
            assert found["animator_workers", "yes"] == 2
        _check_names({key[0] for found in scrapes for key in found})

        (check,) = re.findall(r"HEALTHCHECK .*CMD (\[.*\])", (DEPLOY / "Dockerfile").read_text())
        assert compose.start("worker", 0, json.loads(check)).wait(60) == 0

        lines = [json.loads(line) for n in (0, 1) for line in _log(tmp_path / f"{n}.log")]
        about = [line for line in lines if line.get("job") == job]
        assert about and {line["attempt"] for line in about} == {1}

        for process in workers:
            process.send_signal(signal.SIGTERM)
        for process in workers:
            assert process.wait(grace) == 0
        assert compose.start("worker", 0, json.loads(check), stderr=subprocess.DEVNULL).wait(60)

        redis.send_signal(signal.SIGTERM)
        assert redis.wait(30) == 0
        stack.enter_context(running(compose, "redis", 0, log))
        until(lambda: answers(store))
        assert store.get(job).state.ended  # the append-only file has kept it


def _log(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("{")]


def _sum(scrapes: list[dict[tuple[str, ...], float]], name: str) -> float:
    return sum(value for found in scrapes for key, value in found.items() if key[0] == name)


def _scrape_all(compose: Compose) -> list[dict[tuple[str, ...], float]]:
    """What Prometheus would get where its configuration has it look."""
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (found,) = settings["scrape_configs"][0]["dns_sd_configs"]
    (service,) = (name for name in found["names"] if name in compose.services)
    return [
        scrape(found["port"], compose.address(service, replica))
        for replica in range(compose.replicas(service))
    ]


def _check_names(served: set[str]) -> None:
    """Whatever the documents, the dashboard and the alerts name is there."""
    pages = [REPOSITORY / "docs" / name for name in ("operations.md", "grafana.json")]
    text = "".join(path.read_text() for path in [DEPLOY / "alerts.yml", *pages])
    named = {re.sub("_bucket$|_sum$|_count$", "", name) for name in re.findall(_METRIC, text)}
    histograms = {name.removesuffix("_sum") for name in served if name.endswith("_sum")}
    # Where there is no GPU, its memory is not told.
    assert named - {"animator_gpu_memory_bytes"} == {
        name
        for name in served
        if name.startswith("animator_")
        and not name.endswith("_created")
        and not re.search("_bucket$|_sum$|_count$", name)
    } | {name for name in histograms if name.startswith("animator_")}


def _seconds(text: str) -> float:
    """A duration as compose writes it."""
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def test_the_server_and_a_worker_share_files(
    compose: Compose, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    """What was sent to the one container is animated in the other and fetched from the first."""
    token = add_token(tmp_path / "tokens", "studio")
    address = f"http://{compose.address('serve')}:8420"
    with ExitStack() as stack:
        stack.enter_context(running(compose, "redis", 0, tmp_path / "redis.log"))
        store = JobStore(connect(f"redis://{compose.address('redis')}:6379/0"))
        until(lambda: answers(store))
        server = stack.enter_context(running(compose, "serve", 0, tmp_path / "serve.log"))
        until(lambda: status(f"{address}/livez") == 200)
        check = compose.services["serve"]["healthcheck"]["test"]
        check = [word.replace("127.0.0.1", compose.address("serve")) for word in check]
        assert compose.start("serve", 0, check[1:]).wait(60) == 0
        # It starts no worker of its own.
        assert status(f"{address}/readyz") == 503 and status(f"{address}/v1/jobs") == 401
        stack.enter_context(running(compose, "worker", 0, tmp_path / "worker.log"))
        until(lambda: status(f"{address}/readyz") == 200)

        headers = {"Authorization": f"Bearer {token}"}
        client = stack.enter_context(httpx.Client(base_url=address, headers=headers, timeout=120))
        source, driving = (path.read_bytes() for path in samples)
        files = {"source": source, "driving": driving}
        job = client.post("/v1/jobs", files=files, data={"end": "0.2"}).json()
        record = until(lambda: (found := store.get(job["id"])).state.ended and found, 120)
        assert record.error is None and record.options.owner == "studio"
        (written,) = (tmp_path / "volumes" / "state" / "server" / "results").glob("*/*.mp4")
        assert client.get(job["links"]["result"]).content == written.read_bytes()

        server.send_signal(signal.SIGTERM)
        grace = _seconds(compose.services["serve"]["stop_grace_period"])
        assert server.wait(grace) == -signal.SIGTERM
        assert compose.start("serve", 0, check[1:], stderr=subprocess.DEVNULL).wait(60)


def status(url: str) -> int:
    """What a server answers; 0 if there is none."""
    try:
        return httpx.get(url, timeout=10).status_code
    except httpx.TransportError:
        return 0


def test_a_worker_gives_its_jobs_back_before_it_is_killed(compose: Compose) -> None:
    worker = compose.services["worker"]
    grace = _seconds(worker["stop_grace_period"])
    assert int(worker["environment"]["ANIMATOR_SHUTDOWN_SECONDS"]) + 30 <= grace
    unit = (DEPLOY / "animator-worker@.service").read_text()
    (shutdown,) = re.findall(r"ANIMATOR_SHUTDOWN_SECONDS=(\d+)", unit)
    (timeout,) = re.findall(r"TimeoutStopSec=(\d+)", unit)
    assert int(shutdown) + 30 <= int(timeout)
    assert "Restart=always" in unit


def test_redis_is_reached_by_the_containers_alone(compose: Compose) -> None:
    redis = compose.services["redis"]
    assert "ports" not in redis and redis["networks"] == ["queue"]
    values = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert values["networks"]["queue"]["internal"] is True
    options = " ".join(redis["command"])
    assert "--appendonly yes" in options and "--maxmemory-policy noeviction" in options
    for service in compose.services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_units_of_systemd_can_be_loaded(tmp_path: Path) -> None:
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("there is no systemd-analyze on this machine")
    for name in ("animator-serve.service", "animator-worker@.service"):
        text = (DEPLOY / name).read_text().replace("/opt/animator/bin/", "/bin/true ")
        unit = tmp_path / name
        unit.write_text("".join(line for line in text.splitlines(True) if "man:" not in line))
        done = subprocess.run(
            [program, "verify", str(unit).replace("@", "@0")], capture_output=True, text=True
        )
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_server_is_as_confined_as_a_worker() -> None:
    """What the worker's unit forbids, the server's does, too."""
    worker, server = (
        dict(re.findall(r"^(\w+)=(.*)", (DEPLOY / name).read_text(), re.MULTILINE))
        for name in ("animator-worker@.service", "animator-serve.service")
    )
    wide = {"PrivateDevices", "DeviceAllow", "ReadWritePaths"}
    confining = [name for name in worker if name.startswith(("Protect", "Restrict", "Private"))]
    confining += [name for name in worker if name.startswith(("System", "NoNew", "Device", "Cap"))]
    for name in {*confining, "UMask", "LockPersonality", "RemoveIPC", "StateDirectory"} - wide:
        assert server[name] == worker[name], name
    assert server["PrivateDevices"] == "yes" and not {"DeviceAllow", "ReadWritePaths"} & set(server)


def test_settings_in_deploy_exist(compose: Compose) -> None:
    known = {f"ANIMATOR_{name.upper()}" for name in Settings.__dataclass_fields__}
    known |= {f"ANIMATOR_SERVE_{item.name.upper()}" for item in fields(ServerSettings)}
    shown = set(compose.services["worker"]["environment"])
    shown |= set(compose.services["serve"]["environment"])
    samples = ("worker.env", "serve.env", "farm.env.sample")
    for name in (*samples, "animator-worker@.service", "animator-serve.service", "Dockerfile"):
        shown |= set(re.findall(r"\b(ANIMATOR_\w+)=", (DEPLOY / name).read_text()))
    of_compose = {"ANIMATOR_MEDIA", "ANIMATOR_USER", "ANIMATOR_TOKENS"}
    assert {name for name in shown if name.startswith("ANIMATOR_")} - of_compose <= known


def test_alerts_have_severities_and_tests_of_theirs() -> None:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in group["rules"]}
    assert set(severities.values()) == {"critical", "warning", "info"}
    tests = yaml.safe_load((DEPLOY / "alerts.test.yml").read_text())["tests"]
    tested = {case["alertname"] for test in tests for case in test["alert_rule_test"]}
    assert tested <= severities.keys() and "AnimatorNoWorkers" in tested
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "test", "rules", DEPLOY / "alerts.test.yml"], check=True)


def test_every_gpu_has_a_worker_that_prometheus_finds() -> None:
    """Those of the profiles, without a block that is copied by hand."""
    services = yaml.safe_load((DEPLOY / "compose.cuda.yaml").read_text())["services"]
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape["dns_sd_configs"][0]["names"] == list(services)
    devices = [
        service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for service in services.values()
    ]
    assert devices == [["0"], ["1"], ["2"], ["3"]]


def test_nothing_secret_is_in_the_image() -> None:
    listed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in listed  # only what is named goes in
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert not re.search(r"(?i)secret=|password=|token=|COPY \. ", dockerfile)
    assert re.search(r"^USER 10001", dockerfile, re.MULTILINE)
