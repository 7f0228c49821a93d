#!/usr/bin/env bats
# Processes with limits, locked memory, dumps, emulators and many threads. The measure is what
# libc's malloc costs there.

load ../on_hakmem

bats_require_minimum_version 1.5.0

# calls_of PROGRAM ENV...: prints the number of the program's system calls in this environment
calls_of() {
    local program=$1
    shift
    strace -o "$BATS_TEST_TMPDIR/calls" env -u LD_PRELOAD "$@" "$program" && grep -c '(' "$BATS_TEST_TMPDIR/calls"
}

@test "a program that limits its address space, or its data, itself" {
    for kind in as data; do
        for size in 100 1000 20000 70000 100000 5000000; do
            echo "$kind, blocks of $size bytes"
            proves limits_itself "$kind" "$size"
        done
    done
}

@test "of a limit on address space at least nine tenths of what libc's malloc gives" {
    local ours libcs
    for size in 100 1000 20000 60000 65536 70000 100000 300000 1000000 1048576 5000000; do
        libcs=$(ulimit -v 600000 && "$HAK_OUT/tests/blocks_to_be_had" "$size")
        ours=$(ulimit -v 600000 && on_hakmem "$HAK_OUT/tests/blocks_to_be_had" "$size")
        echo "blocks of $size bytes: $ours MiB, libc's malloc $libcs"
        [ "$libcs" -gt 400 ]
        [ $((ours * 10)) -ge $((libcs * 9)) ]
    done
}

@test "a program that locks all its memory" {
    for size in 1000 10000 100000 1000000; do
        proves memory_locked "$size" future
        proves memory_locked "$size" current
    done
}

# gcore_of OUT COMMAND...: prints the size of a dump of the process, made when it has printed a line
gcore_of() {
    local out=$1 process
    shift
    "$@" >"$out.said" 3>&- &
    process=$!
    until [ -s "$out.said" ]; do kill -0 "$process" && sleep 0.1; done
    (ulimit -f 4194304 && gcore -o "$out" "$process" >"$out.log" 2>&1)
    kill "$process"
    wait "$process" || true
    [ "$(grep -ac QQQQQQQQQQ "$out.$process")" -ge 1 ]
    stat -c %s "$out.$process"
}

@test "what a program does to the pages of a block ends with the block" {
    for kind in lock lock2 fork wipe dump protect execute; do
        for size in 140000 1000000 40000000; do proves marks_end_with_the_block "$kind" "$size"; done
    done
}

@test "a dump has all live blocks, and hardly more" {
    cat >"$BATS_TEST_TMPDIR/main.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    size_t blocks = strtoul(argv[1], NULL, 10), size = strtoul(argv[2], NULL, 10);
    void *dirty = argc > 3 ? malloc(strtoul(argv[3], NULL, 10)) : NULL;
    free(dirty);
    for (size_t i = 0; i < blocks; i++) memset(malloc(size), 'Q', size);
    puts("ready");
    fflush(stdout);
    sleep(1000);
    return 0;
}
C
    gcc -O1 -fno-builtin "$BATS_TEST_TMPDIR/main.c" -o "$BATS_TEST_TMPDIR/main"
    local ours libcs
    # Sizes that fit their classes: rounding up to a class costs memory everywhere, not only in a
    # dump.
    for kind in "1000 1000" "20 1000000" "50000 100" "5000 380"; do
        # shellcheck disable=SC2086
        libcs=$(gcore_of "$BATS_TEST_TMPDIR/libcs" "$BATS_TEST_TMPDIR/main" $kind)
        # shellcheck disable=SC2086
        ours=$(gcore_of "$BATS_TEST_TMPDIR/ours" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$BATS_TEST_TMPDIR/main" $kind)
        echo "$kind: $ours bytes, libc's malloc $libcs"
        [ $((ours * 10)) -le $((libcs * 12)) ]
    done
}

@test "an idle thread costs little" {
    proves idle_threads_are_small "$([ "${HAK_TEST_QUICK:-0}" = 1 ] && echo 500 || echo 4000)"
}

@test "a short thread costs the same before and after a peak" {
    proves threads_after_a_peak "$([ "${HAK_TEST_QUICK:-0}" = 1 ] && echo 1000 || echo 8000)"
}

@test "buffers that grow in turns are not copied" {
    for kind in "1 65536" "2 65536" "5 65536" "13 300000" "16 4096" "50 65536"; do
        # shellcheck disable=SC2086
        proves buffers_grow_in_turns $kind
    done
}

@test "long blocks of zeroes of which little is touched" { proves sparse_calloc; }

@test "once the library is loaded: no system call at the start, and eight at the first block" {
    gcc -shared -o "$BATS_TEST_TMPDIR/empty.so" -x c /dev/null
    echo 'int main(void) { return __builtin_malloc(1000) == 0; }' | gcc -fno-builtin -O0 -x c -o "$BATS_TEST_TMPDIR/one" -
    local without with
    without=$(calls_of /bin/true LD_PRELOAD="$BATS_TEST_TMPDIR/empty.so")
    with=$(calls_of /bin/true LD_PRELOAD="$HAK_OUT/libhakmem.so")
    echo "nothing: $with system calls, with an empty library $without"
    [ "$with" -le $((without + 2)) ] # an empty library needs no mprotect, and no mmap of data
    without=$(calls_of "$BATS_TEST_TMPDIR/one" LD_PRELOAD="$BATS_TEST_TMPDIR/empty.so")
    with=$(calls_of "$BATS_TEST_TMPDIR/one" LD_PRELOAD="$HAK_OUT/libhakmem.so")
    echo "one block: $with system calls, with an empty library and libc's malloc $without"
    [ "$with" -le $((without + 8 + 2)) ]
}

@test "under an emulator a program begins as fast, in as little memory" {
    local seconds kib without
    without=$(/usr/bin/time -f '%U' qemu-x86_64 /bin/true 2>&1)
    read -r seconds kib < <(/usr/bin/time -f '%U %M' qemu-x86_64 -E LD_PRELOAD="$HAK_OUT/libhakmem.so" /bin/true 2>&1)
    echo "$seconds s, $kib KiB; $without s without HAKMEM"
    awk "BEGIN { exit !($seconds < $without + 1.0) }"
    [ "$kib" -lt 100000 ]
    for program in calloc_zero realloc_moves_pages trim_returns_memory; do
        run timeout "$HAK_TEST_SECONDS" qemu-x86_64 -E LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/$program"
        said_ok
    done
}
