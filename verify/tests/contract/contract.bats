#!/usr/bin/env bats
# What callers of malloc may rely on: one test per promise. Tests by both_names run under libc's
# names (preloaded) and under hak_* (linked).

load ../on_hakmem

both_names() {
    proves "$1"
    proves "$1_linked"
}

@test "overflowing products fail with ENOMEM" { both_names product_overflows; }
@test "impossible sizes fail with ENOMEM in every call" { both_names impossible_sizes; }
@test "errno is kept by every call that succeeds" { both_names errno_kept; }
@test "posix_memalign fails without touching result or errno" { both_names posix_memalign_refuses; }
@test "aligned_alloc takes powers of two only, memalign rounds up" { both_names aligned_alloc_refuses; }
@test "size 0 gives unique blocks, realloc to 0 frees" { both_names zero_size; }
@test "free_sized and free_aligned_sized, also after realloc" { both_names sized_free; }
@test "valloc and pvalloc give whole pages" { both_names page_aligned; }

@test "every libc name is HAKMEM's, preloaded" { proves every_name; }
@test "every libc name is HAKMEM's, linked" { proves every_name_linked; }
@test "every libc name is HAKMEM's, in a -static program" { proves every_name_static; }

@test "all sizes 0 to 70000" { proves all_sizes; }
@test "around every power of two up to the limit" { proves powers_of_two; }
@test "all sizes times all alignments up to 64 KiB" { proves aligned_grid; }
@test "realloc keeps the contents between all tiers" { proves realloc_keeps; }
@test "large blocks grow and shrink where they are" { proves realloc_in_place_internal; }
@test "realloc of aligned blocks keeps the contents" { proves realloc_of_aligned; }
@test "alignments up to 1 GiB and beyond" { proves huge_alignments; }
@test "calloc is zero on recycled memory of every tier" { proves calloc_zero; }

@test "C++ new and delete in all forms" { proves new_delete; }
@test "C++ new and delete in a -static program" { proves new_delete_static; }
@test "C++ new that fails: handler, bad_alloc, nothrow" { proves new_fails; }
@test "C++ new that fails, in a -static program" { proves new_fails_static; }
@test "C++ new handler that frees memory" {
    run bash -c 'ulimit -v 1000000 && LD_PRELOAD=$HAK_OUT/libhakmem.so exec "$HAK_OUT/tests/new_handler_frees"'
    said_ok
}

@test "mallinfo2 counts the live bytes" { proves mallinfo_counts; }
@test "every figure of malloc_info, malloc_stats and mallinfo2 is exact" {
    proves figures_exact_internal "$BATS_TEST_TMPDIR/figures"
}
@test "mallopt takes what glibc takes" { proves mallopt_takes; }
@test "mallopt is a program's first call" { proves mallopt_first; }
@test "malloc_trim returns the memory of a burst" { proves trim_returns_memory; }
@test "realloc lets the kernel move large blocks" { proves realloc_moves_pages; }

@test "readers of glibc's malloc_info and malloc_stats find true figures" {
    run on_hakmem /usr/bin/python3 "$HAK_ROOT/verify/tests/contract/stats_readers.py"
    said_ok
}

@test "malloc_info writes well-formed XML" {
    proves malloc_info_xml "$BATS_TEST_TMPDIR/info.xml"
    run python3 -c 'import sys, xml.dom.minidom as dom; print(dom.parse(sys.argv[1]).documentElement.tagName)' \
        "$BATS_TEST_TMPDIR/info.xml"
    [ "$output" = malloc ]
}

@test "malloc_stats prints figures to stderr" {
    on_hakmem "$HAK_OUT/tests/malloc_stats_stderr" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = "ok: malloc_stats" ]
    grep -qx 'hakmem: live blocks up to 52 KiB: 4' "$BATS_TEST_TMPDIR/err"
    grep -qx 'hakmem: live large blocks: 1' "$BATS_TEST_TMPDIR/err"
    [ "$(grep -cE '^hakmem: (tiny|mid|pool) blocks of [0-9]+: 1$' "$BATS_TEST_TMPDIR/err")" -eq 4 ]
    grep -qx 'hakmem: bytes asked for in these: 300000' "$BATS_TEST_TMPDIR/err"
}
