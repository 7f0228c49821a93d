#!/usr/bin/env bash
# Runs the tests, verify/tests/GROUP/*.bats. The last line is "N passed, N failed".
#
#   test.sh [--variant V] [GROUP...]     default: release, all groups
#
# The group `quick` is every group but the slow ones, with HAK_TEST_QUICK=1: about four minutes.
# The tests get HAK_ROOT, HAK_OUT (the variant's folder), HAK_VARIANT, and HAK_TEST_SECONDS: the
# time after which a program counts as hanging, far above the time on a slow and busy machine.
set -euo pipefail
HAK_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
slow_groups=(link wrapped programs stress audit variants seeded mutants valgrind fuzz explore counts oplog tools)

# Time limit of one test, in seconds, far above the time that any test takes. A test that hangs
# fails, and the next one runs.
: "${BATS_TEST_TIMEOUT:=14400}"
: "${HAK_TEST_QUICK:=0}"
: "${HAK_TEST_SECONDS:=3000}"

die() {
    printf 'test: %s\n' "$1" >&2
    exit 2
}

all_groups() {
    local folder
    for folder in "$HAK_ROOT"/verify/tests/*/; do
        basename "$folder"
    done
}

passed=0 failed=0 skipped=0
failures=()

fails() {
    failed=$((failed + 1))
    failures+=("$1")
}

# Each test of a file is counted. A file that does not load, or ends half way, or has no test, is
# itself counted as a failure.
run_file() {
    local name=$1 line planned=0 seen=0 bad=0 status=0
    while IFS= read -r line; do
        case $line in
        bats-status=*)
            status=${line#bats-status=}
            continue
            ;;
        1..[0-9]*) planned=${line#1..} ;;
        'ok '[0-9]*' # skip'*)
            seen=$((seen + 1))
            skipped=$((skipped + 1))
            ;;
        'ok '[0-9]*)
            seen=$((seen + 1))
            passed=$((passed + 1))
            ;;
        'not ok '[0-9]*)
            seen=$((seen + 1))
            bad=$((bad + 1))
            fails "$name: ${line#not ok }"
            ;;
        esac
        printf '%s\n' "$line"
    done < <(
        bats --tap --timing --print-output-on-failure "$HAK_ROOT/verify/tests/$name" </dev/null 2>&1 || status=$?
        printf 'bats-status=%s\n' "$status"
    )
    if [ "$planned" -eq 0 ]; then
        fails "$name: no test in it"
    elif [ "$seen" -ne "$planned" ]; then
        fails "$name: $seen of $planned tests ran"
    elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        fails "$name: bats ended with status $status"
    fi
}

HAK_VARIANT=release
groups=()
while [ $# -ne 0 ]; do
    case $1 in
    --variant)
        [ $# -ge 2 ] || die "--variant needs a name"
        HAK_VARIANT=$2
        shift
        ;;
    quick)
        HAK_TEST_QUICK=1
        for group in $(all_groups); do
            [[ " ${slow_groups[*]} " == *" $group "* ]] || groups+=("$group")
        done
        ;;
    *)
        [ -d "$HAK_ROOT/verify/tests/$1" ] || die "no group '$1'; there are: quick $(all_groups | xargs)"
        groups+=("$1")
        ;;
    esac
    shift
done
[ ${#groups[@]} -ne 0 ] || mapfile -t groups < <(all_groups)

HAK_OUT=$HAK_ROOT/out/$HAK_VARIANT
export HAK_ROOT HAK_OUT HAK_VARIANT HAK_TEST_QUICK HAK_TEST_SECONDS BATS_TEST_TIMEOUT

# ci/packages.txt may have packages for a test group, under the name of the group.
"$HAK_ROOT/ci/install.sh" build test "${groups[@]}"
if ! "$HAK_ROOT/build.sh" "$HAK_VARIANT" all tests || ! "$HAK_ROOT/build.sh" debug lib; then
    printf 'the build failed\n0 passed, 1 failed\n'
    exit 1
fi

# An LD_PRELOAD of the caller must not reach the tests, which set their own.
unset LD_PRELOAD

files=()
for group in "${groups[@]}"; do
    before=${#files[@]}
    for file in "$HAK_ROOT/verify/tests/$group"/*.bats; do
        [ ! -e "$file" ] || files+=("$group/$(basename "$file")")
    done
    [ ${#files[@]} -ne "$before" ] || fails "$group: no .bats file in it"
done

number=0
for name in "${files[@]}"; do
    number=$((number + 1))
    printf '# [%d/%d] %s\n' "$number" "${#files[@]}" "$name"
    run_file "$name"
done

for failure in "${failures[@]}"; do
    printf '# failed: %s\n' "$failure"
done
printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ] && [ "$passed" -ne 0 ]
