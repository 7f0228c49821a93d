#!/usr/bin/env bash
# Runs fuzz targets that are built already.
#
#   fuzz.sh TARGET [SECONDS]   default: a minute
#   fuzz.sh all [SECONDS]      each target for so many seconds; the canary first
#   fuzz.sh seeds [TARGET...]  rewrites fuzz/corpus/ from what runs have learnt: the fewest inputs
#                              that reach the same code
#   fuzz.sh coverage [FOLDER]  lines and branches of core/ that fuzz/corpus/ and fuzz/regressions/
#                              reach; fails below 95 % of the lines
#   fuzz.sh --list | --max-len TARGET
#
# A run begins with the regressions of the target, fuzz/regressions/TARGET/. Then it fuzzes from the
# seeds, fuzz/corpus/TARGET/, and from what earlier runs have learnt, out/fuzz/corpus/TARGET/. A
# finding is a failure; it is kept in out/fuzz/findings/ and replayed ten times. For fuzz_canary a
# finding is a success, and no finding within half an hour is a failure.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
out=$root/out/fuzz
replays=10

die() {
    printf 'fuzz: %s\n' "$1" >&2
    exit 2
}

targets() {
    local file
    for file in "$root"/fuzz/fuzz_*.c; do
        basename "$file" .c
    done
}

# The greatest length of an input. Short inputs are found first, and run fast.
max_len() {
    case $1 in
    fuzz_log) echo 4096 ;;
    *) echo 256 ;;
    esac
}

# rss_limit TARGET SECONDS: MiB. AddressSanitizer keeps some 200 bytes for each thread that ever was, for ever: about
# half a MiB a second where each input has threads of its own (findings/asan_never_forgets_a_thread.sh).
rss_limit() {
    case $1 in
    fuzz_real_threads) echo $((2048 + $2)) ;;
    *) echo 2048 ;;
    esac
}

# The folders with checked-in inputs of a target, as far as they exist.
inputs_of() {
    local folder
    for folder in "$root/fuzz/corpus/$1" "$root/fuzz/regressions/$1"; do
        [ ! -d "$folder" ] || printf '%s\n' "$folder"
    done
}

# replay PROGRAM FILE: prints how many of ten runs on the file fail
replay() {
    local failed=0 i
    for ((i = 0; i < replays; i++)); do
        "$1" "$2" >/dev/null 2>&1 || failed=$((failed + 1))
    done
    echo "$failed"
}

# first_words LOG: prints the first line of a report
first_words() {
    grep -m 1 -E '^(hakmem|fuzz|explore): |: runtime error: |ERROR: (Address|Thread)Sanitizer|WARNING: ThreadSanitizer|ERROR: libFuzzer' "$1" |
        sed -E 's/^==[0-9]+==//' | cut -c 1-150
}

# tell PROGRAM LOG: reports the finding
tell() {
    local found
    found=$(grep -m 1 -oP 'Test unit written to \K.*' "$2" || true)
    if [ -z "$found" ]; then
        tail -n 30 "$2"
        printf 'fuzz: %s ended without an input to blame\n' "$(basename "$1")"
        return
    fi
    printf 'fuzz: %s\nfuzz: %s replays in %s of %s runs\n' "$(first_words "$2")" "$found" \
        "$(replay "$1" "$found")" "$replays"
}

# fuzz_program PROGRAM TARGET SECONDS LOG: runs the fuzzer; its status is that of the fuzzer
fuzz_program() {
    local program=$1 target=$2 seconds=$3 log=$4 learnt=$out/corpus/$2 folders dictionary=()
    mkdir -p "$learnt" "$out/findings"
    mapfile -t folders < <(inputs_of "$target")
    [ ! -e "$root/fuzz/$target.dict" ] || dictionary=("-dict=$root/fuzz/$target.dict")
    "$program" "${dictionary[@]}" -max_total_time="$seconds" -max_len="$(max_len "$target")" -len_control=100 -timeout=200 \
        -rss_limit_mb="$(rss_limit "$target" "$seconds")" -detect_leaks=0 -print_final_stats=1 \
        -artifact_prefix="$out/findings/$target-" \
        "$learnt" "${folders[@]}" >"$log" 2>&1
}

