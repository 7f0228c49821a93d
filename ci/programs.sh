#!/usr/bin/env bash
# Runs real programs on the system's malloc and on HAKMEM and demands the same results.
#
#   ci/programs.sh [NAME…]    every program of ci/programs/, or the named ones
#   ci/programs.sh --list     their names
#
# Environment:
#   HAK_OUT           directory of libhakmem.so (default: out/release)
#   HAK_PRELOAD       another allocator library to test instead
#   HAK_TEST_QUICK=1  small inputs: the whole list in under 20 s
#   HAK_TEST_SECONDS  time limit of one run (default: 2400; a run usually takes ten)
#   HAKMEM_*          passed on to the programs, so that options can be tested with all of them
#
# ci/programs/NAME.sh defines
#   needs     the commands that it uses; a missing one is a failure
#   subjects  executables that must allocate from the library under test
#   prepare   (optional) makes the inputs in $input, once, on the system's malloc
#   workload  the run itself, in an empty directory; on both allocators exit status, stdout and
#             stderr must be the same
# and may read $root (this repository), $input and $quick (0 or 1).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=$root/ci/programs
path=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

# Each run gets a fixed environment: a caller's locale, PATH or git configuration would change the
# output.
clean_environment() {
    exec env -i PATH="$path" LC_ALL=C.UTF-8 TZ=UTC \
        HOME="$scratch/run" TMPDIR="$scratch/run" root="$root" input="$scratch/input" quick="$quick" \
        "${options[@]}" "$@"
}

# call FUNCTION NAME: runs one function of ci/programs/NAME.sh in a shell of its own.
call() {
    # shellcheck disable=SC2016 # the inner shell expands these
    clean_environment "${loader[@]}" timeout --kill-after=5 "${HAK_TEST_SECONDS:-2400}" \
        bash -c 'set -euo pipefail; source "$1"; "$2"' "$2" "$programs/$2.sh" "$1"
}

# Has the loader record every symbol binding, in one file for each process. The record proves
# afterwards which allocator each process used. Both runs are recorded, so that the recording makes
# no difference between them. LD_BIND_NOW makes the record complete.
loader_record() {
    loader=(LD_BIND_NOW=1 LD_DEBUG=bindings LD_DEBUG_OUTPUT="$scratch/$1.bindings/process")
    mkdir "$scratch/$1.bindings"
}

# group_lives LEADER: true if a process of its process group exists and has not ended
group_lives() {
    local line state group
    for line in /proc/[0-9]*/stat; do
        { read -r line <"$line"; } 2>/dev/null || continue
        read -r state _ group _ <<<"${line##*) }"
        [[ $group != "$1" || $state == [ZX] ]] || return 0
    done
    return 1
}

# end_group LEADER: kills the processes that a workload left in its process group, and waits for
# their end
end_group() {
    while kill -KILL -- "-$1" 2>/dev/null && group_lives "$1"; do sleep 0.02; done
}

# run_workload NAME SIDE: leaves SIDE.out, SIDE.err, SIDE.status and SIDE.seconds in $scratch
run_workload() {
    local name=$1 side=$2 began ended status=0
    # Both runs get the same path: programs print their directory, compilers record it.
    rm -rf "$scratch/run"
    mkdir "$scratch/run"
    began=$EPOCHREALTIME
    (cd "$scratch/run" && call workload "$name") >"$scratch/$side.out" 2>"$scratch/$side.err" </dev/null &
    running=$!
    wait "$running" || status=$?
    ended=$EPOCHREALTIME
    end_group "$running"
    running=
    echo "$status" >"$scratch/$side.status"
    awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.1f", b - a }' >"$scratch/$side.seconds"
}

