#!/usr/bin/env bash
# Makes the folder that travels to a machine with CUDA and without a network, for gpu_check.sh.
#
#   bash scripts/gpu_pack.sh FOLDER [--packs DIR] [--detectors DIR] [--checkpoint FILE]
#       [--features FILE] [--no-code] [--no-packages] [--packages NAME ...] [--python 3.12]
#
# More than 60 MiB are refused. See docs/gpu.md.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
python=${PYTHON:-python3}
[[ -z ${PYTHON:-} && -x $root/.venv/bin/python ]] && python=$root/.venv/bin/python
PYTHONPATH=$root:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m gpu.pack "$@"
