#!/usr/bin/env bats
# Tools that take over malloc, with their default settings, see every block of HAKMEM's. They take
# it over by name, as preloaded libraries do, or by address, as Valgrind does. One correct program
# calls every entry point.

load ../on_hakmem

# Blocks that a round of programs/every_entry.cc allocates and frees: 23 of each of 5 sizes.
blocks_of_a_round=115

setup_file() {
    local programs=$BATS_TEST_DIRNAME/programs cxx=(g++ -std=c++17 -O1 -g -w -fno-builtin) names
    cd "$BATS_FILE_TMPDIR"
    "${cxx[@]}" -o preloaded "$programs/every_entry.cc"
    "${cxx[@]}" -DTEST_LINKED -o linked "$programs/every_entry.cc" "$HAK_OUT/libhakmem.a" -pthread
    for names in 1 2 3; do
        gcc -D_GNU_SOURCE -O1 -fno-builtin -Wall -Wextra -shared -fPIC -DNAMES=$names -o counting$names.so "$programs/counting.c"
    done
    gcc -D_GNU_SOURCE -O1 -fno-builtin -Wall -Wextra -shared -fPIC -o own_malloc.so "$programs/own_malloc.c"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# on PROGRAM COMMAND...: runs COMMAND with HAKMEM preloaded, unless PROGRAM is `linked`
on() {
    local program=$1
    shift
    if [ "$program" = linked ]; then
        run timeout 300 "$@"
    else
        run timeout 300 env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$@"
    fi
    printf '%s\n' "$output"
}

# counted TEXT: prints the first number behind TEXT in the output
counted() {
    local number
    number=$(sed -nE "s/.*$1[[:space:]]*([0-9,]+).*/\1/p" <<<"$output" | head -n 1)
    [ -n "$number" ]
    echo "${number//,/}"
}

# valgrind_sees PROGRAM TOOL TEXT: the tool reports no error and counts all blocks of a round; it
# prints their number behind TEXT
valgrind_sees() {
    local rounds seen=()
    for rounds in 1 3; do
        on "$1" valgrind --tool="$2" --error-exitcode=99 "$BATS_FILE_TMPDIR/$1" $rounds
        [ "$status" -eq 0 ]
        [[ $output == *"ok: every entry"* ]]
        seen+=("$(counted "$3")")
    done
    [ $((seen[1] - seen[0])) -eq $((2 * blocks_of_a_round)) ]
}

@test "Memcheck: no error, every block is seen, none is left" {
    for program in preloaded linked; do
        valgrind_sees $program memcheck "total heap usage:"
        [[ $output == *"All heap blocks were freed"*"ERROR SUMMARY: 0 errors"* ]]
    done
}

@test "Memcheck: lost blocks of nothrow new[] and pvalloc are reported at their lines" {
    for program in preloaded linked; do
        on $program valgrind --leak-check=full --error-exitcode=99 "$BATS_FILE_TMPDIR/$program" 1 leak
        [ "$status" -eq 99 ]
        for kind in new pvalloc; do
            line=$(grep -n "leaked $kind" "$BATS_TEST_DIRNAME/programs/every_entry.cc" | cut -d: -f1)
            [[ $output == *"main (every_entry.cc:$line)"* ]]
        done
        [[ $output == *"4,321 bytes in 1 blocks are definitely lost"* ]]
    done
}

@test "DHAT sees every block" {
    for program in preloaded linked; do valgrind_sees $program dhat "Total:[^(]* bytes in"; done
}

@test "Massif runs every entry" {
    for program in preloaded linked; do
        on $program valgrind --tool=massif --massif-out-file=out "$BATS_FILE_TMPDIR/$program" 2
        [ "$status" -eq 0 ]
        [[ $output == *"ok: every entry"* ]]
        # 64 x 100000 bytes by aligned_alloc
        [ "$(sed -n 's/^mem_heap_B=//p' out | sort -n | tail -n 1)" -ge 6400000 ]
    done
}

@test "Helgrind and DRD run every entry without an error" {
    for tool in helgrind drd; do
        on preloaded valgrind --tool=$tool --error-exitcode=99 "$BATS_FILE_TMPDIR/preloaded" 1
        [ "$status" -eq 0 ]
        [[ $output == *"ok: every entry"* ]]
    done
}

# heaptrack does not know memalign, also not that of libc.
@test "heaptrack sees every block" {
    local seen=()
    for rounds in 1 3; do
        on preloaded heaptrack -o "$PWD/track$rounds" "$BATS_FILE_TMPDIR/preloaded" $rounds
        [ "$status" -eq 0 ]
        [[ $output == *"ok: every entry"* ]]
        run heaptrack_print "track$rounds".*
        seen+=("$(sed -n 's/^calls to allocation functions: \([0-9]*\).*/\1/p' <<<"$output")")
    done
    [ $((seen[1] - seen[0])) -eq $((2 * (blocks_of_a_round - 5))) ]
}

@test "ltrace shows each call of the program, and the program ends well" {
    on preloaded ltrace -o calls "$BATS_FILE_TMPDIR/preloaded" 1
    [ "$status" -eq 0 ]
    for call in _Znwm=10 _Znam=10 _ZnwmRKSt9nothrow_t=5 _ZdlPvmSt11align_val_t=5 reallocarray=5 free_sized=5 pvalloc=5 malloc=10; do
        [ "$(grep -c "^${call%=*}(" calls)" -eq "${call#*=}" ]
    done
}

# counting_sees NAMES BLOCKS FREES: for each of the 5 sizes of a round, the library with these
# NAMES counts so many blocks and frees
counting_sees() {
    local rounds before=(0 0) counts
    for rounds in 1 3; do
        run timeout "$HAK_TEST_SECONDS" env LD_PRELOAD="$BATS_FILE_TMPDIR/counting$1.so $HAK_OUT/libhakmem.so" "$BATS_FILE_TMPDIR/preloaded" $rounds
        printf '%s\n' "$output"
        [ "$status" -eq 0 ]
        read -ra counts < <(sed -n 's/^counted //p' <<<"$output")
        [ $rounds -eq 3 ] || before=("${counts[@]}")
    done
    [ $((counts[0] - before[0])) -eq $((2 * 5 * $2)) ]
    [ $((counts[1] - before[1])) -eq $((2 * 5 * $3)) ]
}

@test "a library that takes over malloc and free sees those of C++" { counting_sees 1 8 21; }
@test "a library that takes over what libc has sees every block once" { counting_sees 2 23 23; }
@test "a library that takes over the rare names too sees every block once" { counting_sees 3 23 23; }

@test "an allocator before ours, without the rare names, gets every block" {
    run timeout "$HAK_TEST_SECONDS" env LD_PRELOAD="$BATS_FILE_TMPDIR/own_malloc.so $HAK_OUT/libhakmem.so" "$BATS_FILE_TMPDIR/preloaded" 1
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"ok: every entry"* ]]
}