# allocator_of LIBRARY SUBJECT…: proves that every allocation function in every process was bound to
# LIBRARY, and that every SUBJECT was one of these processes. An executable that takes malloc's
# address provides malloc by its own PLT entry; this is allowed if the entry leads to LIBRARY.
allocator_of() {
    local library=$1
    shift
    awk -v library="$library" -v subjects="$*" '
        function process_ends(    key, part, replaced) {
            for (key in elsewhere) {
                split(key, part, SUBSEP)
                # A program may replace an operator, which the library then calls, as the standard
                # demands.
                replaced = elsewhere[key] == library && part[2] ~ /^_Z[nd]/ && ((part[1], "malloc") in ours)
                if (!((part[1], part[2]) in ours) && !replaced) {
                    print "process " process ": " elsewhere[key] " got " part[2] " from " part[1]
                    failed = 1
                }
            }
            delete elsewhere
            delete ours
        }
        BEGIN {
            count = split("malloc calloc realloc reallocarray free cfree aligned_alloc posix_memalign memalign " \
                          "valloc pvalloc malloc_usable_size", name, " ")
            for (i = 1; i <= count; i++)
                allocates[name[i]]
        }
        FNR == 1 { process_ends(); process = FILENAME; sub(/.*\./, "", process) }
        $2 == "binding" && $3 == "file" {
            symbol = $0
            sub(/.*symbol `/, "", symbol)
            sub(/\047.*/, "", symbol)
            if (!(symbol in allocates) && symbol !~ /^_Z(n[wa]|d[la])/)
                next
            from = $0
            sub(/.*binding file /, "", from)
            to = from
            sub(/ \[0\] to .*/, "", from)
            sub(/.* \[0\] to /, "", to)
            sub(/ \[0\]: .*/, "", to)
            if (to == library) {
                ours[from, symbol] = 1
                sub(/.*\//, "", from)
                seen[from] = 1
            } else {
                elsewhere[to, symbol] = from
            }
        }
        END {
            process_ends()
            count = split(subjects, subject, " ")
            for (i = 1; i <= count; i++)
                if (!(subject[i] in seen)) {
                    print "no process of " subject[i] " got its allocation functions from " library
                    failed = 1
                }
            exit failed
        }' "$scratch/tested.bindings"/process.*
}

# compare NAME: prints one line if both runs agree, else everything that differs
compare() {
    local name=$1 status part same=true
    status=$(<"$scratch/system.status")
    if [[ $status != 0 ]]; then
        echo "failed on the system's malloc: $name: exit status $status"
        tail -n 40 "$scratch/system.err" "$scratch/system.out"
        return 1
    fi
    if [[ ! -s $scratch/system.out ]]; then
        echo "no output: $name"
        return 1
    fi
    for part in status out err; do
        if ! cmp -s "$scratch/system.$part" "$scratch/tested.$part"; then
            echo "different $part: $name"
            diff --text -u --label system "$scratch/system.$part" --label "$label" "$scratch/tested.$part" | sed -n 1,60p || true
            same=false
        fi
    done
    $same || return 1
    if ! allocator_of "$library" "${subjects[@]}" >"$scratch/proof"; then
        echo "not on $label: $name"
        head -n 20 "$scratch/proof"
        return 1
    fi
    echo "same output: $name ($(<"$scratch/system.seconds") s system, $(<"$scratch/tested.seconds") s $label)"
}

check() {
    local name=$1 command missing=() needs=() subjects=()
    unset -f prepare workload
    # shellcheck source=/dev/null
    source "$programs/$name.sh"
    for command in "${needs[@]}"; do
        PATH=$path type -P "$command" >/dev/null || missing+=("$command")
    done
    if ((${#missing[@]})); then
        echo "missing: $name needs ${missing[*]}; on Debian, as root:"
        echo "    apt-get install -y --no-install-recommends$(awk '$1 == "build" || $1 == "programs" { printf " %s", $2 }' \
            "$root/ci/packages.txt")"
        return 1
    fi
    rm -rf "${scratch:?}"/*
    mkdir "$scratch/input"
    if [[ $(type -t prepare) == function ]]; then
        loader=()
        if ! (mkdir "$scratch/run" && cd "$scratch/input" && call prepare "$name") </dev/null; then
            echo "no inputs: $name"
            return 1
        fi
    fi
    loader_record system
    run_workload "$name" system
    loader_record tested
    loader+=(LD_PRELOAD="$library")
    run_workload "$name" tested
    compare "$name"
}

names=()
for script in "$programs"/*.sh; do
    script=${script##*/}
    names+=("${script%.sh}")
done
if [[ ${1-} == --list ]]; then
    printf '%s\n' "${names[@]}"
    exit
fi
if (($#)); then
    for name in "$@"; do
        if [[ ! -f $programs/$name.sh ]]; then
            echo "unknown program: $name (known: ${names[*]})" >&2
            exit 2
        fi
    done
    names=("$@")
fi

original=${HAK_PRELOAD:-${HAK_OUT:-$root/out/release}/libhakmem.so}
if [[ ! -f $original ]]; then
    echo "no library to try: $original" >&2
    exit 2
fi
quick=${HAK_TEST_QUICK:-0}
label=${original##*/lib}
label=${label%%.so*}
options=()
for option in "${!HAKMEM_@}"; do options+=("$option=${!option}"); done

running=
base=$(mktemp -d "${TMPDIR:-/tmp}/hak-programs.XXXXXX")
stop() {
    if [[ $running ]]; then
        kill -TERM "$running" 2>/dev/null || true
        wait "$running" || true
        end_group "$running"
    fi
    rm -rf "$base"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A copy, so that a build at the same time cannot replace the library between two processes of one
# workload.
library=$base/${original##*/}
cp -L "$original" "$library"
scratch=$base/scratch
mkdir "$scratch"

failures=0
for name in "${names[@]}"; do
    check "$name" || failures=$((failures + 1))
done
if ((failures)); then
    echo "$failures of ${#names[@]} programs failed"
    exit 1
fi
