#!/usr/bin/env bats
# The peak memory and the mappings of the benchmark's rows, real programs among them, keep their
# budgets.

setup_file() {
    bats_require_minimum_version 1.5.0
    export RESULT=$BATS_FILE_TMPDIR/result.json
    local base suites=(micro threads memory large programs)
    [ "${HAK_TEST_QUICK:-0}" = 0 ] || suites=(micro large)
    "$HAK_ROOT/build.sh" bench "${suites[@]}" --scale 0.2 --rounds 1 --against mimalloc \
        >"$BATS_FILE_TMPDIR/said" 2>"$BATS_FILE_TMPDIR/progress" || {
        grep -v '^#' "$BATS_FILE_TMPDIR/progress" >&2
        return 1
    }
    base=$HAK_ROOT/$(sed -n 's/^written: \(.*\)\.json and \.html$/\1/p' "$BATS_FILE_TMPDIR/said")
    mv "$base.json" "$RESULT"
    rm "$base.html"
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
}

check() { run /usr/bin/python3 "$HAK_ROOT/verify/tests/bench/check_memory.py" "$1"; }

# changed CODE: writes the result to changed.json, after CODE has changed one thing in it. `row` is
# HAKMEM's part of the first row.
changed() {
    CHANGE=$1 python3 - <<'PY' >changed.json
import json, os
result = json.load(open(os.environ["RESULT"]))
row = result["rows"][0]["allocators"]["hakmem"]
exec(os.environ["CHANGE"])
print(json.dumps(result))
PY
}

@test "peaks and mappings keep their budgets" {
    check "$RESULT"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "ok: "[25][0-9]" rows, "* ]]
}

@test "seen: a row with half as much again, one with a thousand mappings, all rows with a tenth more, no rows" {
    changed 'row["peak_kib"] = result["rows"][0]["allocators"]["mimalloc"]["peak_kib"] * 3 // 2'
    check changed.json
    [ "$status" -eq 1 ]
    [ "$output" = "random_mixed ws=64: peak 1.50 of mimalloc's, at most 1.25" ]
    changed 'row["mappings"] = 1000'
    check changed.json
    [ "$status" -eq 1 ]
    [ "$output" = "random_mixed ws=64: 1000 mappings, at most 1000" ]
    changed 'for each in result["rows"]: each["allocators"]["hakmem"]["peak_kib"] *= 1.1'
    check changed.json
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == "geometric mean of peaks: 0."*" of mimalloc's, at most 0.9" ]]
    changed 'result["rows"] = []'
    check changed.json
    [ "$status" -eq 1 ]
}
