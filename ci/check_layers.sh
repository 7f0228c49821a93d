#!/usr/bin/env bash
# Proves the layer order: a file of core/ includes only files of its own layer and of those above it in the table.
#
#   check_layers.sh [FOLDER]     FOLDER holds core/; default: this repository
#
# verify/hooks.h is the one file outside core/ that core/ may include, from anywhere; it must itself keep to the
# first layers. A file that stands in no layer fails.
set -euo pipefail
export LC_ALL=C
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

# From the bottom up; a name stands for its .h, .c and .def.
layers=(
    "core/config core/types verify/hooks"
    "core/syscall core/vdso core/stderr core/os core/lock core/text"
    "core/size_class"
    "core/chunk"
    "core/superslab core/remote"
    "core/pool_arena core/large core/bigcache"
    "core/policy core/options core/heap core/heap_slabs core/seize core/refill core/trim core/stats core/report core/abort"
    "core/fast"
    "core/api core/cxx core/cxx_nothrow core/cxx_runtime core/deepbind core/slow core/hakmem core/symbols core/pin core/watched core/watched_info"
)

declare -A layer_of
for i in "${!layers[@]}"; do
    for name in ${layers[i]}; do
        layer_of[$name]=$i
    done
done

status=0
complain() {
    printf '%s\n' "$1"
    status=1
}

shopt -s nullglob
checked=0
for file in core/*.[ch] core/*.cc core/*.def verify/hooks[.]h; do
    own=${layer_of[${file%.*}]:-}
    checked=$((checked + 1))
    if [ -z "$own" ]; then
        complain "$file: is in no layer"
        continue
    fi
    while IFS=: read -r line included; do
        # A name without a folder is a neighbour's.
        [[ $included == */* ]] || included=${file%/*}/$included
        above=${layer_of[${included%.*}]:-}
        if [ -z "$above" ]; then
            complain "$file:$line: includes $included, which is in no layer"
        elif [ "$above" -gt "$own" ]; then
            complain "$file:$line: includes $included, which is in a later layer (${layers[above]})"
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file" |
        sed -E 's/^([0-9]+):[^"]*"([^"]*)".*/\1:\2/')
done
[ "$checked" -ne 0 ] || complain "no core/ here"
[ $status -ne 0 ] || printf '%d files keep the layer order\n' "$checked"
exit $status
