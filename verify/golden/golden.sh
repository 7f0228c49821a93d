#!/usr/bin/env bash
# Golden instruction counts: callgrind counts the instructions of each path of the release library.
#
#   golden.sh [PATH...]     measures (default: every path) and compares with table.txt: fails if a
#                           count is more than 2 % up
#   golden.sh --update      measures and rewrites table.txt
#
# Counts depend on the compiler, so the table names the compiler. With another compiler nothing is
# compared, and the status is 0. The library is out/release/libhakmem.so, preloaded, as users run
# it. `./build.sh golden` builds it first.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
table=$root/verify/golden/table.txt
library=$root/out/release/libhakmem.so
driver=$root/out/golden/golden_path

# Rounds of 10 000 blocks. The first rounds are also the warm-up; the count is the difference.
# Start-up varies by some hundred instructions in the loader: a hundredth of an instruction per
# block.
few=4 more=8
tolerance=2 # per cent

die() {
    printf 'golden: %s\n' "$1" >&2
    exit 2
}

# tenths NUMBER: 63.2 as 632, because the shell has only whole numbers.
tenths() {
    [[ $1 =~ ^([0-9]+)\.([0-9])$ ]] || die "not a count: $1"
    echo $((10#${BASH_REMATCH[1]}${BASH_REMATCH[2]}))
}

number() { printf '%d.%d' $(($1 / 10)) $(($1 % 10)); }

build_flag() { env -u LD_PRELOAD make --no-print-directory -s -C "$root" VARIANT=release print-flags | sed -n "s/^$1=//p"; }

build_driver() {
    mkdir -p "${driver%/*}"
    "$1" -std=c11 -D_GNU_SOURCE -O2 -fno-builtin -Wall -Wextra -pthread -o "$driver" "$root/verify/golden/golden_path.c"
}

# count PATH ROUNDS: instructions of the whole process. Address layout, environment, passing time
# and the processor's choice of memset are fixed, so they do not change the count.
count() {
    local text
    text=$(setarch -R env -i LD_PRELOAD="$library" HAKMEM_PURGE_DELAY_MS=3600000 \
        GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM \
        "$valgrind" --tool=callgrind --callgrind-out-file=/dev/null "$driver" "$1" "$2" 2>&1) ||
        die "$1 failed: $text"
    [[ $text =~ Collected\ :\ ([0-9]+) ]] || die "callgrind says no count: $text"
    echo "${BASH_REMATCH[1]}"
}

# measure PATH: instructions per block, in tenths.
measure() {
    local first second blocks=$(((more - few) * 10000))
    first=$(count "$1" $few)
    second=$(count "$1" $more)
    echo $((((second - first) * 10 + blocks / 2) / blocks))
}

update() {
    local path now
    {
        printf '# Instructions per block on each path of the release library; written by ./build.sh golden --update.\n'
        printf '# verify/golden/golden_path.c says what a path does, docs/verification.md how the counts are used.\n'
        printf '# compiler: %s\n' "$compiler"
        for path in "${paths[@]}"; do
            now=$(measure "$path")
            printf '%s | %s\n' "$path" "$(number "$now")"
        done
    } >"$table.new"
    mv "$table.new" "$table"
    cat "$table"
}

# compare PATH...: status 1 if a path needs more instructions than before.
compare() {
    local path golden now up=() down=()
    printf '%-22s %12s %12s\n' path instructions table
    for path in "$@"; do
        golden=$(sed -n "s/^$path | //p" "$table")
        [ -n "$golden" ] || die "$path is not in the table; ./build.sh golden --update adds it"
        golden=$(tenths "$golden")
        now=$(measure "$path")
        printf '%-22s %12s %12s\n' "$path" "$(number "$now")" "$(number "$golden")"
        if [ $((now * 100)) -gt $((golden * (100 + tolerance))) ]; then
            up+=("$path")
        elif [ $((now * 100)) -lt $((golden * (100 - tolerance))) ]; then
            down+=("$path")
        fi
    done
    [ ${#down[@]} -eq 0 ] ||
        printf 'golden: more than %d %% down: %s; ./build.sh golden --update keeps it so\n' $tolerance "${down[*]}"
    [ ${#up[@]} -eq 0 ] || {
        printf 'golden: more than %d %% up: %s\n' $tolerance "${up[*]}"
        return 1
    }
}

valgrind=$(command -v valgrind) || die "needs valgrind"
[ -f "$library" ] || die "no $library; ./build.sh golden builds it"
compiler=$(build_flag COMPILER)
build_driver "$(build_flag CC)"
mapfile -t paths < <("$driver" --list)
[ ${#paths[@]} -ne 0 ] || die "the driver knows no path"

if [ "${1:-}" = --update ]; then
    [ $# -eq 1 ] || die "--update measures every path"
    update
    exit 0
fi
for path in "$@"; do
    [[ " ${paths[*]} " == *" $path "* ]] || die "no path '$path'; there are: ${paths[*]}"
done
if ! grep -qxF "# compiler: $compiler" "$table"; then
    printf 'golden: skipped: the table is of another compiler than %s\n' "$compiler"
    exit 0
fi
# A row of the table that nothing measures would look like a check.
while IFS=' |' read -r path _; do
    [[ $path == '#'* || " ${paths[*]} " == *" $path "* ]] || die "the table has $path, which the driver does not know"
done <"$table"
[ $# -ne 0 ] || set -- "${paths[@]}"
compare "$@"
