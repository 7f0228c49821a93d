#!/usr/bin/env bats
# Little address space, little memory, few mappings, and memory that goes back to the system.

load ../on_hakmem

# limited "ulimit arguments" NAME: the test program NAME succeeds under this limit
limited() {
    run timeout -k 5 "$HAK_TEST_SECONDS" bash -c "ulimit $1 && LD_PRELOAD=\$HAK_OUT/libhakmem.so exec \$HAK_OUT/tests/$2"
    said_ok
}

@test "8 threads exhaust 1000000 KiB of address space" { limited "-v 1000000" threads_at_the_limit; }
@test "8 threads exhaust 1000000 KiB of data" { limited "-d 1000000" threads_at_the_limit; }
@test "each tier exhausts 1000000 KiB of address space" { limited "-v 1000000" exhausted_and_reused; }
@test "each tier exhausts 200 MiB of address space" { limited "-v 204800" exhausted_and_reused; }
@test "each tier exhausts 200 MiB of data" { limited "-d 204800" exhausted_and_reused; }
@test "every call refuses when 200 MiB are taken" { limited "-v 204800" refused_at_the_limit; }
@test "every tier in 64 MiB of address space" { limited "-v 65536" every_tier; }

@test "python3 in 1000000 KiB of address space" {
    run bash -c 'ulimit -v 1000000 && LD_PRELOAD=$HAK_OUT/libhakmem.so exec python3 -c "
import threading
assert any(\"libhakmem\" in line for line in open(\"/proc/self/maps\"))
lists = [[str(i) * 10 for i in range(20000)] for _ in range(8)]
threads = [threading.Thread(target=lambda: lists.append(bytearray(10 << 20))) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
try:
    bytearray(1 << 40)
except MemoryError:
    print(\"ok:\", len(lists))
"'
    said_ok
}

@test "a short block that was locked does not make all memory count as locked" { proves small_locked_block_internal; }
@test "no huge page is made of what was purged in part" { HAKMEM_THP=1 proves purged_regions_stay_small; }
@test "mappings of others in the range's way keep their contents" { proves foreign_mappings_internal; }
@test "a long mapping right behind the range's memory is in nobody's way" { proves foreign_mappings_internal long; }
@test "where memory is scarce, what is freed is unmapped and nothing is forgotten" { proves holes_internal; }
@test "mappings stay few under mixed sizes" { proves few_mappings; }
@test "places of moved blocks join their neighbours again" { proves moved_spans_join; }

@test "mappings stay few with more large blocks than mappings" { proves many_large_blocks; }
@test "the memory of a burst comes back by itself" { proves burst_comes_back; }
@test "malloc_trim leaves 5 % and 4 MiB more than before a burst of 1 GiB" { proves burst_of_a_gib trim 1; }
@test "and than before four threads' bursts, which then sleep" { proves burst_of_a_gib trim 4; }
@test "and than before their bursts, which another thread frees while they sleep" {
    proves burst_of_a_gib trim 4 freed-by-main
}
@test "and than before their bursts, of which each frees another's" { proves burst_of_a_gib trim 4 crossed; }
@test "and, without a trim, within two seconds of four threads' bursts, which then sleep" { proves burst_of_a_gib delay 4; }
@test "also if another thread frees them" { proves burst_of_a_gib delay 4 freed-by-main; }
@test "also if each frees another's" { proves burst_of_a_gib delay 4 crossed; }
@test "and, without a trim, 6 MiB within four seconds of a thread's own burst, which goes on" { proves burst_of_a_gib delay 1; }
@test "a trim gives back whole free pages between live blocks" { proves holes_go_back own; }
@test "also of a thread that sleeps" { proves holes_go_back sleeps; }
@test "also of a thread that has ended" { proves holes_go_back ended; }
@test "each class: no page with a block in use goes back, and each block comes again once" {
    proves pages_inside_slabs_internal
}
@test "the first memory is in small pages, wherever the kernel has huge ones" {
    [ -e /sys/kernel/mm/transparent_hugepage ] || skip "the kernel has no huge pages"
    proves first_memory_has_small_pages_internal
}
@test "what blocks of one size held serves those of another, before it is purged" {
    HAKMEM_PURGE_DELAY_MS=3600000 proves freed_memory_serves_other_sizes
}
@test "chunks of the pool arena double, as options say" { proves pool_arena_grows_internal; }
@test "what a heap gave up serves large blocks, and the other way round" { proves one_cache_internal; }
@test "the cache grows by what is soon asked for again" { proves cache_grows_internal; }
@test "free units of a SuperSlab wait for the purge delay, and for two where slabs come and go" {
    proves free_units_wait_internal
}
@test "the slots of a burst go back with it" { proves page_map_goes_back_internal; }
@test "bins that nobody uses are emptied" { proves idle_bins_are_emptied_internal; }
@test "a thread's list of blocks grows long only where they go home to others" { proves limits_follow_the_frees_internal; }
@test "a large block that is kept serves shorter ones" { proves cached_blocks_are_cut_internal; }
@test "a large block grows into the kept one behind it" { proves large_blocks_grow_into_the_cache_internal behind; }

@test "a large block grows by no more than is kept behind it" { proves large_blocks_grow_into_the_cache_internal rounded; }

@test "a large block is copied into a kept one if much is new" { proves large_blocks_grow_into_the_cache_internal copied; }
@test "large blocks that are kept side by side become one" { proves cached_blocks_are_joined_internal; }
@test "without draining on the way, what others freed is used before there is another SuperSlab" {
    HAKMEM_TINY_P0_NO_DRAIN=1 HAKMEM_PURGE_DELAY_MS=3600000 proves no_drain_drains_before_growth_internal
}
@test "a time that is later than now is not old" { HAKMEM_PURGE_DELAY_MS=500 proves clock_goes_back_internal; }

@test "memory that was touched once never faults again, in blocks of other sizes" { proves touched_once one-thread; }
@test "nor if mallopt is told the other way round" { proves touched_once other-order; }
@test "nor in other threads" { proves touched_once second-thread; }
@test "nor after the purge delay, with a program that goes on" { proves touched_once after-the-delay; }
@test "nor in blocks of random sizes that come and go" { proves touched_once churn; }
@test "nor if it waited in caches when mallopt was called" { HAKMEM_PURGE_DELAY_MS=3600000 proves touched_once set-late; }
@test "nor if it was in live blocks" { proves touched_once set-with-live-blocks; }
@test "nor if the kernel had moved its pages" { proves touched_once moved-block; }
@test "nor with realloc" { proves touched_once realloc; }
@test "nor after a request that failed" { proves touched_once refused; }
@test "calloc is zero in such memory" { proves touched_once zero; }
@test "malloc_trim gives such memory back, once" { proves touched_once trim; }
@test "such memory goes back, and is kept again, when M_MMAP_MAX is set back" { proves touched_once maps-again; }
@test "and when M_TRIM_THRESHOLD is" { proves touched_once trims-again; }
@test "M_MMAP_MAX alone keeps nothing" { proves touched_once maps-alone; }
@test "M_TRIM_THRESHOLD alone keeps nothing beyond the purge delay" { proves touched_once trim-threshold-alone; }
@test "blocks from M_MMAP_THRESHOLD on go back at once" { HAKMEM_PURGE_DELAY_MS=3600000 proves touched_once map-threshold; }
@test "kept memory lies in the range, serves all sizes, and goes back" { proves kept_memory_internal; }
