# The real allocator under the compilers' sanitizers: there is no report, and no suppression file.

load ../on_hakmem

# stress_in VARIANT SECONDS: runs the stress test of that build.
stress_in() {
    local seconds=$2
    [ "${HAK_TEST_QUICK:-0}" = 1 ] && seconds=3
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT="$1" "out/$1/libhakmem.a" "out/$1/tests/stress_internal" >&2
    run timeout "$HAK_TEST_SECONDS" "$HAK_ROOT/out/$1/tests/stress_internal" "$seconds" 11
    printf '%s\n' "$output" | tail -n 60
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "ok: "* ]]
    [[ $output != *"WARNING: ThreadSanitizer"* && $output != *"runtime error"* && $output != *"ERROR: AddressSanitizer"* ]]
}

@test "ThreadSanitizer has nothing to report on the stress test" {
    stress_in tsan 20
}

@test "UndefinedBehaviorSanitizer has nothing to report on the stress test" {
    stress_in ubsan 10
}

@test "ThreadSanitizer does see the allocator: an unlocked counter of ours is reported" {
    # In a copy of the sources, the push of a remote free loses its release order.
    copy=$BATS_TEST_TMPDIR/copy
    mkdir -p "$copy"
    cp -r "$HAK_ROOT"/{Makefile,ci,core,verify,bench} "$copy"
    sed -i 's/memory_order_acq_rel/memory_order_relaxed/' \
        "$copy/core/remote.h"
    if cmp -s "$copy/core/remote.h" "$HAK_ROOT/core/remote.h"; then false; fi
    env -u MAKEFLAGS make -s -C "$copy" VARIANT=tsan out/tsan/libhakmem.a out/tsan/tests/stress_internal >&2
    run timeout "$HAK_TEST_SECONDS" "$copy/out/tsan/tests/stress_internal" 20 11
    printf '%s\n' "$output" | grep -m 3 SUMMARY
    [[ $output == *"WARNING: ThreadSanitizer: data race"* ]]
}

@test "the layouts of all structures are equal in all builds" {
    for variant in release debug audit asan tsan ubsan; do
        env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT="$variant" "out/$variant/libhakmem.a" \
            "out/$variant/tests/layout_internal" >&2
        "$HAK_ROOT/out/$variant/tests/layout_internal" >"$BATS_TEST_TMPDIR/$variant"
        [ -s "$BATS_TEST_TMPDIR/$variant" ]
        diff "$BATS_TEST_TMPDIR/release" "$BATS_TEST_TMPDIR/$variant"
    done
}

@test "AddressSanitizer has nothing to report on the stress test" {
    stress_in asan 10
}

# planted NAME BODY: links a program with that body with the asan build and runs it; its output is
# in $output.
planted() {
    printf '%s\n' '#include "core/hakmem.h"' 'int main(void) {' '    char *volatile p = hak_malloc(100);' "$2" \
        '    return 0;' '}' >"$BATS_TEST_TMPDIR/$1.c"
    "${CC:-gcc}" -g -O1 -fsanitize=address -I"$HAK_ROOT" "$BATS_TEST_TMPDIR/$1.c" "$HAK_ROOT/out/asan/libhakmem.a" \
        -pthread -o "$BATS_TEST_TMPDIR/$1"
    run "$BATS_TEST_TMPDIR/$1"
    printf '%s\n' "$output" | head -n 12
}

@test "AddressSanitizer sees a program's faults on blocks of the real allocator, at their line" {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=asan out/asan/libhakmem.a >&2
    planted clean '    p[99] = 1; hak_free(p);'
    [ "$status" -eq 0 ] && [ -z "$output" ]
    planted after_free '    hak_free(p); p[50] = 1;'
    [ "$status" -ne 0 ]
    [[ $output == *"ERROR: AddressSanitizer: use-after-poison"*"WRITE of size 1"*"in main "*"after_free.c:4"* ]]
    planted behind '    p[100] = 1; hak_free(p);'
    [ "$status" -ne 0 ]
    # what AddressSanitizer says of 8 bytes of which only some are poisoned
    [[ $output == *"ERROR: AddressSanitizer: unknown-crash"*"WRITE of size 1"*"in main "*"behind.c:4"* ]]
    planted read_behind '    return p[101];'
    [ "$status" -ne 0 ]
    [[ $output == *"ERROR: AddressSanitizer: unknown-crash"*"READ of size 1"*"in main "*"read_behind.c:4"* ]]
}

@test "run takes any of the variants that a program can be given" {
    for variant in release debug audit valgrind libc record asan tsan ubsan; do
        run "$HAK_ROOT/build.sh" run --variant "$variant" -- python3 -c 'print(sum(range(10)))'
        echo "$variant: $output"
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = 45 ]
        "$HAK_ROOT/build.sh" run --variant "$variant" -- grep -q "out/$variant/libhakmem" /proc/self/maps
    done
}