regressions_hold() {
    local program=$1 folder=$root/fuzz/regressions/$2 log=$3
    [ -n "$(ls -A "$folder" 2>/dev/null)" ] || return 0
    "$program" "$folder"/* >"$log" 2>&1
}

# canary: the planted bug must be found, without seeds
canary() {
    local log=$out/fuzz_canary.log learnt=$out/corpus/fuzz_canary status=0
    rm -rf "$learnt"
    fuzz_program "$out/fuzz/fuzz_canary" fuzz_canary 1800 "$log" || status=$?
    if [ "$status" -eq 0 ] || ! grep -q '^hakmem: audit: broken: ' "$log"; then
        echo "fuzz: the canary's bug was not found: no silence means anything"
        return 1
    fi
    printf '%-20s found as it must be: %s\n' fuzz_canary "$(first_words "$log")"
    rm -f "$out"/findings/fuzz_canary-*
}

figure() { sed -nE "s/^stat::$2: *//p" "$1"; }

# under_tsan TARGET SECONDS LOG: replays what was learnt under ThreadSanitizer, over and over
under_tsan() {
    local program=$root/out/fuzztsan/fuzz/$1 log=$3 end=$((SECONDS + $2)) runs=0 folders files
    mapfile -t folders < <(inputs_of "$1")
    mapfile -t files < <(find "$out/corpus/$1" "${folders[@]}" -type f)
    while [ "$runs" -eq 0 ] || [ "$SECONDS" -lt "$end" ]; do
        TSAN_OPTIONS=halt_on_error=1 "$program" -runs=2 -timeout=60 -artifact_prefix="$out/findings/$1-tsan-" \
            "${files[@]}" >"$log" 2>&1 || {
            tell "$program" "$log"
            return 1
        }
        runs=$((runs + 2 * ${#files[@]}))
    done
    printf '%-20s %9s runs under ThreadSanitizer, nothing found\n' "$1" "$runs"
}

# one TARGET SECONDS
one() {
    local target=$1 seconds=$2 program=$out/fuzz/$1 log=$out/$1.log
    if [ "$target" = fuzz_canary ]; then
        canary
        return
    fi
    if ! regressions_hold "$program" "$target" "$log"; then
        printf 'fuzz: %s: a regression is back: %s\n' "$target" "$(first_words "$log")"
        return 1
    fi
    if ! fuzz_program "$program" "$target" "$seconds" "$log"; then
        tell "$program" "$log"
        return 1
    fi
    printf '%-20s %9s runs in %s s, nothing found: %s\n' "$target" "$(figure "$log" number_of_executed_units)" "$seconds" \
        "$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+/[0-9A-Za-z]+' "$log" | tail -n 1)"
    case $target in
    fuzz_real_threads | fuzz_remote) under_tsan "$target" "$seconds" "$log" ;;
    esac
}

# seeds_of TARGET: reached edges count, not how often they are reached; so the corpus stays small
seeds_of() {
    local seeds=$root/fuzz/corpus/$1 fewest=$out/fewest folders
    [ "$1" != fuzz_canary ] || return 0
    mapfile -t folders < <(inputs_of "$1")
    rm -rf "$fewest"
    mkdir -p "$fewest" "$out/corpus/$1" "$seeds"
    "$out/fuzz/$1" -merge=1 -use_counters=0 -detect_leaks=0 -max_len="$(max_len "$1")" "$fewest" "$out/corpus/$1" \
        "${folders[@]}" >"$out/$1.log" 2>&1
    rm -rf "$seeds"
    mv "$fewest" "$seeds"
    printf '%-20s %4s seeds, %s bytes\n' "$1" "$(find "$seeds" -type f | wc -l)" "$(cat "$seeds"/* | wc -c)"
}

# coverage FOLDER: writes an HTML report to FOLDER, a summary to stdout
coverage() {
    local folder=$1 target folders objects=() profile=$1/all.profdata bin=$root/out/fuzzcov/fuzz llvm
    llvm=$(clang -dumpversion)
    llvm=${llvm%%.*}
    rm -rf "$folder"
    mkdir -p "$folder/raw"
    for target in $(targets); do
        mapfile -t folders < <(inputs_of "$target")
        [ ${#folders[@]} -ne 0 ] || continue
        LLVM_PROFILE_FILE=$folder/raw/$target-%m.profraw "$bin/$target" -runs=0 "${folders[@]}" >"$folder/$target.log" 2>&1
        [ "$target" = fuzz_log ] || objects+=(-object "$bin/$target") # it contains no code of core/
    done
    "llvm-profdata-$llvm" merge -o "$profile" "$folder"/raw/*.profraw
    "llvm-cov-$llvm" show -format=html -show-branches=count -instr-profile="$profile" -output-dir="$folder/html" \
        "${objects[@]:1}" "$root"/core/*.[ch] >/dev/null
    "llvm-cov-$llvm" report -show-branch-summary -show-region-summary=false -instr-profile="$profile" "${objects[@]:1}" \
        "$root"/core/*.[ch] | tee "$folder/summary.txt"
    printf 'line by line: %s\n' "$folder/html/index.html"
    "llvm-cov-$llvm" report -show-functions -show-branch-summary=false -instr-profile="$profile" "${objects[@]:1}" \
        "$root"/core/*.c >"$folder/functions.txt"
    # Left out: the reports of errors and the end of the process after them, because the fuzzers
    # write the lines themselves; and the functions of elsewhere.txt, which other tests cover.
    awk 'FNR == 1 { file++ }
        file == 1 && !/^#/ { elsewhere[$1] = 1 }
        file == 2 { sub(/^[a-z]*\.c:/, "", $1) }
        file == 2 && $1 in elsewhere && $5 == $6 { lines -= $5; missed -= $6; delete elsewhere[$1] }
        file == 3 && $1 ~ /\.[ch]$/ && $1 != "report.c" && $1 != "abort.c" && $1 != "stderr.c" && NF > 4 { lines += $5; missed += $6 }
        END {
            covered = lines - missed
            printf "lines outside report.c, abort.c, stderr.c and elsewhere.txt: %d of %d, %.1f %%\n", covered, lines, 100 * covered / lines
            exit covered < 0.95 * lines
        }' "$root/fuzz/elsewhere.txt" "$folder/functions.txt" "$folder/summary.txt"
}

[ $# -ne 0 ] || die "which target? There are: all $(targets | xargs)"
case $1 in
--list)
    targets
    exit
    ;;
--max-len)
    max_len "$2"
    exit
    ;;
seeds)
    shift
    [ $# -ne 0 ] || mapfile -t < <(targets)
    for target in "${@:-${MAPFILE[@]}}"; do
        seeds_of "$target"
    done
    exit
    ;;
coverage)
    coverage "${2:-$out/coverage}"
    exit
    ;;
all)
    wanted=(fuzz_canary)
    for target in $(targets); do
        [ "$target" = fuzz_canary ] || wanted+=("$target")
    done
    ;;
*)
    [ -f "$root/fuzz/$1.c" ] || die "no target '$1'; there are: all $(targets | xargs)"
    wanted=("$1")
    ;;
esac
seconds=${2:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is not a number of seconds"
status=0
for target in "${wanted[@]}"; do
    one "$target" "$seconds" || status=1
    [ "$status" -eq 0 ] || [ "$target" != fuzz_canary ] || break
done
exit "$status"
