"""Starts the services of the compose file as processes.

Commands and environments are those of the file. What only containers have is put in its place:
a service's name becomes an address of this machine (Linux has all of 127/8), a volume a folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from animator.broker.embedded import find_server

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Compose:
    """The compose file, with a folder and addresses of its own.

    Args:
        folder: where volumes lie.
        environment: what the person who starts it has set.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        values = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
        self.services: dict[str, dict[str, Any]] = _filled(values["services"], environment)
        secrets = _filled(values["secrets"], environment)
        self.secrets = {name: DEPLOY / secret["file"] for name, secret in secrets.items()}
        # Of this process alone, so that tests at the same time do not meet.
        number = os.getpid()
        self._network = f"127.{1 + number // 250 % 250}.{1 + number % 250}"
        self._addresses: dict[str, str] = {}

    def address(self, service: str, replica: int = 0) -> str:
        """Where a container would be."""
        name = f"{service}-{replica}"
        return self._addresses.setdefault(name, f"{self._network}.{10 + len(self._addresses)}")

    def replicas(self, service: str) -> int:
        """How many containers of a service there are."""
        return int(self.services[service].get("deploy", {}).get("replicas", 1))

    def start(
        self, service: str, replica: int = 0, command: list[str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a container's process, or another command with its environment."""
        settings = self.services[service]
        environment = {
            name: os.environ[name]
            for name in ("PATH", "PYTHONPATH", "TMPDIR")
            if name in os.environ
        }
        environment["HOME"] = str(self._folder)
        for name, value in settings.get("environment", {}).items():
            assert isinstance(value, (str, int)), f"{name} of {service} has to be quoted"
            environment[name] = self._inside(service, str(value), replica)
        words = [self._inside(service, word, replica) for word in command or settings["command"]]
        return subprocess.Popen(
            [*_program(words[0]), *words[1:], *self._bind(words)],
            env=environment,
            cwd=REPOSITORY,
            **options,
        )

    def _bind(self, words: list[str]) -> list[str]:
        return ["--bind", self.address("redis")] if words[0] == "redis-server" else []

    def _inside(self, service: str, text: str, replica: int) -> str:
        """A word or a value as it would be inside of the container."""
        for name in self.services[service].get("secrets", []):
            if text == f"/run/secrets/{name}":
                return str(self.secrets[name])
        for volume in self.services[service].get("volumes", []):
            source, target = volume.split(":")[:2]
            if not source.startswith(("/", ".")) and (text + "/").startswith(target + "/"):
                place = self._folder / "volumes" / source
                place.mkdir(parents=True, exist_ok=True)
                text = f"{place}{text.removeprefix(target)}"
        for name in self.services:
            text = re.sub(rf"(?<=://){name}(?=[:/])", self.address(name), text)
        return self.address(service, replica) if text == "0.0.0.0" else text


def _filled(value: Any, environment: dict[str, str]) -> Any:
    """The values of the file with variables in their places, as compose reads them."""
    if isinstance(value, dict):
        return {name: _filled(item, environment) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, environment) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", value)
    return value


def _program(name: str) -> list[str]:
    if name == "redis-server":
        server = find_server()
        assert server is not None
        return [str(server)]
    if name == "animator-worker":
        return [sys.executable, "-m", "worker"]
    if name == "python":
        return [sys.executable]
    return [sys.executable, "-m", name]
