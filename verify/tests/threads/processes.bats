#!/usr/bin/env bats
# Processes fork, exec and spawn; the library is loaded and unloaded at run time.

load ../on_hakmem

# loads NAME: runs the test program NAME on the system's malloc; it opens the library by itself
loads() {
    run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/$1" "$HAK_OUT/libhakmem.so"
    said_ok
}

@test "fork while other threads allocate" { proves fork_while_allocating; }
@test "fork in every thread, and in the child" { proves fork_in_every_thread; }
@test "exec, vfork and posix_spawn while threads allocate" { proves spawn_while_allocating; }
@test "a program ends while its threads allocate" { proves exit_while_allocating; }
@test "dlopen and dlclose a thousand times" { loads dlopen_thousand_times; }
@test "dlclose before a thread that used the library ends" { loads dlclose_before_thread_exit; }

@test "fork with another library's handlers that allocate" { proves fork_foreign_handlers_linked; }
@test "the same on the debug build, which proves that each lock that is dropped is held" {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=debug out/debug/tests/fork_foreign_handlers_linked >&2
    HAK_OUT=$HAK_ROOT/out/debug proves fork_foreign_handlers_linked
}
