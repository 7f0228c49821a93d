#!/usr/bin/env bats
# After an error the process ends by SIGABRT, whatever the program does about this signal or about
# the thread. The same is true of the audit build, whose report is longer.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib >&2
}

setup() {
    ulimit -c 0
    double_free='hakmem: free\(\): double free: pointer 0x[0-9a-f]+, block 0x[0-9a-f]+, size 47, tiny class 2, state free, owner thread [0-9]+'
    bad_list='hakmem: free\(\): corrupted free list: pointer 0x[0-9a-f]+, header 0x22, block 0x[0-9a-f]+, size 47, tiny class 2, state free, owner thread [0-9]+, list of tiny class 2'
}

# ended LIBRARY KIND: the program ends by SIGABRT; its output is in ./out and ./err
ended() {
    local status=0
    cd "$BATS_TEST_TMPDIR"
    rm -f out err
    timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$1" "$HAK_OUT/tests/abort_handler" "$2" >out 2<>err || status=$?
    printf '%s: status %s\n' "$1" "$status"
    cat out err
    [ "$status" -eq 134 ]
}

# ends KIND LINES SAID...: on both builds, the program ends by SIGABRT. It prints LINES lines that
# match $message to stderr, and the lines SAID to stdout. $message is $double_free if it is not set.
ends() {
    local kind=$1 count=$2 said
    shift 2
    said=$([ $# -eq 0 ] || printf '%s\n' "$@")
    ended "$HAK_OUT/libhakmem.so" "$kind"
    [ "$(cat out)" = "$said" ]
    [ "$(wc -l <err)" -eq "$count" ]
    [ "$(grep -cxE "${message:-$double_free}" err)" -eq "$count" ]
    for level in 1 2; do
        HAKMEM_AUDIT_LEVEL=$level HAKMEM_AUDIT_SYMBOLIZER=/nonexistent ended "$HAK_ROOT/out/audit/libhakmem.so" "$kind"
        [ "$(cat out)" = "$said" ]
        [ "$(grep -cvE '^hakmem: audit:   (allocated|freed) by ' err)" -eq "$count" ]
    done
}

@test "with a cancel pending" { ends cancel_pending 1; }
@test "with a cancel pending, and a handler that writes" { ends cancel_pending_in_handler 1 handled; }
@test "in a thread that is cancelled asynchronously while it writes" { ends cancel_asynchronous 1; }

@test "with all signals blocked" { ends blocked 1; }
@test "with SIGABRT ignored" { ends ignored 1; }
@test "with a handler, and all signals blocked" { ends blocked_and_handled 1 handled; }

@test "under a handler that allocates" { ends allocates 1 allocated; }
@test "under a handler that allocates while the thread's lists are in flux" {
    message=$bad_list ends allocates_in_flush 1 allocated
}
@test "under a handler that allocates on the alternate stack" { ends allocates_on_alternate_stack 1 allocated; }
@test "under a handler that forks" { ends forks 1 allocated forked; }
@test "under a handler that finds an error" { ends fails_again 2 handled; }

@test "after longjmp out of the handler, at the next malloc" { ends leaves_and_allocates 1 left; }
@test "after longjmp out of the handler, at the next free" { ends leaves_and_frees 1 left; }
@test "after longjmp out of the handler, at the next free of a large block" { ends leaves_and_frees_large 1 left; }
@test "after longjmp out of a handler on the alternate stack" { ends leaves_alternate_stack 1 left; }
@test "after longjmp out of the handler, at exit" { ends leaves_and_exits 1 left; }
@test "under a handler that calls exit" { ends exits 1; }
@test "under a handler that ends the thread" { ends thread_exits 1; }
@test "under a handler that ends a thread which had no heap" {
    message="hakmem: free\(\): pointer is not from hakmem: pointer 0x[0-9a-f]+, not in hakmem's range 0x[0-9a-f]+-0x[0-9a-f]+" \
        ends thread_exits_without_heap 1
}

@test "where another thread finds it, with the heap's thread in the handler's way" {
    message=$bad_list ends found_by_another_thread 1 allocated allocated
}
@test "where eight threads find an error at once: eight lines, one handler" { ends together 8 all; }
@test "where the handler waits for a thread that finds an error" { ends wait_for_each_other 2 handled; }
@test "while another thread calls exit" { ends another_exits 1 handled; }
