# The audit build: clean programs give no report, broken heaps give exactly the report of what was broken.

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib out/audit/tests/break_by_hand_internal \
        out/audit/tests/stress_internal out/audit/tests/os_call_fails_internal >&2
}

setup() {
    AUDIT=$HAK_ROOT/out/audit
}

# reports LEVEL KIND LINE: breaking KIND by hand at that level ends with SIGABRT, and LINE is the first one.
reports() {
    HAKMEM_AUDIT_LEVEL=$1 run timeout 60 "$AUDIT/tests/break_by_hand_internal" "$2"
    local first
    first=$(printf '%s\n' "${lines[0]}" | sed -E 's/0x[0-9a-f]{6,}/0x#/g; s/thread [0-9]+/thread N/')
    printf 'level %s, %s: status %s\nexpected: %s\nprinted:  %s\n' "$1" "$2" "$status" "$3" "$first"
    [ "$status" -eq 134 ]
    [ "$first" = "$3" ]
}

# finds_nothing LEVEL PROGRAM...
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
            finds_nothing "$level" "$AUDIT/tests/break_by_hand_internal" "$kind"
        done
    done
}

@test "used that is too low" {
    reports 1 used_too_low "hakmem: audit: broken: used = blocks that left the slab and did not come back: 1092 against 1093"
}

@test "used that is too high" {
    reports 1 used_too_high "hakmem: audit: broken: used = blocks that left the slab and did not come back: 1094 against 1093"
}

@test "active that is too low" {
    reports 1 active_too_low "hakmem: audit: broken: active = sum of used: 5587 against 5588"
}

@test "a block carved twice" {
    reports 1 carve_again "hakmem: audit: broken: used = blocks that left the slab and did not come back: 1365 against 1366"
}

@test "a freelist that loses a block" {
    reports 1 freelist_loses_block "hakmem: audit: broken: blocks moved = blocks counted: 134 against 135"
}

@test "a list that loses a block" {
    reports 1 list_loses_block "hakmem: internal check failed: hak_bin_first(heap, bin) == NULL && hak_bin_count(heap, bin) == 0 at core/refill.c:196"
}

@test "a block of another class in a list" {
    reports 2 list_holds_other_class "hakmem: audit: broken: state of an allocated block: 4 against 3"
}

@test "a header changed in a freelist" {
    reports 1 header_in_freelist "hakmem: free(): corrupted free list: pointer 0x#, header 0x11, block 0x#, size 47, tiny class 2, state unknown, owner thread N, list of tiny class 2"
}

@test "a write behind the requested size" {
    reports 2 write_behind "hakmem: audit: broken: nothing is written behind the requested size (offset of the byte, size): 40 against 40"
}

@test "a write to a freed block" {
    reports 2 write_after_free "hakmem: audit: broken: a freed block is not written to (offset of the byte, length): 30 against 47"
}

@test "a report names slab, block, who allocated and freed it, and the last batches" {
    HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_LOG=$BATS_TEST_TMPDIR/log HAKMEM_AUDIT_SYMBOLIZER=$AUDIT/hakmem-symbolize \
        run "$AUDIT/tests/break_by_hand_internal" write_after_free
    echo "$output"
    [[ ${lines[1]} == *"slab 0x"*", tiny class 2, stride 48, owner thread "*", used "*", carved "*" of 1365, remote 0" ]]
    [[ ${lines[2]} == *"block 0x"*", in a thread's list, size 40, header 0xa2" || ${lines[2]} == *"size 40"* ]]
    [[ $output == *"last batch "*": carve "* ]]
    [[ $output == *"allocated by #0 allocate at verify/tests/audit/break_by_hand_internal.c:"* ]]
    [[ $output == *"freed by #0 write_after_free at verify/tests/audit/break_by_hand_internal.c:"* ]]
    diff <(grep 'hakmem: audit' <<<"$output") "$BATS_TEST_TMPDIR/log"
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
    run nm "$AUDIT/libhakmem.a" # the same commands do see it where it is
    [[ $output == *hak_audit_batch* ]]
    run strings -a "$AUDIT/libhakmem.so"
    [[ $output == *"hakmem: audit"* ]]
}
