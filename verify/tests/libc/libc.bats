#!/usr/bin/env bats
# The libc variant: a sanitizer of the program sees each block that was allocated through hakmem.h.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=libc lib >&2
    # Each program without a sanitizer, and with each sanitizer. Only clang has MemorySanitizer.
    local program sanitizer compiler
    for sanitizer in none address leak thread memory; do
        for program in "$HAK_ROOT"/verify/tests/libc/faults/*.c; do
            compiler=gcc
            [ "$sanitizer" != memory ] || compiler=clang
            printf '%s\0' "$compiler" "$sanitizer" "$program" "$BATS_FILE_TMPDIR/$(basename "$program" .c).$sanitizer"
        done
    done | (
        cd "$HAK_ROOT"
        # shellcheck disable=SC2016
        xargs -0 -n 4 -P "$(nproc)" sh -euc '
            [ "$1" = none ] || sanitize=-fsanitize=$1
            exec "$0" -std=c11 -D_GNU_SOURCE -I. -g -O1 -fno-omit-frame-pointer -fno-builtin -Wall -Wextra -Werror \
                -pthread ${sanitize:-} -o "$3" "$2" out/libc/libhakmem.a'
    )
}

setup() {
    bats_require_minimum_version 1.5.0
    # A machine with a compiler has addr2line; the program that MemorySanitizer would choose may be
    # missing.
    MSAN_OPTIONS=external_symbolizer_path=$(command -v addr2line)
    export MSAN_OPTIONS
}

# line_of PROGRAM MARK: prints FILE.c:LINE of the line with the comment MARK
line_of() {
    local line
    line=$(grep -n "/\* $2 \*/" "$HAK_ROOT/verify/tests/libc/faults/$1.c" | cut -d: -f1)
    [[ $line =~ ^[0-9]+$ ]]
    echo "$1.c:$line"
}

# demand_order TEXT...: the output has all texts, in this order
demand_order() {
    local rest=$output text
    for text in "$@"; do
        [[ $rest == *"$text"* ]] || {
            printf 'missing, or not in this order: %s\n%s\n' "$text" "$output"
            return 1
        }
        rest=${rest#*"$text"}
    done
}

# reports PROGRAM SANITIZER TEXT...: without its fault the program succeeds and prints nothing. With
# its fault it fails, and prints the texts in this order. A text @MARK stands for the place of the
# line with the comment MARK.
reports() {
    local name=$1 program=$BATS_FILE_TMPDIR/$1.$2 text wanted=()
    shift 2
    run timeout "$HAK_TEST_SECONDS" "$program"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    for text in "$@"; do
        [[ $text != @* ]] || text=$(line_of "$name" "${text#@}")
        wanted+=("$text")
    done
    run timeout "$HAK_TEST_SECONDS" "$program" fault
    [ "$status" -ne 0 ]
    demand_order "${wanted[@]}"
}

@test "every entry point works on libc and on each sanitizer's malloc" {
    for sanitizer in none address leak thread memory; do
        run timeout "$HAK_TEST_SECONDS" "$BATS_FILE_TMPDIR/every_entry.$sanitizer"
        echo "$output"
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "every entry works" ]
        [[ $output != *ERROR* && $output != *WARNING* ]]
    done
}

@test "AddressSanitizer sees an overflow" {
    reports overflow address "ERROR: AddressSanitizer: heap-buffer-overflow" "WRITE of size 1" "@fault" \
        "0 bytes to the right of 40-byte region" "@allocated here"
}

@test "AddressSanitizer sees an overflow of a block that realloc made smaller" {
    reports overflow_realloc address "ERROR: AddressSanitizer: heap-buffer-overflow" "WRITE of size 1" "@fault" \
        "10 bytes to the right of 50-byte region" "@allocated here"
}

@test "AddressSanitizer sees a read behind an aligned block" {
    reports overflow_aligned address "ERROR: AddressSanitizer: heap-buffer-overflow" "READ of size 1" "@fault" \
        "0 bytes to the right of 100-byte region" "@allocated here"
}

@test "AddressSanitizer sees a use after free" {
    reports use_after_free address "ERROR: AddressSanitizer: heap-use-after-free" "READ of size 4" "@fault" \
        "28 bytes inside of 400-byte region" "freed by" "@freed here" "allocated by" "@allocated here"
}

