#!/usr/bin/env bash
# Installs what development needs and checks the project; other arguments go to pytest.
#
#   bash scripts/test.sh [--quick] [-k EXPRESSION | tests/animator | ...]
#
# --quick leaves out the tests that are marked as slow; every package still has some.
set -euo pipefail
source -- "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

selection=
if [[ ${1:-} == --quick ]]; then
    selection="not slow"
    shift
fi
if (($# == 0)); then
    # Where it is about all tests, every processor takes part; many tests wait for something half
    # of their time, so there are three processes for two of them.
    processes=$((($(nproc) * 3 + 1) / 2))
    set -- --numprocesses "$((processes < 8 ? processes : 8))" --dist worksteal
fi

prepare "dev"
cd -- "$repository"
"$venv/bin/ruff" check .
"$venv/bin/mypy"
exec "$venv/bin/python" -m pytest --durations 30 -m "$selection" "$@"
