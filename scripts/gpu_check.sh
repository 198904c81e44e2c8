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
    case ${arguments[index]} in
    --pack) pack=${arguments[index + 1]:-} ;;
    --pack=*) pack=${arguments[index]#--pack=} ;;
    esac
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
    # By Python: not every machine has xz.
    timeout 60 "$python" -m tarfile -e "$pack/site.tar.xz" "$site"
fi
export PYTHONPATH=$root:$root/benchmarks${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}
# A checkout that is not installed is made known, so that the queue of jobs is found.
"$python" "$root/benchmarks/gpu/known.py" "$root" "$scratch/known"
export PYTHONPATH=$PYTHONPATH:$scratch/known

# Whatever happens: the runner's own limits end well before this one. In the background, as a shell
# that waits for a command hears of no signal; the runner then writes down what it has.
timeout --kill-after=5 $((470 - SECONDS)) "$python" -m gpu ${arguments[@]+"${arguments[@]}"} &
runner=$!
trap 'kill -TERM "$runner" 2>/dev/null || true' TERM INT HUP
status=0
wait "$runner" || status=$?
while kill -0 "$runner" 2>/dev/null; do # the wait was cut short by a signal
    status=0
    wait "$runner" || status=$?
done
exit "$status"
