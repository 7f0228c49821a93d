#!/usr/bin/env bats
# Blocks outlive threads, cross them, or exist before them; threads end; memory stays bounded.

load ../on_hakmem

@test "blocks outlive the threads that allocated them" { proves exit_with_live_blocks; }
@test "a thread that only frees does not hoard" { proves free_only_thread; }
@test "producers and consumers exchange blocks of all tiers" { proves producer_consumer_ring; }
@test "every thread frees every other's blocks" { proves all_to_all_frees; }
@test "a thread's first act is free" { proves first_act_is_free; }
@test "destructors of thread keys free and allocate" { proves key_destructors; }
@test "C++ thread_local and static destructors free and allocate" { proves thread_local_destructors; }
@test "thousands of short threads" { proves short_threads; }
@test "a thousand generations of threads" { proves generations; }
@test "a thousand threads at once" { proves many_threads_at_once; }
@test "threads that sleep do not keep their bursts" { proves idle_threads; }
@test "the main thread ends first" { proves main_thread_ends_first; }
@test "the main thread ends, and allocates after that" { proves main_thread_ends_late_internal; }
@test "constructors and destructors of the program allocate and free" { proves before_and_after_main; }
@test "trim and reports while threads allocate" { proves reports_while_allocating; }
@test "a trim reaches other threads at once" { HAKMEM_PURGE_DELAY_MS=3600000 proves trim_reaches_other_threads at-once; }
@test "without the system's barrier other threads follow a trim, once" {
    HAKMEM_PURGE_DELAY_MS=3600000 proves trim_reaches_other_threads later
}
@test "where remote trims are switched off, too" {
    HAKMEM_REMOTE_TRIM=0 HAKMEM_PURGE_DELAY_MS=3600000 proves trim_reaches_other_threads later already
}
@test "the smallest stacks suffice" { proves small_stacks; }
@test "many thread keys before the first malloc" {
    proves many_keys_first
    proves many_keys_first_linked
}

@test "the heaps of threads that ended are used again, their memory too" { proves heap_churn_internal; }
@test "threads that never allocate, and free when they have ended" { proves ends_without_allocating_internal; }
@test "threads whose end nobody tells keep their heaps until they are gone" { proves untracked_heaps_internal; }

@test "the log of batches has those that go to other threads' slabs" {
    HAK_TEST_QUICK=1 HAKMEM_TINY_P0_LOG=1 LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/first_act_is_free" \
        >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    grep -qxE 'hakmem: p0 remote blocks [1-9][0-9]*' "$BATS_TEST_TMPDIR/err"
}
@test "a fork at each instruction under a lock: the child is whole, and goes on" {
    [ "$(uname -m)" = x86_64 ] || skip "the processor has no trap flag"
    proves fork_at_each_step_internal
}
@test "a thread that wakes up waits for its own heap only" { proves woken_while_others_are_visited_internal; }
@test "while a trim visits one idle heap, threads that begin find the others" { proves abandoned_heaps_stay_abandoned_internal; }
@test "a thread that wakes waits for one step of the work on its heap" { proves wait_is_short_internal; }
@test "a thread that works keeps its heap" { HAKMEM_PURGE_DELAY_MS=3600000 proves work_between_looks_internal; }
