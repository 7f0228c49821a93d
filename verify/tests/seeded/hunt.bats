# Fuzz targets and the explorer find planted bugs from nothing. HAK_TEST_QUICK=1: two bugs.

hunt() {
    run "$HAK_ROOT/build.sh" hunt "$@"
    printf '%s\n' "$output"
}

@test "fuzz targets and the explorer find bugs of each kind, replay them and make them small" {
    ids=(01 45)
    [ "${HAK_TEST_QUICK:-0}" = 1 ] || ids+=(01b 12 43 51b)
    hunt --seeds 1 "${ids[@]}"
    [ "$status" -eq 0 ]
    [ "${lines[-1]}" = "hunt: ${#ids[@]} of ${#ids[@]} bugs found as they should be" ]
}

@test "a bug that its hunter does not find is a failure" {
    copy=$BATS_TEST_TMPDIR/copy
    mkdir "$copy"
    cp -r "$HAK_ROOT"/{Makefile,build.sh,ci,core,verify,bench,fuzz} "$copy"
    echo '68 | fuzz_refill' >"$copy/verify/seeded/hunt.txt" # this target never sets the option
    run "$copy/build.sh" hunt --seeds 1 --seconds 2
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    [[ $output == *" not found "* ]]
    [ "${lines[-1]}" = "hunt: 0 of 1 bugs found as they should be" ]
    run "$copy/build.sh" hunt no_such_bug
    [ "$status" -eq 2 ]
    [[ $output == *"no bug 'no_such_bug'"* ]]
}

@test "each bug of the counters, of refill and of threads has a hunter" {
    cd "$HAK_ROOT/verify/seeded"
    diff <(./run.sh --list | awk '$1 ~ /^[0-9]/ && ($1 + 0 <= 12 || ($1 + 0 >= 41 && $1 + 0 <= 55) || $1 + 0 == 71) { print $1 }' | sort) \
        <(awk -F'|' '!/^#/ { gsub(/ /, "", $1); print $1 }' hunt.txt | sort)
}
