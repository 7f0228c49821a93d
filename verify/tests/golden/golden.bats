#!/usr/bin/env bats
# The paths of malloc and free cost the instructions that verify/golden/table.txt says, and the
# comparison with the table can fail.

setup_file() {
    bats_require_minimum_version 1.5.0
    # A copy of the tree, which tests change. Its table is made with this machine's compiler.
    export COPY=$BATS_FILE_TMPDIR/copy
    [ "${HAK_TEST_QUICK:-0}" = 0 ] || return 0
    mkdir -p "$COPY/verify"
    cp -r "$HAK_ROOT"/{Makefile,build.sh,ci,core,bench} "$COPY"
    cp -r "$HAK_ROOT/verify/golden" "$COPY/verify"
    "$COPY/build.sh" golden --update >&2
}

setup() {
    [[ $BATS_TEST_DESCRIPTION != "every path"* ]] || return 0
    [ "${HAK_TEST_QUICK:-0}" = 0 ] || skip "builds a copy"
    TABLE=$COPY/verify/golden/table.txt
    cp "$TABLE" "$BATS_TEST_TMPDIR/table"
}

teardown() {
    [ ! -e "$BATS_TEST_TMPDIR/table" ] || cp "$BATS_TEST_TMPDIR/table" "$TABLE"
}

# count_in_copy PATH: prints the path's count in the copy's table
count_in_copy() { sed -n "s/^$1 | //p" "$TABLE"; }

# set_count PATH COUNT: writes the count into the copy's table
set_count() { sed -i "s/^$1 | .*/$1 | $2/" "$TABLE"; }

@test "every path costs what the table says" {
    run "$HAK_ROOT/build.sh" golden
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"golden: skipped"* ]] || skip "the table is of another compiler"
    [[ $output == *"pair-64 "* && $output == *"remote-64 "* ]]
}

@test "one more check in malloc is seen" {
    fast=$COPY/core/fast.h
    cp "$fast" "$BATS_TEST_TMPDIR/fast.h"
    sed -i 's|^\( *\)struct hak_block \*block = heap->heads\[header\];|&\n\1if (hak_bin_free_capacity(heap, header) == 77777) return hak_malloc_slow(size);|' "$fast"
    run -1 diff "$BATS_TEST_TMPDIR/fast.h" "$fast"
    [ "$(grep -c '^>' <<<"$output")" -eq 1 ]
    run "$COPY/build.sh" golden pair-64 pair-4000 pair-100KiB
    cp "$BATS_TEST_TMPDIR/fast.h" "$fast"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${lines[-1]}" = "golden: more than 2 % up: pair-64 pair-4000" ]
}

@test "counts repeat, whatever the environment and the folder" {
    cd /
    before=$(count_in_copy pair-64)
    for filler in '' "$(printf '%05000d' 0)"; do
        FILLER=$filler run -0 "$COPY/build.sh" golden pair-64
        echo "$output, before: $before"
        [[ ${lines[-1]} =~ ^pair-64\ +([0-9.]+)\ +([0-9.]+)$ ]]
        [ "${BASH_REMATCH[1]}" = "$before" ]
    done
}

@test "2 % are free, more is not, and a gain is told" {
    for path in pair-64 remote-64; do
        now=$(count_in_copy "$path")
        # Sets the table's count so that today's count is 1 % or 3 % above it, or 3 % below.
        set_count "$path" "$(awk "BEGIN { printf \"%.1f\", $now / 1.01 }")"
        run -0 "$COPY/build.sh" golden "$path"
        [[ $output != *"more than"* ]]
        set_count "$path" "$(awk "BEGIN { printf \"%.1f\", $now / 1.03 }")"
        run -1 "$COPY/build.sh" golden "$path"
        [ "${lines[-1]}" = "golden: more than 2 % up: $path" ]
        set_count "$path" "$(awk "BEGIN { printf \"%.1f\", $now / 0.97 }")"
        run -0 "$COPY/build.sh" golden "$path"
        [ "${lines[-1]}" = "golden: more than 2 % down: $path; ./build.sh golden --update keeps it so" ]
    done
}

@test "a table of another compiler is not compared" {
    sed -i 's/^# compiler: .*/# compiler: another 1.0/' "$TABLE"
    set_count pair-64 1.0
    run -0 "$COPY/build.sh" golden pair-64
    [[ ${lines[-1]} == "golden: skipped: the table is of another compiler than "* ]]
}

@test "a path or row that the other side does not know fails" {
    run -2 "$COPY/build.sh" golden no-such-path
    [[ ${lines[-1]} == "golden: no path 'no-such-path'; there are: pair-16 "* ]]
    echo 'pair-17 | 63.0' >>"$TABLE"
    run -2 "$COPY/build.sh" golden pair-64
    [ "${lines[-1]}" = "golden: the table has pair-17, which the driver does not know" ]
    sed -i '/^pair-17/d; /^pair-64/d' "$TABLE"
    run -2 "$COPY/build.sh" golden pair-64
    [ "${lines[-1]}" = "golden: pair-64 is not in the table; ./build.sh golden --update adds it" ]
}
