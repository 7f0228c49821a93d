#!/usr/bin/env bash
# The one command of HAKMEM: builds, runs, tests, measures. See `./build.sh help`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# The build must not depend on a make or an allocator under which this script is called.
unset MAKEFLAGS MFLAGS MAKELEVEL

help() {
    cat <<'EOT'
usage: ./build.sh COMMAND

  run [--variant V] [--] PROGRAM ARGS...
                          runs any program on HAKMEM; builds what is missing first
  test [--variant V] [GROUP...]
                          installs the packages that the tests need, builds, and runs all tests or
                          the named groups; `test quick` takes about four minutes; the last line
                          is "N passed, N failed"
  release [TARGET...]     builds out/release/: libhakmem and libhakmem_prefixed, .so and .a, and the
                          benchmarks
  debug [TARGET...]       the same without optimisation and with all assertions, in out/debug/
  TARGET...               builds single targets of release, such as larson_hakmem
  verify BINARY           says whether a binary contains HAKMEM, which version and build of it, and
                          whether it was built from today's sources; fails if not
  bench [SUITE|ROW...] [--quick] [--peer NAME=LIB.so] [--audit]
                          compares HAKMEM with the system's malloc, mimalloc, jemalloc, tcmalloc and
                          each --peer; with --audit, the audit's levels 1 and 2 with release;
                          writes JSON and a page with charts to out/bench/
  golden [PATH...]        counts the instructions of each path of malloc and free; fails if one is
                          more than 2 % above verify/golden/table.txt; `golden --update` rewrites
                          the table
  seeded [ID...]          plants known bugs into copies of the sources, one at a time, and proves
                          that checks, assertions and audits see each; `seeded --list` names the
                          bugs, `seeded --matrix` tries every detector on every bug
  hunt [ID...] [--seeds N] [--seconds S]
                          runs a fuzz target or the explorer on planted bugs, without any inputs:
                          fails unless each bug is found with every seed within a minute, replayed
                          ten times and made as small as can be
  mutants [N] [--seed S]  makes N small random changes in core/, one at a time: do the tests see
                          each? Fails unless more than 90 % are seen and each other one is explained
  soak [MINUTES]          runs the stress test and the real programs on the audit, levels 1 and 2,
                          for an hour unless told; any report is a failure
  fuzz TARGET [SECONDS]   runs libFuzzer on a target of fuzz/, for a minute unless told;
                          `fuzz all [SECONDS]` runs each target for so long; a finding is kept,
                          replayed, and a failure; `fuzz seeds` keeps the inputs that were learnt
  fuzz-coverage           the lines and branches of core/ that the checked-in inputs reach, as HTML
                          and a summary
  explore [SCENARIO...]   runs a few threads of core/'s own code in every order, up to 2
                          preemptions; `explore --list` names the scenarios, `explore --help`
                          describes random walks, weak memory and the replay of one schedule
  counts [PATTERN...] [--places]
                          counts locks, atomic operations and moving cache lines for each pattern of
                          threads; fails if one is over its budget; `counts --list` names the
                          patterns
  replay FILE [--variant V] [--allocator LIB.so | system] [--threads real|virtual]
                          repeats the operations of a log and proves every block;
                          `HAKMEM_RECORD=FILE ./build.sh run --variant record -- PROGRAM` records one
  shrink FILE [--variant V] [--threads real|virtual] [-o OUT]
                          makes a log that fails as small as can be, in OUT, and as a C program in
                          OUT.c; `shrink --target TARGET FILE` does so with an input of a fuzz target
  valgrind -- [OPTIONS] PROGRAM ARGS...
                          runs a program under Memcheck on the valgrind build: our code runs, and
                          Memcheck sees each block; --tool=helgrind and --tool=drd look for races,
                          in our code too
  list                    variants and what each is for, targets, test groups, benchmark rows
  clean                   removes out/
  help                    this text

Builds take switches as NAME=VALUE, such as POOL_TLS_PREWARM=1 or CC=clang; `make print-flags` shows
them. Each variant that `list` shows is a command, like release.
EOT
}

die() {
    printf 'build.sh: %s\n' "$1" >&2
    exit 2
}

