#!/usr/bin/env bats
# The operation log's format: a log is read as it was written, and no damage stays unseen.

load ../on_hakmem

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "what was written is read, also from a log that was not closed" { proves round_trip_log; }

@test "every cut and every changed byte is an error with its place, under AddressSanitizer" {
    gcc -std=c11 -D_GNU_SOURCE -I"$HAK_ROOT" -I"$HAK_ROOT/verify/tests" -O1 -g -fsanitize=address,undefined \
        -fno-sanitize-recover=undefined -o damaged "$HAK_ROOT/verify/tests/oplog/damaged_log.c" \
        "$HAK_ROOT/fuzz/oplog.c" -ldl
    run ./damaged
    said_ok
}
