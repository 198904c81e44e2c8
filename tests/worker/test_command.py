"""The command `animator-worker`, in a folder with a package of our name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def report(tmp_path: Path, redis_url: str, *command: str) -> subprocess.CompletedProcess[str]:
    """What Celery says of the application that a command would run."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").write_text("print('the wrong one')\n")
    environment = {
        **os.environ,
        "ANIMATOR_BROKER_URL": redis_url,
        "ANIMATOR_STATE_DIR": str(tmp_path / "state"),
        "PYTHONPATH": str(REPOSITORY),
    }
    return subprocess.run(
        [sys.executable, *command, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_folder_of_the_users_does_not_come_before_ours(tmp_path: Path, redis_url: str) -> None:
    # As pip's script does: the current folder is not on the path.
    code = "import sys; sys.argv[0] = 'animator-worker'; from worker.__main__ import main; main()"
    done = report(tmp_path, redis_url, "-P", "-c", code)
    assert done.returncode == 0, done.stderr
    assert "the wrong one" not in done.stdout + done.stderr
    assert "--concurrency" in done.stdout


def test_celerys_own_command_takes_the_folder(tmp_path: Path, redis_url: str) -> None:
    """Why there is another one; should this fail one day, it can go."""
    done = report(tmp_path, redis_url, "-m", "celery", "-A", "worker", "worker")
    assert "the wrong one" in done.stdout + done.stderr
