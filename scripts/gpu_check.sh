#!/usr/bin/env bash
# Finds out in less than eight minutes what a machine with CUDA makes of this project, offline.
#
#   bash scripts/gpu_check.sh [OUT] [--only PART ...] [--on-cpu] [--budget SECONDS] [--pack FOLDER]
#
# OUT gets results.md and results.json, whole after every part, and log.txt. See docs/gpu.md.
# FOLDER is what scripts/gpu_pack.sh made; a pack that this script lies in is found by itself.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

python=${PYTHON:-}
if [[ -z $python ]]; then
    python=python3
    [[ -x $root/.venv/bin/python ]] && python=$root/.venv/bin/python
fi

pack=
arguments=("$@")
for ((index = 0; index < $#; index++)); do
    [[ ${arguments[index]} == --pack ]] && pack=${arguments[index + 1]:-}
done
if [[ -z $pack && -f $root/../pack.json ]]; then
    pack=$(cd -- "$root/.." && pwd -P)
    arguments+=(--pack "$pack")
fi

# Packages that travelled along come after nothing but our own code.
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
site=
if [[ -n $pack && -f $pack/site.tar.xz ]]; then
    site=$scratch/site
    mkdir -- "$site"
    tar -xJf "$pack/site.tar.xz" -C "$site"
fi
export PYTHONPATH=$root:$root/benchmarks${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}
# A checkout that is not installed is made known, so that the queue of jobs is found.
"$python" "$root/benchmarks/gpu/known.py" "$root" "$scratch/known"
export PYTHONPATH=$PYTHONPATH:$scratch/known

# Whatever happens: the runner's own limits end well before this one.
status=0
timeout --kill-after=5 475 "$python" -m gpu ${arguments[@]+"${arguments[@]}"} || status=$?
exit "$status"