@test "AddressSanitizer sees a double free" {
    reports double_free address "ERROR: AddressSanitizer: attempting double-free" "@fault" \
        "freed by" "@freed here" "allocated by" "@allocated here"
}

@test "LeakSanitizer sees a leak, alone and in AddressSanitizer" {
    for sanitizer in leak address; do
        reports leak "$sanitizer" "ERROR: LeakSanitizer: detected memory leaks" "Direct leak of 123 byte(s) in 1 object(s)" \
            "@fault" "123 byte(s) leaked in 1 allocation(s)"
    done
}

@test "ThreadSanitizer sees a race, and where the block is from" {
    reports race thread "WARNING: ThreadSanitizer: data race" "of size 4" "@fault" "Previous" "@fault" \
        "Location is heap block of size 4" "@allocated here" "SUMMARY: ThreadSanitizer: data race"
}

@test "ThreadSanitizer sees a use after free" {
    reports use_after_free thread "WARNING: ThreadSanitizer: heap-use-after-free" "@fault" "Previous write" "@freed here"
}

@test "MemorySanitizer sees a decision by uninitialised memory" {
    reports uninitialised memory "WARNING: MemorySanitizer: use-of-uninitialized-value" "@fault" \
        "SUMMARY: MemorySanitizer: use-of-uninitialized-value"
}

@test "the library has every prefixed name, none of libc's, and nothing of core/" {
    libc=$HAK_ROOT/out/libc
    sed '/^#if/,/^#endif/d' "$HAK_ROOT/core/symbols.def" | grep -o 'HAK_SYMBOL(hak_[a-z0-9_]*)' | sed 's/HAK_SYMBOL(\(.*\))/\1/' |
        LC_ALL=C sort >"$BATS_TEST_TMPDIR/wanted"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/wanted")" -eq 20 ]
    nm -D --defined-only "$libc/libhakmem.so" | awk '{ print $3 }' | LC_ALL=C sort |
        diff "$BATS_TEST_TMPDIR/wanted" -
    nm --extern-only --defined-only "$libc/libhakmem.a" | awk 'NF == 3 && $3 !~ /^hak_build_/ { print $3 }' |
        LC_ALL=C sort | diff "$BATS_TEST_TMPDIR/wanted" -
    # The names of source files of core/, which HAKMEM's own library has and this one does not.
    run ! grep -E 'core/' <(strings -a "$libc/libhakmem.a" "$libc/libhakmem.so")
    grep -q 'core/' <(strings -a "$HAK_OUT/libhakmem.a")
}

@test "HAKMEM_FORCE_LIBC_ALLOC_BUILD=1 is the libc variant, and only that" {
    make_here() { env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s -C "$HAK_ROOT" "$@"; }
    run -0 make_here print-flags HAKMEM_FORCE_LIBC_ALLOC_BUILD=1
    [[ $output == "VARIANT=libc"$'\n'* && $output == *$'\n'"HAKMEM_FORCE_LIBC_ALLOC_BUILD=1"$'\n'* ]]
    run -0 make_here print-flags VARIANT=libc
    [[ $output == *$'\n'"HAKMEM_FORCE_LIBC_ALLOC_BUILD=1"$'\n'* ]]
    run -0 make_here print-flags
    [[ $output == *$'\n'"HAKMEM_FORCE_LIBC_ALLOC_BUILD=0"$'\n'* ]]
    run -2 make_here print-flags HAKMEM_FORCE_LIBC_ALLOC_BUILD=1 VARIANT=release
    [[ $output == *"HAKMEM_FORCE_LIBC_ALLOC_BUILD=1 is the variant libc, not release"* ]]
}

@test "verify knows the libc variant, and run works with it" {
    for library in libhakmem.so libhakmem.a; do
        run -0 "$HAK_ROOT/build.sh" verify "$HAK_ROOT/out/libc/$library"
        [[ $output == *"variant   libc"* ]]
    done
    run -0 --separate-stderr "$HAK_ROOT/build.sh" run --variant libc -- sh -c 'grep -c libhakmem /proc/self/maps'
    [ "$output" -ge 1 ]
}
