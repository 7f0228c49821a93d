#!/usr/bin/env bats
# A log or input that fails is made as small as possible, and still fails in the same way.

load ../on_hakmem

setup_file() {
    export HAK_TEST_QUICK=1
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=record lib out/record/tests/program_dies out/record/tests/key_destructors >&2
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=release lib out/release/replay out/release/shrink >&2
}

setup() {
    bats_require_minimum_version 1.5.0
    shrink=$HAK_ROOT/out/release/shrink
    cd "$BATS_TEST_TMPDIR"
}

recorded() {
    HAKMEM_RECORD=log timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_ROOT/out/record/libhakmem.so" \
        "$HAK_ROOT/out/record/tests/$1" "${@:2}"
}

# shrunk_to MOST: the last `run` left at most MOST operations, and these fail every time
shrunk_to() {
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} =~ ": from "[0-9]+" to "([0-9]+)" operations; 10 of 10 runs fail in the same way: " ]]
    [ "${BASH_REMATCH[1]}" -le "$1" ]
}

# compiled LIBRARY: compiles ./log.shrunk.c to ./program, with this library or without one
compiled() {
    gcc -Wall -Wextra -Werror -O2 -pthread -o program log.shrunk.c "$@"
}

# target TEXT: makes the shell script ./target, which is run on the inputs
target() {
    printf '#!/bin/sh\n%s\n' "$1" >target
    chmod +x target
}

@test "a double free among thousands of operations" {
    run -134 recorded program_dies double_free
    run "$HAK_ROOT/build.sh" shrink log
    shrunk_to 3
    [[ ${lines[-1]} == *": from "[0-9][0-9][0-9][0-9]" to 3 "*": hakmem: free(): double free: "* ]]
    run -134 "$HAK_ROOT/build.sh" replay log.shrunk
    [[ ${lines[0]} == "hakmem: free(): double free: "*", size 15, "* ]]
    [[ ${lines[1]} == "replay: Aborted in operation 3, free again, slot 0, thread 0" ]]
    compiled "$HAK_ROOT/out/release/libhakmem.a"
    run -134 ./program
    [[ $output == "hakmem: free(): double free: "*", size 15, "* ]]
    compiled
    run -134 ./program # on the system's malloc
    [ "$output" = "free(): double free detected in tcache 2" ]
}

# The bug, a notification that is doubled, needs two threads that end.
@test "an allocator's bug that needs several threads" {
    recorded key_destructors
    mkdir tree
    cp -r "$HAK_ROOT"/{Makefile,ci,core,verify,fuzz,bench} tree
    patch -s -d tree -p1 <"$HAK_ROOT/verify/seeded/46_notification_doubled.patch"
    env -u MAKEFLAGS make -s -C tree VARIANT=release out/release/replay
    run "$shrink" --replay tree/out/release/replay log
    shrunk_to 12
    compiled tree/out/release/libhakmem.a
    run -134 ./program
    [[ $output == "hakmem: internal check failed: count > 0 && count <= slab->used at core/collect.c:"* ]]
    compiled "$HAK_ROOT/out/release/libhakmem.a"
    run -0 ./program
    [ "$output" = "" ]
}

@test "an allocator's bug that calloc's contents show" {
    mkdir tree
    cp -r "$HAK_ROOT"/{Makefile,ci,core,verify,fuzz,bench} tree
    patch -s -d tree -p1 <"$HAK_ROOT/verify/seeded/62_calloc_trusts_recycled_blocks.patch"
    env -u MAKEFLAGS make -s -C tree VARIANT=release out/release/replay
    HAKMEM_RECORD=log LD_PRELOAD="$HAK_ROOT/out/record/libhakmem.so" python3 -c 'print(sum(range(9)))'
    run "$shrink" --replay tree/out/release/replay log
    shrunk_to 6
    compiled tree/out/release/libhakmem.a
    run -1 ./program
    [[ $output == "step "*": calloc's block is not zero" ]]
}

@test "what is left has nothing that could go" {
    target 'tr -d "\n" <"$1" | grep -q "a.*b.*a" || exit 0; echo "hakmem: found $$"; exit 3'
    for ((i = 0; i < 40; i++)); do printf 'xyzcacxbyzbcca'; done >input
    run "$shrink" --target ./target --header 0 --unit 1 input
    shrunk_to 3
    [ "$(cat input.shrunk)" = aba ]
    run "$shrink" --target ./target --header 5 --unit 1 -o other input
    shrunk_to 3
    [ "$(tail -c 3 other)" = aba ]
    [ ! -e other.trial ]
}

@test "a failure of another kind, or none within time, does not count" {
    target 'grep -q "$(printf "\\1")" "$1" || exec sleep 1000; grep -q a "$1" && { grep -q b "$1" && echo "hakmem: both" || echo "hakmem: one"; exit 3; }'
    printf 'ca\1cbc' >input
    run timeout "$HAK_TEST_SECONDS" "$shrink" --target ./target --header 0 --unit 1 input
    shrunk_to 3
    [ "$(cat input.shrunk)" = $'a\001b' ]
}

@test "a log that does not fail, a damaged one, and a wrong command are one clear line" {
    recorded program_dies _exit
    run -2 "$HAK_ROOT/build.sh" shrink log
    [ "$output" = "shrink: log: does not fail: nothing to shrink" ]
    [ ! -e log.shrunk ]
    head -c 30 log >short
    run -2 "$HAK_ROOT/build.sh" shrink short
    [ "$output" = "shrink: short: byte 30: the log ends within its header" ]
    run -2 "$HAK_ROOT/build.sh" shrink nowhere
    [ "$output" = "shrink: nowhere: No such file or directory" ]
    printf 'abc' >input
    run -2 "$shrink" --target /bin/false input
    [ "$output" = "shrink: input: 3 bytes, and a header has 4" ]
    run -2 "$HAK_ROOT/build.sh" shrink
    [ "$output" = "build.sh: shrink: which file?" ]
    run -2 "$HAK_ROOT/build.sh" shrink --target fuzz_none input
    [ "$output" = "build.sh: shrink: no target 'fuzz_none'" ]
    run -2 "$shrink" --threads real log
    [[ $output == "shrink: usage: "* ]]
}
