#!/usr/bin/env bash
# Animates a portrait, from a fresh checkout to the video.
#
#   bash scripts/quickstart.sh                          with sample media that it makes first
#   bash scripts/quickstart.sh SOURCE DRIVING [OUT]     with a portrait and a video of your own
#   bash scripts/quickstart.sh serve [OPTIONS]          with a page, at the address that it prints;
#                                                       the options are those of `animator serve`
set -euo pipefail
source -- "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

usage() {
    echo "usage: bash scripts/quickstart.sh [SOURCE DRIVING [OUT]]"
    echo "       bash scripts/quickstart.sh serve [OPTIONS]"
}

if [[ ${1:-} == serve ]]; then
    prepare "serve"
    exec "$venv/bin/animator" "$@"
fi

case $# in
    0) ;;
    1)
        if [[ $1 == -h || $1 == --help ]]; then
            usage
            exit 0
        fi
        usage >&2
        exit 2
        ;;
    2 | 3) ;;
    *)
        usage >&2
        exit 2
        ;;
esac

prepare ""
animator="$venv/bin/animator"

if (($# == 0)); then
    media="$repository/sample"
    if [[ ! -f $media/source.png || ! -f $media/driving.mp4 ]]; then
        "$animator" sample --force "$media" >&2
    fi
    exec "$animator" submit --wait --force -o "$media/result.mp4" "$media/source.png" "$media/driving.mp4"
fi
exec "$animator" submit --wait ${3:+-o "$3"} -- "$1" "$2"
