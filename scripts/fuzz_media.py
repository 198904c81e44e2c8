"""A hunt for media files that crash, hang or confuse what reads them.

Small files of many kinds are made, damaged at random, and read as a job and a check read them, in
child processes with limits. Each case follows from the seed and its number:

    python scripts/fuzz_media.py --cases 10000 --keep found
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from damaged_media import make_seeds, mutate

SECONDS = 5.0
"""Processor time that one file may take."""
PATIENCE = 6
"""How many times as long it may take on the wall, where other programs want the processor, too."""
LOOK_EVERY = 50
"""Cases of which one is also looked at as `animator check` does."""
LOOK_SECONDS = 25.0
"""Processor time that the search for faces may take besides."""


# -- reading -----------------------------------------------------------------------------------


def exercise(path: Path, look: bool) -> dict[str, str]:
    """Read a file in every way in which jobs and checks do; what came of each.

    Raises:
        Exception: whatever is no coded error, with a note that says who raised it.
    """
    from animator.errors import AnimatorError

    found: dict[str, str] = {}
    for name, read in _readers(path, look).items():
        try:
            read()
            found[name] = "read"
        except AnimatorError as error:
            found[name] = error.code
        except Exception as error:
            error.add_note(f"in {name}")
            raise
    return found


def _readers(path: Path, look: bool) -> dict[str, Callable[[], object]]:
    from animator.checks.media import look as look_at
    from animator.media.decode import VideoReader, content_hash, probe, read_image
    from animator.media.encode import VideoWriter
    from animator.media.sampling import read_timing
    from animator.settings import DEFAULT_LIMITS
    from animator.spec import JobSpec

    def frames() -> None:
        with VideoReader(path) as reader:
            for _ in reader:
                pass

    def sound() -> None:
        size = {"width": 32, "height": 32}
        base = Fraction(1, 25)
        output = path.with_name("sound.mp4")
        with VideoWriter(output, **size, time_base=base, audio_from=path) as writer:
            for number in range(3):
                writer.write(np.zeros((32, 32, 3), np.uint8), number)

    def check() -> None:
        spec = JobSpec(str(path), str(path), str(path.with_name("out.mp4")))
        about = {"subjects": ["source", "driving"], "frames": 4, "seconds": 5}
        answers: list[dict[str, Any]] = []
        look_at({"spec": spec.to_json(), "limits": vars(DEFAULT_LIMITS), **about}, answers.append)
        assert len(answers) == 2

    return {
        "hash": lambda: content_hash(path),
        "image": lambda: read_image(path),
        "probe": lambda: probe(path),
        "timing": lambda: read_timing(path, DEFAULT_LIMITS, Fraction(0), None, SECONDS),
        "frames": frames,
        "sound": sound,
        **({"check": check} if look else {}),
    }


def child(target: str, memory_mb: int) -> None:
    """Read the files that are named on standard input, a line of JSON each; answer likewise."""
    import resource

    from animator.sandbox import become_expendable

    become_expendable()
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module, _, name = target.partition(":")
    read = getattr(importlib.import_module(module), name) if module else exercise
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for line in sys.stdin:
        task = json.loads(line)
        began, answer = time.process_time(), {}
        try:
            answer["found"] = read(Path(task["path"]), task["look"])
        except MemoryError:
            answer["found"] = {"any": "out_of_memory"}
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            notes = " ".join(getattr(error, "__notes__", []))
            answer["uncoded"] = f"{type(error).__name__}: {error} {notes}"[:500]
        answer["seconds"] = time.process_time() - began
        os.write(answers, json.dumps(answer).encode() + b"\n")


# -- the hunt ----------------------------------------------------------------------------------


@dataclass
class Hunt:
    """What came of the cases so far.

    Attributes:
        outcomes: how often each reader ended how.
        failures: what should not be, by the number of the case.
        slowest: processor time of the slowest without a look, in seconds.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0


class Reader:
    """A child that reads files, and is replaced when it dies or hangs."""

    def __init__(self, target: str, memory_mb: int) -> None:
        self._command = [sys.executable, __file__, "--child", target, "--memory-mb", str(memory_mb)]
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, look: bool) -> dict[str, Any]:
        """What the child says of a file, or {"died": how}."""
        fresh = self._process is None
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"path": str(path), "look": look}).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            # A new child has to import everything first.
            ready = selector.select(allowed(look) * PATIENCE * (5 if fresh else 1))
        line = process.stdout.readline() if ready else b""
        if line:
            return dict(json.loads(line))
        self.close()
        status = process.returncode
        return {"died": f"status {status}" if ready else "hung"}

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(self._command, stderr=subprocess.DEVNULL, **pipes)  # type: ignore[call-overload,no-any-return]


def allowed(look: bool) -> float:
    """Seconds of processor time for a case."""
    return SECONDS + LOOK_SECONDS * look


def hunt(options: argparse.Namespace, folder: Path) -> Hunt:
    """Go through the cases; failing files are copied to `options.keep`."""
    seeds = make_seeds(folder)
    print("seeds:", " ".join(path.suffix[1:] for path in seeds), flush=True)
    done, reader = Hunt(), Reader(options.target, options.memory_mb)
    for number in range(options.first, options.first + options.cases):
        dice = random.Random(f"{options.seed} {number}")
        origin = seeds[number % len(seeds)]
        path = folder / f"case{origin.suffix}"
        path.write_bytes(mutate(origin.read_bytes(), dice))
        if number % 1000 == 999:
            print(f"at {number + 1}, {len(done.failures)} failures", flush=True)
        look = number % LOOK_EVERY == 0
        answer = reader.read(path, look)
        seconds = answer.get("seconds", 0.0)
        if not look:
            done.slowest = max(done.slowest, seconds)
        done.outcomes.update(f"{name} {how}" for name, how in answer.get("found", {}).items())
        uncoded = answer.get("uncoded")
        wrong = answer.get("died") or (uncoded and f"uncoded {uncoded}")
        if wrong is None and seconds > allowed(look):
            wrong = f"took {seconds:.1f} s"
        if wrong is not None:
            done.failures[number] = f"{origin.suffix[1:]}: {wrong}"
            print(number, done.failures[number], flush=True)
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}{origin.suffix}").write_bytes(path.read_bytes())
    reader.close()
    return done


def main() -> int:
    """Hunt and report; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="how many files are made")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", default="1", help="another one gives other files")
    parser.add_argument("--keep", type=Path, help="folder for files that something was wrong with")
    parser.add_argument("--memory-mb", type=int, default=4096, help="address space of a child")
    parser.add_argument("--target", default="", help="MODULE:FUNCTION to call instead of ours")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.memory_mb)
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        done = hunt(options, Path(folder))
    for outcome, count in sorted(done.outcomes.items()):
        print(f"{count:7} {outcome}")
    print(
        f"{options.cases} cases in {time.monotonic() - began:.0f} s, the slowest took "
        f"{done.slowest:.2f} s; {len(done.failures)} failures"
    )
    return int(bool(done.failures))


if __name__ == "__main__":
    sys.exit(main())
