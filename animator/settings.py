"""The settings of a process: where state lives, which broker to use, what is allowed.

Everything works with nothing set. `docs/configuration.md` lists the variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, cast, get_args

from animator.errors import AnimatorError
from animator.models.folder import state_folder
from animator.options import Detector
from animator.spec import JobSpec
from animator.values import (
    DEVICE,
    check_broker_url,
    is_host_entry,
    is_url,
    plain_location,
)

_SIZES = ("cache_bytes", "max_weights_bytes")
_CHECK = ("check_seconds", "check_memory_mb")
_LIMITS = ("max_bytes", "max_image_pixels", "max_frame_pixels", "max_seconds", "max_frames")
_FARM = (
    "lease_seconds",
    "stall_seconds",
    "shutdown_seconds",
    "segment_frames",
    "max_attempts",
    "max_crashes",
    "job_memory_mb",
)
MAX_RETENTION_DAYS = 36_500
AttentionBackend = Literal["auto", "torch", "triton"]
LogFormat = Literal["text", "json"]


@dataclass(frozen=True)
class MediaLimits:
    """What an input may be at most; checked from its header, before anything is decoded.

    Attributes:
        max_bytes: size of a file.
        max_image_pixels: width x height of a picture.
        max_frame_pixels: width x height of a video frame.
        max_seconds: length of the part of a video that is used.
        max_frames: number of frames of the part of a video that is used.
    """

    max_bytes: int = 32 * 1024**3
    max_image_pixels: int = 80_000_000
    max_frame_pixels: int = 8192 * 4352
    max_seconds: int = 6 * 3600
    max_frames: int = 1_000_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")


DEFAULT_LIMITS = MediaLimits()


@dataclass(frozen=True)
class Settings:
    """The settings of one process.

    Raises:
        AnimatorError: `invalid_option` for a value that is not allowed, naming its variable.
    """

    state_dir: Path
    """Where the embedded queue and the logs live (`ANIMATOR_STATE_DIR`)."""
    broker_url: str | None = field(default=None, repr=False)
    """The Redis to use (`ANIMATOR_BROKER_URL`); None is the embedded one."""
    storage: str | None = None
    """Folder or URL of what machines share, such as landmarks of driving videos
    (`ANIMATOR_STORAGE`); None is a folder of this machine."""
    allowed_urls: tuple[str, ...] = ()
    """URLs under which inputs may be read and outputs written (`ANIMATOR_ALLOWED_URLS`)."""
    cache_bytes: int = 10 * 1024**3
    """Most bytes that are kept on this machine of remote inputs, and of landmarks
    (`ANIMATOR_CACHE_BYTES`)."""
    device: str = "auto"
    """What `auto` means to jobs in this process (`ANIMATOR_DEVICE`)."""
    detector: Detector = "auto"
    """What `auto` means to jobs in this process (`ANIMATOR_DETECTOR`)."""
    attention: AttentionBackend = "auto"
    """How local attention runs in this process (`ANIMATOR_ATTENTION`)."""
    concurrency: int | None = None
    """Jobs that one worker runs at the same time (`ANIMATOR_CONCURRENCY`); None is one, and as many
    as fit the machine for a worker that works through a whole data set."""
    slots: int | None = None
    """Most clips that are stepped at the same moment (`ANIMATOR_SLOTS`); None fits the device."""
    lease_seconds: int = 15
    """How long a job waits for a sign of its worker before another takes it
    (`ANIMATOR_LEASE_SECONDS`)."""
    stall_seconds: int = 300
    """How long a running job may make no progress (`ANIMATOR_STALL_SECONDS`)."""
    shutdown_seconds: int | None = None
    """How long a worker that is told to end works on its jobs (`ANIMATOR_SHUTDOWN_SECONDS`); None
    is until they are done."""
    segment_frames: int = 48
    """Frames after which a job can be continued (`ANIMATOR_SEGMENT_FRAMES`)."""
    max_attempts: int = 20
    """How often a job is begun at most (`ANIMATOR_MAX_ATTEMPTS`)."""
    max_crashes: int = 2
    """How many processes of its own a job may bring down (`ANIMATOR_MAX_CRASHES`)."""
    job_memory_mb: int | None = None
    """Memory in MiB that a job in a process of its own may take (`ANIMATOR_JOB_MEMORY_MB`)."""
    retention_days: int = 30
    """How long ended jobs stay on record (`ANIMATOR_RETENTION_DAYS`); 0 is for ever."""
    max_bytes: int | None = None
    """Largest input file (`ANIMATOR_MAX_BYTES`); None is the built-in limit, here and below."""
    max_image_pixels: int | None = None
    """Most pixels in a picture (`ANIMATOR_MAX_IMAGE_PIXELS`)."""
    max_frame_pixels: int | None = None
    """Most pixels in a frame of a video (`ANIMATOR_MAX_FRAME_PIXELS`)."""
    max_seconds: int | None = None
    """Longest driving video (`ANIMATOR_MAX_SECONDS`)."""
    max_frames: int | None = None
    """Most frames in a driving video (`ANIMATOR_MAX_FRAMES`)."""
    max_weights_bytes: int = 2 * 1024**3
    """Largest weights file that is imported (`ANIMATOR_MAX_WEIGHTS_BYTES`)."""
    check_seconds: int = 30
    """How long a check may look at the two inputs (`ANIMATOR_CHECK_SECONDS`)."""
    check_memory_mb: int = 4096
    """Address space in MiB that it may use for that (`ANIMATOR_CHECK_MEMORY_MB`)."""
    log_format: LogFormat = "text"
    """How a worker writes its log (`ANIMATOR_LOG_FORMAT`)."""
    metrics_port: int | None = None
    """Port of a worker's metrics (`ANIMATOR_METRICS_PORT`); None serves none."""
    metrics_host: str = "127.0.0.1"
    """Address that the metrics are served on (`ANIMATOR_METRICS_HOST`)."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts that a job's webhook may be at (`ANIMATOR_WEBHOOK_HOSTS`); see
    `animator.jobs.webhook`."""
    webhook_secret: str | None = field(default=None, repr=False)
    """What webhooks are signed with (`ANIMATOR_WEBHOOK_SECRET`); only workers need it."""
    c2pa_certificate: Path | None = None
    """File of the certificates that results are signed with (`ANIMATOR_C2PA_CERTIFICATE`)."""
    c2pa_key: Path | None = field(default=None, repr=False)
    """File of the private key to them (`ANIMATOR_C2PA_KEY`)."""

    def __post_init__(self) -> None:
        """Check what the environment may have got wrong."""
        if not self.state_dir.is_absolute():
            raise _refuse("ANIMATOR_STATE_DIR", str(self.state_dir), "an absolute path")
        if self.broker_url is not None:
            check_broker_url(self.broker_url)
        if self.storage is not None and not (is_url(self.storage) or os.path.isabs(self.storage)):
            raise _refuse("ANIMATOR_STORAGE", self.storage, "an absolute path, or a URL")
        for url in self.allowed_urls:
            if is_url(url):
                plain_location(url)
            else:
                raise _refuse("ANIMATOR_ALLOWED_URLS", url, "URLs such as s3://BUCKET/FOLDER")
        if self.detector not in get_args(Detector):
            raise _refuse("ANIMATOR_DETECTOR", self.detector, ", ".join(get_args(Detector)))
        if self.attention not in get_args(AttentionBackend):
            allowed = ", ".join(get_args(AttentionBackend))
            raise _refuse("ANIMATOR_ATTENTION", self.attention, allowed)
        if not DEVICE.fullmatch(self.device):
            raise _refuse("ANIMATOR_DEVICE", self.device, "auto, cpu, cuda, cuda:N")
        if self.log_format not in get_args(LogFormat):
            raise _refuse("ANIMATOR_LOG_FORMAT", self.log_format, ", ".join(get_args(LogFormat)))
        if self.metrics_port is not None and not 1 <= self.metrics_port <= 65535:
            raise _refuse("ANIMATOR_METRICS_PORT", self.metrics_port, "1 to 65535")
        for host in self.webhook_hosts:
            if not is_host_entry(host):
                raise _refuse("ANIMATOR_WEBHOOK_HOSTS", host, "NAME, ADDRESS, *.NAME or *")
        self._check_signer()
        if not 0 <= self.retention_days <= MAX_RETENTION_DAYS:
            allowed = f"0 to {MAX_RETENTION_DAYS}"
            raise _refuse("ANIMATOR_RETENTION_DAYS", self.retention_days, allowed)
        for name in ("concurrency", "slots", *_SIZES, *_FARM, *_CHECK, *_LIMITS):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise _refuse(f"ANIMATOR_{name.upper()}", value, "a whole number from 1")

    def _check_signer(self) -> None:
        # What was given for the key is never repeated: it may be the key itself.
        given = {"CERTIFICATE": self.c2pa_certificate, "KEY": self.c2pa_key}
        for name, path in given.items():
            if path is not None and (not path.is_absolute() or "\n" in str(path)):
                message = f"ANIMATOR_C2PA_{name} is not the absolute path of a file."
                raise AnimatorError("invalid_option", message)
            if path is None and any(given.values()):
                other = next(one for one, value in given.items() if value is not None)
                message = f"ANIMATOR_C2PA_{other} is set without ANIMATOR_C2PA_{name}."
                raise AnimatorError("invalid_option", message)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment asks for; empty variables count as not set."""
        env = os.environ if environment is None else environment
        names = ("concurrency", "slots", *_SIZES, *_FARM, *_CHECK, *_LIMITS)
        numbers = (*names, "retention_days")
        given = {name: _whole_number(env, f"ANIMATOR_{name.upper()}") for name in numbers}
        return cls(
            state_dir=state_folder(env),
            broker_url=env.get("ANIMATOR_BROKER_URL") or None,
            storage=(env.get("ANIMATOR_STORAGE") or "").removeprefix("file://") or None,
            allowed_urls=tuple(env.get("ANIMATOR_ALLOWED_URLS", "").replace(",", " ").split()),
            device=env.get("ANIMATOR_DEVICE") or "auto",
            detector=cast("Detector", env.get("ANIMATOR_DETECTOR") or "auto"),
            attention=cast("AttentionBackend", env.get("ANIMATOR_ATTENTION") or "auto"),
            log_format=cast("LogFormat", env.get("ANIMATOR_LOG_FORMAT") or "text"),
            metrics_port=_whole_number(env, "ANIMATOR_METRICS_PORT"),
            metrics_host=env.get("ANIMATOR_METRICS_HOST") or "127.0.0.1",
            webhook_hosts=tuple(
                env.get("ANIMATOR_WEBHOOK_HOSTS", "").lower().replace(",", " ").split()
            ),
            webhook_secret=env.get("ANIMATOR_WEBHOOK_SECRET") or None,
            c2pa_certificate=_file(env, "ANIMATOR_C2PA_CERTIFICATE"),
            c2pa_key=_file(env, "ANIMATOR_C2PA_KEY"),
            **{name: value for name, value in given.items() if value is not None},
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that say the same, for a child process; `from_environment` reads them.

        What is not set is named, too, and empty, so that the child does not take it from elsewhere.
        """
        variables = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, tuple):
                value = " ".join(value)
            unset = value is None or value == one.default
            variables[f"ANIMATOR_{one.name.upper()}"] = "" if unset else str(value)
        return variables

    @property
    def log_dir(self) -> Path:
        """Where workers that the command started write their logs."""
        return self.state_dir / "logs"

    @property
    def cache_dir(self) -> Path:
        """What this machine keeps of inputs so that it need not be fetched or found again."""
        return self.state_dir / "cache"

    @property
    def weights_dir(self) -> Path:
        """The weights library: what `animator weights import` brought."""
        return self.state_dir / "weights"

    def apply_to(self, spec: JobSpec) -> JobSpec:
        """The specification with this process's own meaning of `auto`."""
        return replace(
            spec,
            device=self.device if spec.device == "auto" else spec.device,
            detector=self.detector if spec.detector == "auto" else spec.detector,
        )

    def limits(self) -> MediaLimits:
        """The limits on inputs; what is not set keeps its built-in value."""
        given = {name: getattr(self, name) for name in _LIMITS}
        return MediaLimits(**{name: value for name, value in given.items() if value is not None})


def has_nvidia_driver() -> bool:
    """Whether this machine has NVIDIA's driver; found without PyTorch, which takes seconds."""
    return os.path.exists("/proc/driver/nvidia/version")


def _refuse(name: str, got: object, allowed: str) -> AnimatorError:
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")


def _file(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None


def _whole_number(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise _refuse(name, text, "a whole number from 1") from None