variants() {
    local file
    for file in "$root"/ci/variants/*.mk; do
        basename "$file" .mk
    done
}

is_variant() { [ -f "$root/ci/variants/$1.mk" ]; }

# build VARIANT GOAL-OR-SWITCH...: prints on stderr what it does, nothing if everything is up to
# date. Builds wait for each other, because several tests may call this script at once.
build() {
    local variant=$1
    shift
    "$root/ci/install.sh" build
    if grep -qx 'HAK_AUDIT := 1' "$root/ci/variants/$variant.mk"; then "$root/ci/install.sh" symbolize; fi
    mkdir -p "$root/out"
    (
        unset LD_PRELOAD
        exec 9>"$root/out/.lock"
        flock 9
        make --no-print-directory -C "$root" -j"$(nproc)" VARIANT="$variant" "$@" >&2
    )
}

list() {
    local file group
    "$root/ci/install.sh" build
    echo "variants:"
    for file in "$root"/ci/variants/*.mk; do
        printf '  %-10s%s\n' "$(basename "$file" .mk)" "$(sed -n '1s/^# //p' "$file")"
    done
    echo "targets:"
    make --no-print-directory -s -C "$root" print-targets | sed 's/^/  /'
    echo "test groups:"
    echo "  quick"
    for group in "$root"/verify/tests/*/; do
        printf '  %s\n' "$(basename "$group")"
    done
    echo "benchmark rows:"
    "$root/bench/compare.py" --list | sed 's/^/  /'
}

run() {
    local variant=release switches=() library
    while [ $# -ne 0 ]; do
        case $1 in
        --variant)
            [ $# -ge 2 ] || die "--variant needs a name"
            variant=$2
            shift
            ;;
        --)
            shift
            break
            ;;
        [A-Z]*=*) switches+=("$1") ;;
        -*) die "run: unknown option $1" ;;
        *) break ;;
        esac
        shift
    done
    [ $# -ne 0 ] || die "run: which program?"
    is_variant "$variant" || die "no variant '$variant'; there are: $(variants | xargs)"
    library=$root/out/$variant/libhakmem.so
    # For the loader a blank or a colon ends a name.
    [[ $library != *[[:space:]:]* ]] || die "LD_PRELOAD cannot hold the path $library"
    build "$variant" lib "${switches[@]}"
    if [ "$variant" = asan ]; then
        # The sanitizer's runtime has to be the first library. Leaks of the program itself are not
        # reported.
        library=$(realpath "$("${CC:-gcc}" -print-file-name=libasan.so)"):$library
        export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
    fi
    exec env LD_PRELOAD="$library${LD_PRELOAD:+:$LD_PRELOAD}" "$@"
}

# An allocator other than HAKMEM is preloaded to the variant libc, which forwards to libc.
replay() {
    local file='' variant=release threads=real library=system
    while [ $# -ne 0 ]; do
        case $1 in
        --variant | --allocator | --threads) [ $# -ge 2 ] || die "$1 needs a name" ;;&
        --variant) variant=$2 ;;
        --allocator) variant=libc library=$2 ;;
        --threads) threads=$2 ;;
        -*) die "replay: unknown option $1" ;;
        *)
            [ -z "$file" ] || die "replay: one file, not $file and $1"
            file=$1
            shift
            continue
            ;;
        esac
        shift 2
    done
    [ -n "$file" ] || die "replay: which file?"
    is_variant "$variant" || die "no variant '$variant'; there are: $(variants | xargs)"
    [ "$library" = system ] || [ -f "$library" ] || die "replay: no library $library"
    build "$variant" "out/$variant/replay"
    [ "$library" = system ] || export LD_PRELOAD=$library
    exec "$root/out/$variant/replay" --threads "$threads" "$file"
}

