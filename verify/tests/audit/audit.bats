# The audit build: correct programs give no report, and a report says all that is known. The tests
# that break the heap are in by_hand.bats.

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib out/audit/tests/break_batch_audit_internal \
        out/audit/tests/stress_internal out/audit/tests/os_call_fails_internal \
        out/audit/tests/each_byte_audit_internal out/audit/tests/chains_that_collide_audit_internal >&2
}

setup() {
    AUDIT=$HAK_ROOT/out/audit
}

# finds_nothing LEVEL PROGRAM...: the program ends well, and the audit's summary says "nothing
# found"
finds_nothing() {
    local level=$1
    shift
    HAKMEM_AUDIT_LEVEL=$level HAKMEM_AUDIT_SUMMARY=1 run "$@"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "hakmem: audit: level $level: checked "*" batches, "*": nothing found" ]]
    [[ $output != *"broken"* ]]
}

@test "an untouched heap gives no report" {
    for level in 1 2 3; do
        for kind in nothing nothing_elsewhere; do
            finds_nothing "$level" "$AUDIT/tests/break_batch_audit_internal" "$kind"
        done
    done
}

@test "nothing is found where a flush ends runs in the middle of its walk" {
    for level in 1 2; do
        finds_nothing "$level" "$AUDIT/tests/chains_that_collide_audit_internal"
    done
}

@test "a report names slab, block, who allocated and freed it, and the last batches" {
    HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_LOG=$BATS_TEST_TMPDIR/log HAKMEM_AUDIT_SYMBOLIZER=$AUDIT/hakmem-symbolize \
        run "$AUDIT/tests/break_batch_audit_internal" writes_after_free
    echo "$output"
    [[ ${lines[1]} == *"slab 0x"*", tiny class 2, stride 48, owner thread "*", used "*", carved "*" of 1365, remote 0" ]]
    [[ ${lines[2]} == *"block 0x"*", in a thread's list, size 40, header 0xa2" || ${lines[2]} == *"size 40"* ]]
    [[ $output == *"last batch "*": carve "* ]]
    [[ $output == *"allocated by #0 allocate at verify/tests/audit/by_hand.h:"* ]]
    [[ $output == *"freed by #0 writes_after_free at verify/tests/audit/break_batch_audit_internal.c:"* ]]
    diff <(grep 'hakmem: audit' <<<"$output") "$BATS_TEST_TMPDIR/log"
}

# refuses CALL: a process to which this system call is refused gives a report; $line becomes its
# line of who allocated the block
refuses() {
    HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_SYMBOLIZER=$AUDIT/hakmem-symbolize run "$HAK_OUT/tests/refuses" EPERM "$1" -- \
        "$AUDIT/tests/break_batch_audit_internal" writes_after_free
    echo "$output"
    [[ $output == *"hakmem: audit: broken: "* ]]
    line=$(grep "allocated by" <<<"$output")
}

@test "in a sandbox a report says less, and there is one" {
    [ "$(uname -m)" = x86_64 ] || skip "has a filter for x86-64"
    refuses membarrier
    [[ $line == *"#0 allocate at "* ]]
    refuses "futex FUTEX_CMP_REQUEUE" # only the first frame is proved to be readable
    [[ $line == *"#0 allocate at "* ]]
    refuses socketpair # there is no helper, so there are no names
    [[ $line == *"allocated by break_batch_audit_internal+0x"* || $line == *"allocated by program+0x"* ]]
}

# refused LOG REASON: one line says why the log is not written, and the program runs to its end
refused() {
    HAKMEM_AUDIT_LOG=$1 HAKMEM_AUDIT_SUMMARY=1 LD_PRELOAD=$AUDIT/libhakmem.so run timeout --foreground "$HAK_TEST_SECONDS" /bin/echo runs
    echo "$output"
    [ "$status" -eq 0 ]
    # timeout writes the line, and echo writes the line.
    [ "$(grep -c "^hakmem: audit: log $1: $2; reports go to stderr alone$" <<<"$output")" -eq 2 ]
    [ "$(grep -c "^hakmem: audit: log " <<<"$output")" -eq 2 ]
    grep -qx runs <<<"$output"
}

