#!/usr/bin/env bats
# HAKMEM under Valgrind: without a tool, where only the address space and the system calls matter;
# with Memcheck, which replaces malloc in every object; and with Memcheck told not to, so that
# HAKMEM's own code runs.

load ../on_hakmem

setup() {
    command -v valgrind >/dev/null || skip "valgrind is not installed"
}

under_valgrind() {
    run timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" \
        valgrind -q --error-exitcode=99 "$@" "$HAK_OUT/tests/every_tier"
    said_ok
}

@test "without a tool" { under_valgrind --tool=none; }
@test "Memcheck, with its own malloc" {
    export HAK_TEST_ANY_ALLOCATOR=1
    under_valgrind --tool=memcheck
}
@test "Memcheck, with HAKMEM's malloc" { under_valgrind --tool=memcheck --soname-synonyms=somalloc=nouserintercepts; }