# The input of most targets is a header of 4 bytes and operations of 6 bytes.
shrink() {
    local file='' variant=release target='' options=()
    while [ $# -ne 0 ]; do
        case $1 in
        --variant | --target | --threads | -o) [ $# -ge 2 ] || die "$1 needs a name" ;;&
        --variant) variant=$2 ;;
        --target) target=$2 ;;
        --threads | -o) options+=("$1" "$2") ;;
        -*) die "shrink: unknown option $1" ;;
        *)
            [ -z "$file" ] || die "shrink: one file, not $file and $1"
            file=$1
            shift
            continue
            ;;
        esac
        shift 2
    done
    [ -n "$file" ] || die "shrink: which file?"
    is_variant "$variant" || die "no variant '$variant'; there are: $(variants | xargs)"
    if [ -z "$target" ]; then
        build "$variant" "out/$variant/replay"
        options+=(--replay "$root/out/$variant/replay")
    else
        [ -f "$root/fuzz/$target.c" ] || die "shrink: no target '$target'"
        "$root/ci/install.sh" build fuzz
        build fuzz "out/fuzz/fuzz/$target"
        options+=(--target "$root/out/fuzz/fuzz/$target")
        case $target in
        fuzz_log | fuzz_options) options+=(--header 0 --unit 1) ;;
        fuzz_real_threads) options+=(--header 0 --unit 4) ;;
        esac
    fi
    build release out/release/shrink
    exec "$root/out/release/shrink" "${options[@]}" "$file"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
help | -h | --help) help ;;
list) list ;;
clean) rm -rf "$root/out" ;;
run) run "$@" ;;
replay) replay "$@" ;;
shrink) shrink "$@" ;;
test) exec "$root/ci/test.sh" "$@" ;;
verify)
    "$root/ci/install.sh" build
    exec "$root/ci/verify_binary.sh" "$@"
    ;;
valgrind)
    if [ "${1:-}" != -- ]; then
        build valgrind "$@"
        exit
    fi
    shift
    "$root/ci/install.sh" valgrind
    build valgrind lib
    # Without this option the tools replace our malloc with their own, and none of our code runs.
    options=(--soname-synonyms=somalloc=nouserintercepts)
    # DRD forgets the order that an ended thread established as soon as a new thread gets its
    # number.
    [[ " $* " != *" --tool=drd "* ]] || options+=(--join-list-vol=400)
    # Threads reuse stacks under a lock of libc that Helgrind and DRD do not see.
    exec env LD_PRELOAD="$root/out/valgrind/libhakmem.so${LD_PRELOAD:+:$LD_PRELOAD}" \
        GLIBC_TUNABLES="${GLIBC_TUNABLES:+$GLIBC_TUNABLES:}glibc.pthread.stack_cache_size=0" \
        valgrind "${options[@]}" "$@"
    ;;
golden)
    "$root/ci/install.sh" build golden
    build release lib
    exec "$root/verify/golden/golden.sh" "$@"
    ;;
seeded)
    "$root/ci/install.sh" build seeded
    exec "$root/verify/seeded/run.sh" "$@"
    ;;
hunt)
    "$root/ci/install.sh" build fuzz seeded
    exec /usr/bin/python3 "$root/verify/seeded/hunt.py" "$@"
    ;;
fuzz)
    "$root/ci/install.sh" build fuzz
    build fuzz fuzzers
    build fuzztsan out/fuzztsan/fuzz/fuzz_real_threads out/fuzztsan/fuzz/fuzz_remote
    exec "$root/fuzz/fuzz.sh" "$@"
    ;;
explore)
    "$root/ci/install.sh" build explore
    build explore "out/explore/explore"
    exec "$root/out/explore/explore" "$@"
    ;;
counts)
    "$root/ci/install.sh" build counts
    build counts "out/counts/counts"
    exec "$root/out/counts/counts" "$@"
    ;;
mutants)
    "$root/ci/install.sh" build test golden seeded mutants
    exec /usr/bin/python3 "$root/verify/mutants/run.py" "$@"
    ;;
fuzz-coverage)
    "$root/ci/install.sh" build fuzz
    build fuzzcov fuzzers
    exec "$root/fuzz/fuzz.sh" coverage "$@"
    ;;
soak)
    "$root/ci/install.sh" build programs
    build audit lib out/audit/tests/stress_internal
    exec "$root/verify/soak.sh" "$@"
    ;;
bench)
    "$root/ci/install.sh" build bench
    build release all
    [[ " $* " != *" --audit "* ]] || build audit lib
    exec "$root/bench/compare.py" "$@"
    ;;
*)
    if is_variant "$command"; then
        build "$command" "$@"
    else
        [[ $command =~ ^[a-z][a-z0-9_.]*$ ]] || die "no command or target '$command'; see ./build.sh help"
        build release "$command" "$@"
    fi
    ;;
esac
