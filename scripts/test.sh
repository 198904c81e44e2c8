#!/usr/bin/env bash
# Installs what development needs and checks the project; arguments go to pytest.
#
#   bash scripts/test.sh [-k EXPRESSION | tests/animator | ...]
set -euo pipefail
source -- "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

prepare "dev"
cd -- "$repository"
"$venv/bin/ruff" check .
"$venv/bin/mypy"
exec "$venv/bin/python" -m pytest "$@"
