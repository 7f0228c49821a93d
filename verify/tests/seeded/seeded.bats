# Known bugs are planted one at a time; the detectors that must see a bug do see it.
# HAK_TEST_QUICK=1: a few of the bugs.

# seeded ID...: tries these bugs; all of them must go as the table says.
seeded() {
    run "$HAK_ROOT/verify/seeded/run.sh" "$@"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "seeded: all of "*" as they should be" ]]
    [[ $output != *"NOT SEEN"* && $output != *"FALSE REPORT"* ]]
}

@test "no detector reports anything on the unpatched sources" {
    seeded clean
}

@test "the canary is found in the first operations by every detector" {
    seeded canary
    # The driver had finished no operation ("-": it had begun none).
    printf '%s\n' "${lines[@]}" | awk '$1 == "canary" { n++; if ($5 + 0 > 0) late = 1 } END { exit !(n > 2 && !late) }'
}

@test "each bug of the catalogue is seen by the detectors that its row demands" {
    mapfile -t ids < <("$HAK_ROOT/verify/seeded/run.sh" --list | awk '$1 != "clean" && $1 != "canary" { print $1 }')
    if [ "${HAK_TEST_QUICK:-0}" = 1 ]; then
        ids=(01 13 46)
    else
        [ "${#ids[@]}" -ge 50 ]
    fi
    seeded "${ids[@]}"
}

@test "every patch has a row, and every row a patch" {
    cd "$HAK_ROOT/verify/seeded"
    diff <(./run.sh --list | awk '$1 != "clean" { print $1 "_" $2 ".patch" }' | sort) <(printf '%s\n' *.patch | sort)
}

@test "each of the 80 first recorded bugs, and 84 to 86, is seeded or excluded with a reason" {
    cd "$HAK_ROOT/verify/seeded"
    diff <(seq 1 80; seq 84 86) <({
        ./run.sh --list | awk '$1 ~ /^[0-9]/ { print $1 + 0 }'
        awk -F'|' '!/^#/ && NF >= 2 { print $1 + 0 }' excluded.txt
    } | sort -nu)
}

@test "1 is 01" {
    run "$HAK_ROOT/build.sh" seeded 1
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    grep -qE '^01 +stale_tls_pointer .* seen ' <<<"$output"
    [ "${lines[-1]}" = "seeded: all of 1 as they should be" ]
}

@test "a patch that does not apply, and a bug that nobody sees, are failures" {
    copy=$BATS_TEST_TMPDIR/copy
    mkdir "$copy"
    cp -r "$HAK_ROOT"/{Makefile,ci,core,verify,fuzz,bench} "$copy"
    printf '%s\n' '--- a/core/heap.c' '+++ b/core/heap.c' '@@ -1,1 +1,1 @@' '-no such line' '+another' \
        >"$copy/verify/seeded/90_stale.patch"
    printf '%s\n' '--- a/core/size_class.c' '+++ b/core/size_class.c' '@@ -1,1 +1,1 @@' '-#include "core/size_class.h"' \
        '+#include <core/size_class.h>' >"$copy/verify/seeded/91_harmless.patch"
    printf '%s\n' '90 | stale | no bug | release' '91 | harmless | no bug | release' >>"$copy/verify/seeded/table.txt"
    run "$copy/verify/seeded/run.sh" 90
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"the patch does not apply"* ]]
    run "$copy/verify/seeded/run.sh" 91
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"NOT SEEN"* ]]
}
