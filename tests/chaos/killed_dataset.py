"""A data set whose makers are all killed, again and again, and whether it comes out the same.

`animator batch` is real, and so are its worker and its private Redis: every process that works with
the state folder gets SIGKILL, wherever it is. Given again, the same command must in the end leave
the same shards as a call that nobody disturbed: the same names in the same order with the same
frames, nothing else; and every driving video's landmarks must have been extracted once.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from animator.broker.embedded import EmbeddedRedis
from animator.dataset.run_folder import RESULT
from animator.dataset.tars import members
from tests.chaos.outputs import content

_EXTRACTED = re.compile(r"landmarks of driving (\w+) extracted")
STATE = "ANIMATOR_STATE_DIR"


@dataclass
class Killed:
    """What happened, and which promises were broken."""

    samples: int = 0
    seconds: float = 0.0
    undisturbed_seconds: float = 0.0
    kills: list[str] = field(default_factory=list)
    """How far the run was at each kill."""
    extractions: list[str] = field(default_factory=list)
    """Hashes of the driving videos whose landmarks were extracted."""
    same_bytes: int = 0
    """Shards whose tar is the same to the bit."""
    shards: int = 0
    broken: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Both in some lines."""
        lines = [
            f"{self.samples} samples in {self.shards} shards, {self.same_bytes} the same bit for "
            f"bit; {self.seconds:.0f} s with kills, {self.undisturbed_seconds:.0f} s without",
            f"killed at: {', '.join(self.kills)}",
            f"extractions: {len(self.extractions)} of {len({*self.extractions})} videos",
        ]
        return "\n".join([*lines, *(f"BROKEN: {one}" for one in self.broken)])


def processes(state_dir: Path) -> set[int]:
    """Processes that work with a state folder: by their environment, and Redis by its file."""
    wanted = f"{STATE}={state_dir}".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:
            continue
    try:
        found.add(int((state_dir / "redis" / "redis.pid").read_text()))
    except (OSError, ValueError):
        pass
    return {pid for pid in found if pid != os.getpid() and _lives(pid)}


def _lives(pid: int) -> bool:
    """Whether a process is there and not merely waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill_all(state_dir: Path) -> int:
    """Kill them; returns how many there were."""
    killed: set[int] = set()
    while pids := processes(state_dir):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= pids
        time.sleep(0.02)
    return len(killed)


def batch(arguments: Sequence[str], state_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `animator batch`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "animator", "batch", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, STATE: str(state_dir)},
            start_new_session=True,
        )


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    samples: int,
    drivings: int,
    kills: int,
    seed: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Killed:
    """Make a data set twice, once with kills.

    Args:
        arguments: of `animator batch`, all but `--out`.
        folder: an empty folder for everything.
        samples: how many the data set has.
        drivings: how many driving videos, each used in one way.
        kills: how often all processes are killed, evenly spread.
        seed: of the moments.
        say: told what is done.
    """
    told, draw = Killed(samples), random.Random(seed)
    states = {name: folder / f"state-{name}" for name in ("calm", "killed")}
    try:
        began = time.monotonic()
        _finish(arguments, folder, states["calm"], "calm", told)
        told.undisturbed_seconds = time.monotonic() - began
        say(f"undisturbed: {told.undisturbed_seconds:.0f} s")
        began = time.monotonic()
        for number in range(1, kills + 1):
            _kill_at(
                arguments, folder, samples * number // (kills + 1), draw, told, states["killed"]
            )
            say(f"killed at {told.kills[-1]}")
        _finish(arguments, folder, states["killed"], "killed", told)
        told.seconds = time.monotonic() - began
    finally:
        for state in states.values():
            EmbeddedRedis(state).stop()
            kill_all(state)
    for log in sorted((states["killed"] / "logs").glob("worker-*.log")):
        told.extractions += _EXTRACTED.findall(log.read_text(errors="replace"))
    if len(told.extractions) != drivings or len({*told.extractions}) != drivings:
        told.broken.append(f"{drivings} videos, but extracted were {told.extractions}")
    compare(folder / "calm", folder / "killed", told)
    return told


def _finish(arguments: Sequence[str], folder: Path, state: Path, name: str, told: Killed) -> None:
    log = folder / f"{name}.log"
    process = batch([*arguments, "--out", str(folder / name)], state, log)
    if process.wait() != 0:
        told.broken.append(f"the call ended with {process.returncode}: {log.read_text()[-2000:]}")


def _kill_at(
    arguments: Sequence[str],
    folder: Path,
    made: int,
    draw: random.Random,
    told: Killed,
    state: Path,
) -> None:
    """Start the call, and kill everything a moment after so many samples are made."""
    out = folder / "killed"
    process = batch([*arguments, "--out", str(out)], state, folder / "killed.log")
    while _made(out) < made and process.poll() is None:
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 1.5))
    if process.poll() is not None:
        told.broken.append(f"the call ended by itself with {process.returncode}")
    killed = kill_all(state)
    process.wait()
    told.kills.append(f"{_made(out)} samples ({killed} processes)")


def _made(out: Path) -> int:
    made = {tar.stem: len(_names(tar)) for tar in out.glob("shards/*.tar")}
    for folder in out.glob("parts/*"):
        with suppress(FileNotFoundError):  # its shard is completed meanwhile
            parts = sum(name.endswith(RESULT) for name in os.listdir(folder))
            made[folder.name] = max(made.get(folder.name, 0), parts)
    return sum(made.values())


def _names(tar: Path) -> list[str]:
    return [name for name, _ in members(tar) if name.endswith(".mp4")]


def compare(calm: Path, killed: Path, told: Killed) -> None:
    """Note what differs between two runs, and what else is left."""
    ours, theirs = (_tree(path) for path in (killed, calm))
    if ours != theirs:
        told.broken.append(f"files differ: {sorted(ours ^ theirs)}")
    tars = sorted(calm.glob("shards/*.tar"))
    told.shards = len(tars)
    for tar in tars:
        other = killed / "shards" / tar.name
        if not other.is_file():
            continue
        if tar.read_bytes() == other.read_bytes():
            told.same_bytes += 1
            continue
        one, two = _contents(tar), _contents(other)
        if [*one] != [*two]:
            told.broken.append(f"{tar.name} has other names: {[*one]}, {[*two]}")
        elif changed := [name for name in one if one[name] != two[name]]:
            told.broken.append(f"{tar.name} has other content in {changed}")


def _tree(folder: Path) -> set[str]:
    """All files, hidden ones, too, and folders."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _contents(tar: Path) -> Mapping[str, str | bytes]:
    """Members in their order: of videos the frames, their times and the sound."""
    found: dict[str, str | bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for name, data in members(tar):
            found[name] = data
            if name.endswith(".mp4"):
                path.write_bytes(data)
                found[name] = content(path)
    return found
