#!/usr/bin/env bats
# What threads do to each other's cache lines: each pattern keeps its budget, and a planted bug
# exceeds it.

load ../planted

setup() {
    bats_require_minimum_version 1.5.0
    cd "$HAK_ROOT"
    unset CFLAGS CXXFLAGS
}

# figure PATTERN COLUMN: the figure of this column in the last output, per thousand blocks
figure() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' <<<"$output"; }

# built FILE: a file of core/ has been changed; builds counts from it
built() {
    run ! cmp -s "$1" "$HAK_ROOT/$1"
    make -s VARIANT=counts out/counts/counts
}

# over PATTERN WORDS: the pattern exceeds its budget, and the message has these words
over() {
    run out/counts/counts "$1"
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    grep -qE "^counts: $1: [0-9.]+ $2 a thousand blocks, at most [0-9.]+$" <<<"$output"
}

@test "each pattern keeps its budget" {
    run ./build.sh counts
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    # Each pattern has a row, and has done something.
    diff <(./build.sh counts --list | awk '{ print $1 }') <(awk 'NF == 10 && $3 + 0 >= 50 { print $1 }' <<<"$output")
}

@test "a thread that keeps to itself changes no word that others see, between slow paths" {
    run -0 ./build.sh counts local-pairs
    printf '%s\n' "$output"
    for column in 4 5 6 7 8 10; do
        [ "$(figure local-pairs $column)" = 0.000 ]
    done
    [ "$(figure local-pairs 3)" -eq 400000 ]
    run -0 ./build.sh counts local-pairs local-slabs --places
    printf '%s\n' "$output"
    # local-pairs takes at most five slow paths a thousand blocks; local-slabs, where slabs change
    # hands, takes more.
    [ "$(awk '$1 == "slow" { printf "%d ", ($3 > 5) }' <<<"$output")" = "0 1 " ]
}

@test "a block freed by another thread costs a sixteenth of a shared-line write and of a locked instruction, at most" {
    run -0 ./build.sh counts one-way-64 one-way-1000
    printf '%s\n' "$output"
    for pattern in one-way-64 one-way-1000; do
        # There must be some: the blocks do come home.
        awk -v locked="$(figure $pattern 6)" -v writes="$(figure $pattern 7)" \
            'BEGIN { exit !(locked > 0 && locked <= 1000 / 16 && writes > 0 && writes <= 1000 / 16) }'
    done
}

@test "release's malloc and free have no instruction with a lock prefix, and there is no fence" {
    build=$HAK_ROOT/out/release/libhakmem.so
    make -s VARIANT=release lib
    code=$(objdump -d --no-show-raw-insn "$build")
    for name in malloc free; do
        # Each function has two names, with the prefix and without.
        body=$(awk -v name="^<(hak_)?$name>:$" '$2 ~ name { inside = 1 } inside && NF == 0 { exit } inside' <<<"$code")
        [ "$(wc -l <<<"$body")" -ge 15 ]
        run ! grep -E '\<lock |\<xchg .*\(' <<<"$body"
    done
    run ! grep -E '\<(mfence|sfence|lfence)\>' <<<"$code"
    # The rest of the library has such instructions, so the search can find them.
    grep -qE '\<lock cmpxchg' <<<"$code"
}

@test "seen: one compare-exchange a block" {
    ./build.sh counts --list >/dev/null
    planted counts block_by_block
    sed -i -e 's/if (HAK_LIKELY(chain != NULL))/if (false)/' -e 's/if (chain->slab == slab) {/if (false) {/' core/flush.c
    built core/flush.c
    over one-way-64 'instructions with lock prefix'
}

@test "seen: a counter of all threads in malloc" {
    ./build.sh counts --list >/dev/null
    planted counts counter
    sed -i 's/^HAK_INLINE void \*hak_fast_malloc.*/static _Atomic size_t planted;\n&\n    atomic_fetch_add_explicit(\&planted, 1, memory_order_relaxed);/' core/fast.h
    built core/fast.h
    over local-pairs 'instructions with lock prefix'
    # Each malloc has one locked instruction; without the counter, none has.
    awk -v locked="$(figure local-pairs 6)" 'BEGIN { exit !(locked == 1000) }'
}

@test "seen: words of two threads on one line" {
    ./build.sh counts --list >/dev/null
    planted counts false_sharing
    # No instruction is atomic, and no word is shared: each thread writes its own word by a plain
    # store.
    sed -i 's/^HAK_INLINE void hak_fast_free.*/static unsigned planted[16];\n&\n    planted[(uintptr_t)\&hak_thread >> 12 \& 15]++;/' core/fast.h
    built core/fast.h
    over local-pairs 'shared-line writes'
    [ "$(figure local-pairs 6)" = 0.000 ]
}

@test "what does not exist is refused" {
    run -2 ./build.sh counts no-such-pattern
    [[ $output == *"counts: no pattern 'no-such-pattern'"* ]]
    run -2 ./build.sh counts --no-such-option
    [[ $output == *"usage"* || $output == *"--places"* ]]
}
