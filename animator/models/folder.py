"""The state folder of a process, and the folder in it for networks that were fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where state lives: `ANIMATOR_STATE_DIR`, else the platform's folder for this user."""
    given = (os.environ if environment is None else environment).get("ANIMATOR_STATE_DIR")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("animator", appauthor=False))


def detectors_folder(state_dir: Path | None = None) -> Path:
    """Where `animator detectors install` puts what it fetched.

    Args:
        state_dir: the state folder; None for this process's own.
    """
    return (state_folder() if state_dir is None else state_dir) / "detectors"