@test "a log that is no regular file is refused, read or not" {
    cd "$BATS_TEST_TMPDIR"
    mkfifo fifo
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    for log in fifo socket . /dev/null /dev/full; do
        refused "$log" "is no regular file"
    done
    (exec 9<>fifo; refused fifo "is no regular file")
    ln -s target link
    refused link ELOOP
    [ ! -e target ]
    refused nowhere/log ENOENT
}

@test "blocks that a library takes before the allocator's constructor ran are no false report" {
    printf '%s\n' '#include <stdlib.h>' 'void *early;' \
        '__attribute__((constructor)) static void begin(void) { early = malloc(20); }' >"$BATS_TEST_TMPDIR/early.c"
    printf '%s\n' '#include <stdlib.h>' 'extern void *early;' \
        'int main(void) { free(early); return malloc(20) == NULL; }' >"$BATS_TEST_TMPDIR/main.c"
    cd "$BATS_TEST_TMPDIR"
    "${CC:-gcc}" -w -shared -fPIC early.c -o libearly.so
    "${CC:-gcc}" -w main.c ./libearly.so -o program
    HAKMEM_AUDIT_LEVEL=2 LD_PRELOAD=$AUDIT/libhakmem.so run ./program
    echo "$output"
    [ "$status" -eq 0 ] && [ -z "$output" ]
}

@test "each byte behind a block and of a freed one is guarded, and no other" {
    HAKMEM_AUDIT_LEVEL=2 run "$AUDIT/tests/each_byte_audit_internal"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "ok: "*" bytes" ]]
}

@test "a signal proves the whole heap" {
    HAKMEM_AUDIT_SIGNAL=10 LD_PRELOAD=$AUDIT/libhakmem.so run bash -c 'kill -USR1 $$; sleep 0.1; echo done'
    echo "$output"
    [[ $output == *"hakmem: audit: the whole heap is sound: "*" equations, "*" live blocks, "* ]]
    [[ $output == *done* ]]
}

@test "stress finds nothing at levels 1 and 2" {
    seconds=20
    [ "${HAK_TEST_QUICK:-0}" = 1 ] && seconds=4
    finds_nothing 1 "$AUDIT/tests/stress_internal" "$seconds" 3
    finds_nothing 2 "$AUDIT/tests/stress_internal" "$seconds" 4
}

@test "failures of OS calls leave the books right" {
    HAK_TEST_QUICK=1 HAKMEM_AUDIT_LEVEL=2 run "$AUDIT/tests/os_call_fails_internal"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"hakmem"* ]]
}

@test "real programs give no report at levels 1 and 2" {
    for level in 1 2; do
        HAKMEM_AUDIT_LEVEL=$level LD_PRELOAD=$AUDIT/libhakmem.so run /usr/bin/python3 -c \
            'import json, re; print(len(json.loads(json.dumps([{str(i): i} for i in range(20000)]))))'
        echo "$output"
        [ "$output" = 20000 ]
        HAKMEM_AUDIT_LEVEL=$level LD_PRELOAD=$AUDIT/libhakmem.so run "${CC:-gcc}" -O2 -c -o "$BATS_TEST_TMPDIR/o" \
            -x c - <<<'#include <stdio.h>
int main(void) { return puts("x"); }'
        echo "$output"
        [ "$status" -eq 0 ] && [ -z "$output" ]
    done
}

@test "release holds nothing of the audit" {
    run nm "$HAK_ROOT/out/release/libhakmem.a"
    [[ $output != *audit* ]]
    run strings -a "$HAK_ROOT/out/release/libhakmem.so"
    [[ $output != *"hakmem: audit"* && $output != *AUDIT_LEVEL* ]]
    run nm "$AUDIT/libhakmem.a" # the same commands find it in the audit's library
    [[ $output == *hak_audit_batch* ]]
    run strings -a "$AUDIT/libhakmem.so"
    [[ $output == *"hakmem: audit"* ]]
}
