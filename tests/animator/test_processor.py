from __future__ import annotations

import os
import subprocess
import sys

import pytest

from animator import processor

CHOICES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        monkeypatch.setenv(name, "")  # so that it is put back whatever a test sets
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("cores", "jobs", "threads"), [(1, 1, 1), (2, 1, 1), (8, 1, 7), (8, 4, 2), (2, 8, 1)]
)
def test_one_core_is_left_or_jobs_share_them(
    cores: int, jobs: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "cores", lambda: cores)
    processor.share_cores(jobs)
    assert os.environ["OMP_NUM_THREADS"] == str(threads)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) <= 5000


def test_what_a_user_has_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    processor.share_cores()
    assert [os.environ.get(name) for name in CHOICES] == ["3", "PASSIVE", None]


FAULTS = """
import ctypes, resource, sys
from animator.processor import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    block = libc.malloc(8 << 20)
    ctypes.memset(block, 1, 8 << 20)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="another C library")
def test_memory_that_is_kept_costs_no_page_faults_again() -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def faults(how: str, **more: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, env=plain | more, capture_output=True, check=True)
        return int(done.stdout)

    pages = (8 << 20) // os.sysconf("SC_PAGE_SIZE")
    # By itself glibc learns after the first that such blocks come again, and gives them back.
    given_back, kept = faults("plain", MALLOC_TRIM_THRESHOLD_="131072"), faults("kept")
    assert given_back > 25 * pages
    assert kept < 3 * pages
    assert faults("kept", MALLOC_TRIM_THRESHOLD_="131072") > 25 * pages


AT_THE_END = """
import atexit, os, sys
from animator.cli.app import main
from tests.animator.test_processor import CHOICES
atexit.register(lambda: print([os.environ.get(name) for name in CHOICES]))
sys.argv = ["animator", "--version"]
main()
"""


def test_a_command_that_may_start_workers_leaves_them_all_cores() -> None:
    plain = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-c", AT_THE_END]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([None, "ACTIVE", "2000"])
