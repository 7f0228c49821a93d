#include "verify/explore/scenarios.h"

#include <malloc.h>
#include <string.h>

#include "core/abandoned.h"
#include "core/cache.h"
#include "core/collect.h"
#include "core/enter.h"
#include "core/hakmem.h"
#include "core/heap_slabs.h"
#include "core/large.h"
#include "core/purge.h"
#include "core/retire.h"
#include "core/superslab.h"
#include "verify/explore/blocks.h"
#include "verify/virtual/waiting.h"

/* A slab of the largest class of the pool tier has four blocks, one of the mid tier has nine. */
#define POOL_BIN   HAK_CLASS_OF(POOL, 15)
#define POOL_SIZE  ((size_t)53000)
#define MID_BIN    HAK_CLASS_OF(MID, 15)
#define MID_SIZE   ((size_t)7000)
#define LARGE_SIZE ((size_t)100000)
#define LONG_SIZE  ((size_t)200000) /* realloc moves its pages */

/* ---- threads --------------------------------------------------------------------------------- */

/* Gives the first `count` threads heaps of their own. */
static void threads_have_heaps(unsigned count) {
    for (unsigned thread = 1; thread < count; thread++) {
        fuzz_thread_switch(thread);
        hak_free(hak_malloc(1));
    }
    fuzz_thread_switch(0);
}

/* ---- a slab and its remote list -------------------------------------------------------------- */

/* Thread 0 has a full slab of four blocks. */
static void full_slab(void) {
    threads_have_heaps(3);
    for (unsigned slot = 0; slot < 4; slot++)
        block_take(slot, POOL_SIZE);
}

static void free_one(void) {
    block_give(0);
    fuzz_flush(POOL_BIN);
}

static void free_first_two(void) {
    free_one();
    block_give(1);
    fuzz_flush(POOL_BIN);
}

static void free_last_two(void) {
    block_give(2);
    block_give(3);
    fuzz_flush(POOL_BIN);
}

/* By a thread without a heap of its own. */
static void free_last_two_alone(void) {
    block_give(2);
    block_give(3);
}

static void collect_and_take(void) {
    fuzz_collect();
    block_take(8, POOL_SIZE);
}

static void collect_twice(void) {
    fuzz_collect();
    fuzz_collect();
}

/* Two slabs of one class, both full. */
static void two_full_slabs(void) {
    full_slab();
    for (unsigned slot = 4; slot < 8; slot++)
        block_take(slot, POOL_SIZE);
}

static void free_in_both(void) {
    free_one();
    block_give(4);
    fuzz_flush(POOL_BIN);
}

static void free_in_both_backwards(void) {
    block_give(5);
    fuzz_flush(POOL_BIN);
    block_give(1);
    fuzz_flush(POOL_BIN);
}

/* The slab becomes empty while a block is on its way to it, and its unit is wanted for another
 * class. */
static void free_rest_and_take_other_class(void) {
    block_give(2);
    block_give(3);
    fuzz_flush_all();
    block_take(8, POOL_SIZE - 8192);
}

static void free_second(void) {
    block_give(1);
    fuzz_flush(POOL_BIN);
}

/* ---- long lists ------------------------------------------------------------------------------ */

#define MANY      1100u /* more than a counter of ten bits can hold */
#define MANY_SIZE 24u
#define MANY_BIN  HAK_CLASS_OF(TINY, 1)

static void *many[MANY];

static void many_begin(void) {
    threads_have_heaps(2);
    hak_policy_replace(explore_policy_roomy());
    for (unsigned thread = 0; thread < 2; thread++) {
        fuzz_thread_switch(thread);
        fuzz_flush_all(); /* its limits now follow this policy */
    }
    fuzz_thread_switch(0);
    for (unsigned i = 0; i < MANY; i++)
        many[i] = hak_malloc(MANY_SIZE);
}

static void free_many(void) {
    for (unsigned i = 0; i < MANY; i++)
        hak_free(many[i]);
    fuzz_flush(MANY_BIN);
}

static void collect_many(void) {
    fuzz_collect();
    block_take(0, MANY_SIZE);
}

/* ---- ends and reclaims ----------------------------------------------------------------------- */

/* Thread 1 has a full slab, and three blocks of another class in a bin. */
static void thread_1_owns(void) {
    threads_have_heaps(3);
    fuzz_thread_switch(1);
    for (unsigned slot = 0; slot < 4; slot++)
        block_take(slot, POOL_SIZE);
    for (unsigned slot = 4; slot < 7; slot++)
        block_take(slot, MID_SIZE);
    for (unsigned slot = 4; slot < 7; slot++)
        block_give(slot);
    fuzz_thread_switch(0);
}

/* The same, and thread 1 has ended. */
static void thread_1_left(void) {
    thread_1_owns();
    fuzz_thread_switch(1);
    fuzz_thread_end();
    fuzz_thread_switch(0);
}

static void thread_ends(void) {
    fuzz_thread_teardown();
}

/* The thread that is in the last part of its end, in which no destructor runs. */
static const struct hak_thread *in_last_part;

bool __wrap_hak_os_thread_is_past_destructors(int thread);

bool __wrap_hak_os_thread_is_past_destructors(int thread) {
    (void)thread;
    return in_last_part == &HAK_THREAD;
}

/* Thread 2 has never allocated. */
static void silent_thread(void) {
    threads_have_heaps(2);
    in_last_part = NULL;
    block_take(0, POOL_SIZE);
    block_take(1, POOL_SIZE);
}

/* The thread vanishes. Another thread, which has no heap yet, may get the memory of its struct
 * hak_thread. */
static void free_and_vanish(void) {
    in_last_part = &HAK_THREAD;
    block_give(0);
    hak_thread_heap_set(&hak_heap_none);
}

static void end_and_free_first_two(void) {
    fuzz_thread_teardown();
    block_give(0);
    block_give(1);
}

/* There are two abandoned heaps, one of them with memory. */
static void two_threads_left(void) {
    thread_1_left();
    fuzz_thread_switch(2);
    fuzz_thread_end();
    fuzz_thread_switch(0);
}

static void thread_begins(void) {
    block_take(8 + explore_fiber(), POOL_SIZE);
}

static void reclaim(void) {
    struct hak_heap *heap = hak_slow_enter(0);
    bool any = hak_heap_reclaim(heap) != NULL;
    if (any) hak_collect(heap);
    hak_slow_leave();
    if (!any) return;
    block_take(8 + explore_fiber(), POOL_SIZE);
    hak_heap_drop_reclaimed(hak_slow_enter(0));
    hak_slow_leave();
}

/* Thread 1 has reclaimed the heap of thread 2, which has ended and left a full slab. */
static void thread_1_rules(void) {
    threads_have_heaps(3);
    fuzz_thread_switch(2);
    for (unsigned slot = 0; slot < 4; slot++)
        block_take(slot, POOL_SIZE);
    fuzz_thread_end();
    fuzz_thread_switch(1);
    EXPLORE_CHECK(hak_heap_reclaim(hak_slow_enter(0)) != NULL, "no heap to reclaim");
    hak_slow_leave();
    fuzz_thread_switch(0);
}

/* By a new thread. It may get the heap of a thread that had reclaimed the block's heap. The second
 * function also ends the thread. */
static void begin_and_free(void) {
    block_give(0);
    fuzz_flush(POOL_BIN);
}

static void begin_free_and_end(void) {
    begin_and_free();
    fuzz_thread_teardown();
}

static void reclaim_and_free(void) {
    struct hak_heap *heap = hak_slow_enter(0);
    hak_heap_reclaim(heap);
    hak_slow_leave();
    free_second();
}

static void trim_idle(void);

/* In a destructor that runs after the allocator's own: the thread begins an untracked heap, which
 * nobody gives back. */
static void untracked_take_and_vanish(void) {
    block_take(8, POOL_SIZE);
    block_take(12, MID_SIZE);
    block_give(12);
    fuzz_thread_teardown();
}

/* The same has happened already. */
static void untracked_thread_vanished(void) {
    thread_1_rules();
    fuzz_thread_switch(FUZZ_THREAD_GONE);
    untracked_take_and_vanish();
    fuzz_thread_switch(0);
}

/* Threads 0 and 1 have a full slab each. */
static void both_own(void) {
    full_slab();
    fuzz_thread_switch(1);
    for (unsigned slot = 4; slot < 8; slot++)
        block_take(slot, POOL_SIZE);
    fuzz_thread_switch(0);
}

static void free_other_and_own(void) {
    unsigned own = 4 * explore_fiber(), other = 4 - own;
    block_give(other);
    block_give(own + 1);
    fuzz_flush(POOL_BIN);
    fuzz_collect();
}

static void free_other_and_end(void) {
    block_give(1);
    fuzz_thread_teardown();
}

static void free_both_and_end(void) {
    block_give(0);
    block_give(4);
    fuzz_thread_teardown();
}

/* ---- SuperSlabs, large blocks, trims --------------------------------------------------------- */

/* Thread 0 has a SuperSlab with one slab, in which one block is live. */
static void one_block(void) {
    threads_have_heaps(3);
    block_take(0, MID_SIZE);
    fuzz_flush_all();
}

static void free_mid(void) {
    block_give(0);
    fuzz_flush(MID_BIN);
}

static void collect_and_end_heap(void) {
    fuzz_flush_all();
    hak_heap_drop_empty(hak_slow_enter(0));
    hak_slow_leave();
    hak_cache_evict(hak_os_now_ms(), UINT32_MAX, 0);
}

static void grow_and_take(void) {
    hak_heap_grow(hak_slow_enter(0), MID_BIN);
    hak_slow_leave();
    block_take(8, MID_SIZE);
}

static void large_blocks(void) {
    threads_have_heaps(3);
    for (unsigned slot = 0; slot < 3; slot++)
        block_take(slot, LARGE_SIZE);
    block_give(2); /* the cache has this one */
}

static void put_large(void) {
    block_give(0);
    block_give(1);
}

static void get_large(void) {
    block_take(8, LARGE_SIZE);
    block_take(9, LARGE_SIZE);
}

/* Evicts a part of the cache, and then the rest. */
static void evict_large(void) {
    hak_cache_evict(hak_os_now_ms(), UINT32_MAX, HAK_GRANULE);
    hak_cache_evict(hak_os_now_ms(), UINT32_MAX, 0);
}

/* Resizes a block, proves that it keeps its contents, and frees it. */
static void resize_and_free(unsigned number, size_t size) {
    unsigned char *start = hak_realloc(block_at(number)->start, size);
    EXPLORE_CHECK(start != NULL, "no memory for a longer block");
    for (unsigned i = 0; i < BLOCK_ENDS; i++)
        EXPLORE_CHECK(start[i] == number + 1, "a longer block lost its contents");
    hak_free(start);
    block_at(number)->start = NULL;
}

static void grow_large(void) {
    resize_and_free(1, 3 * LARGE_SIZE);
}

/* The pages move, because another block lies behind this one. */
static void move_large(void) {
    resize_and_free(0, 3 * LONG_SIZE);
}

static void two_long_blocks(void) {
    threads_have_heaps(2);
    block_take(0, LONG_SIZE);
    block_take(1, LONG_SIZE);
}

static void get_long(void) {
    block_take(8, LONG_SIZE);
    block_give(8);
}

/* A live block, a cached one behind it, and a live one behind that. */
static void large_blocks_around_cached(void) {
    threads_have_heaps(3);
    for (unsigned slot = 0; slot < 3; slot++)
        block_take(slot, LARGE_SIZE);
    block_give(1);
}

/* Grows by a part of the cached block behind it. */
static void grow_into_cached(void) {
    resize_and_free(0, LARGE_SIZE + HAK_GRANULE);
}

static void free_third(void) {
    block_give(2);
}

/* A cached block is as long as the first block shall become. */
static void long_blocks_beside_cached(void) {
    two_long_blocks();
    block_take(2, 3 * LONG_SIZE);
    block_give(2);
}

static void get_longer(void) {
    block_take(8, 3 * LONG_SIZE);
}

static void free_large(void) {
    block_give(0);
    hak_cache_evict(hak_os_now_ms(), 0, 0);
}

/* Addresses are scarce: no cache keeps anything, and freed blocks are unmapped. */
static void large_blocks_scarce(void) {
    threads_have_heaps(3);
    atomic_store_explicit(&hak_range.cached_most, 0, memory_order_relaxed);
    for (unsigned slot = 0; slot < 3; slot++)
        block_take(slot, LARGE_SIZE);
}

static void free_and_take_large(void) {
    block_give(0);
    block_take(8, LARGE_SIZE);
}

/* Has memory kept, and then given back again. */
static void keep_memory_for_a_while(void) {
    EXPLORE_CHECK(hak_mallopt(M_MMAP_MAX, 0) == 1 && hak_mallopt(M_TRIM_THRESHOLD, -1) == 1,
                  "memory cannot be kept");
    EXPLORE_CHECK(hak_mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "memory is kept for ever");
}

/* Marks the last page, as a program that protects the last page of a stack does. */
static void mark_end(unsigned number) {
    const struct block *block = block_at(number);
    hak_large_mark_pages(block->start + block->size - 1, 1);
    EXPLORE_CHECK((hak_large_find(block->start)->renew & HAK_PAGES_MARKED) != 0,
                  "nobody knows that block %u is marked", number);
}

static void mark_and_free(void) {
    mark_end(0);
    mark_end(0);
    block_give(0);
}

/* One of the blocks gets the place of the block that was marked before, if that one is free by
 * now. */
static void take_two_and_mark(void) {
    block_take(8, LARGE_SIZE);
    block_take(9, LARGE_SIZE);
    mark_end(9);
}

static void refill(void) {
    for (unsigned slot = 8; slot < 12; slot++)
        block_take(slot, MID_SIZE);
    block_give(8);
    block_give(9);
    block_give(10);
}

static void replace_policy(void) {
    hak_mallopt(M_TRIM_THRESHOLD, 1 << 20);
    hak_policy_replace(explore_policy_roomy());
}

static void trim(void) {
    hak_malloc_trim(0);
}

/* The part of a trim that handles the heaps of ended threads. */
static void trim_one(struct hak_heap *heap, void *unused) {
    (void)unused;
    hak_purge(heap, HAK_PURGE_ASKED, 0);
}

static void trim_idle(void) {
    hak_slow_enter(0);
    hak_heap_each_abandoned(trim_one, NULL);
    hak_cache_evict(hak_os_now_ms(), UINT32_MAX, 0);
    hak_slow_leave();
}

/* Thread 0 has two slabs of one class. Of the first one only blocks in the bin are in use. */
static void slabs_to_trim(void) {
    two_full_slabs();
    for (unsigned slot = 0; slot < 4; slot++)
        block_give(slot);
}

static void free_rest_of_second(void) {
    block_give(5);
    block_give(6);
    fuzz_flush(POOL_BIN);
}

static void give_and_take(void) {
    block_take(8, POOL_SIZE);
    block_give(4);
    block_take(9, MID_SIZE);
}

/* Thread 1 moves a block that thread 0 has allocated. */
static void move_block(void) {
    size_t usable = hak_malloc_usable_size(block_at(0)->start);
    EXPLORE_CHECK(usable >= POOL_SIZE, "%zu bytes are usable of %zu", usable, POOL_SIZE);
    block_at(0)->start = hak_realloc(block_at(0)->start, MID_SIZE);
    EXPLORE_CHECK(block_at(0)->start != NULL && block_at(0)->start[0] == 1,
                  "a shorter block lost its contents");
    hak_free(block_at(0)->start);
    block_at(0)->start = NULL;
    fuzz_flush(POOL_BIN);
}

/* ---- the first use, and forks ---------------------------------------------------------------- */

static void first_use(void) {
    block_take(explore_fiber(), 100);
    block_give(explore_fiber());
}

static void work(void) {
    block_give(4);
    fuzz_flush(POOL_BIN);
    block_take(9, MID_SIZE);
    block_take(10, LARGE_SIZE);
    block_give(10);
}

/* The only thread of the child uses each part that may be locked or torn there. */
static void fork_and_go_on(void) {
    explore_fork_prepare();
    explore_fork_child();
    block_give(0); /* from the heap of a thread that does not exist here */
    block_give(5);
    fuzz_flush(POOL_BIN);
    block_take(11, LARGE_SIZE);
    block_take(12, MID_SIZE);
    block_take(13, POOL_SIZE);
    block_give(11);
    block_give(12);
    block_give(13);
    hak_malloc_trim(0);
    hak_heap_grow(hak_slow_enter(0), MID_BIN);
    hak_slow_leave();
}

/* The same while other threads give up and take heaps. */
static void fork_amidst(void) {
    explore_fork_prepare();
    explore_fork_child();
    free_second();
    block_take(11, POOL_SIZE);
    block_take(12, LARGE_SIZE);
    hak_malloc_trim(0);
    block_give(11);
    block_give(12);
}

/* The same while other threads unmap and map large blocks. */
static void fork_during_large(void) {
    explore_fork_prepare();
    explore_fork_child();
    block_give(2);
    block_take(11, LARGE_SIZE);
    block_take(12, LARGE_SIZE);
    block_take(13, LONG_SIZE);
    hak_malloc_trim(0);
    block_give(11);
    block_give(12);
    block_give(13);
}

static void fork_and_stay(void) {
    explore_fork_prepare();
    explore_fork_parent();
    block_give(0);
    fuzz_flush(POOL_BIN);
    block_take(11, MID_SIZE);
}

const struct explore_scenario explore_scenarios[] = {
    {.name = "free-free-collect",
     .text = "two threads free into one slab while its owner collects",
     .begin = full_slab,
     .bodies = {collect_and_take, free_first_two, free_last_two}},
    {.name = "notify-collect",
     .text = "a notification races with collects",
     .begin = full_slab,
     .bodies = {collect_twice, free_one, free_last_two}},
    {.name = "notify-two-slabs",
     .text = "two slabs of one class are notified at once, and collected",
     .begin = two_full_slabs,
     .bodies = {collect_and_take, free_in_both, free_in_both_backwards}},
    {.name = "long-list",
     .text = "a chain of 1100 blocks comes home while its owner collects",
     .begin = many_begin,
     .bodies = {collect_many, free_many}},
    {.name = "empty-slab-other-class",
     .text = "a slab becomes empty and changes its class while a free is on its way",
     .begin = full_slab,
     .bodies = {free_rest_and_take_other_class, free_one, free_second}},
    {.name = "owner-ends",
     .text = "the owner ends while others free its blocks",
     .begin = thread_1_owns,
     .bodies = {free_one, thread_ends, free_last_two}},
    {.name = "all-end",
     .text = "two threads end at once, each with a block of the other's",
     .begin = both_own,
     .bodies = {collect_twice, free_other_and_end, free_both_and_end}},
    {.name = "free-after-end",
     .text = "threads that have ended free while the owner collects and a new thread begins",
     .begin = full_slab,
     .bodies = {collect_and_take, end_and_free_first_two, NULL, free_last_two_alone}},
    {.name = "take-whole-heap",
     .text = "a new thread takes the heap of one that has ended while another frees its blocks",
     .begin = thread_1_left,
     .bodies = {free_first_two, thread_begins, free_last_two}},
    {.name = "new-threads",
     .text = "two new threads take abandoned heaps at once",
     .begin = two_threads_left,
     .bodies = {free_one, thread_begins, thread_begins}},
    {.name = "reclaim",
     .text = "a thread reclaims a heap while another frees its blocks",
     .begin = thread_1_left,
     .bodies = {reclaim, NULL, free_first_two}},
    {.name = "reclaim-reclaim",
     .text = "two threads would reclaim one heap",
     .begin = thread_1_left,
     .bodies = {reclaim, thread_begins, reclaim}},
    {.name = "reclaimer-ends",
     .text = "a thread that has reclaimed a heap ends while another begins and frees, and a third "
             "reclaims",
     .begin = thread_1_rules,
     .bodies = {reclaim_and_free, thread_ends, begin_and_free}},
    {.name = "reclaimer-ends-untracked",
     .text = "the same while a thread begins an untracked heap, and vanishes",
     .begin = thread_1_rules,
     .bodies = {reclaim_and_free, thread_ends, NULL, untracked_take_and_vanish}},
    {.name = "untracked-vanished",
     .text = "a new thread and a trim look after an untracked heap whose thread is gone",
     .begin = untracked_thread_vanished,
     .bodies = {trim_idle, NULL, thread_begins}},
    {.name = "untracked-vanishes",
     .text = "a thread with an untracked heap vanishes while another looks after it",
     .begin = thread_1_left,
     .bodies = {trim_idle, NULL, NULL, untracked_take_and_vanish}},
    {.name = "reclaimer-ends-trim",
     .text = "a thread that has reclaimed a heap ends while a trim walks the abandoned heaps and a "
             "new thread "
             "begins",
     .begin = thread_1_rules,
     .bodies = {trim_idle, thread_ends, begin_free_and_end}},
    {.name = "fork-hand-over",
     .text = "a fork while a thread that has reclaimed a heap ends and another begins: the child "
             "goes on",
     .begin = thread_1_rules,
     .child = true,
     .bodies = {fork_amidst, thread_ends, begin_free_and_end}},
    {.name = "fork-trim",
     .text = "a fork while a trim walks the abandoned heaps: the child goes on",
     .begin = thread_1_left,
     .child = true,
     .bodies = {fork_amidst, NULL, trim_idle}},
    {.name = "flush-flush",
     .text = "two threads free each other's blocks, and collect",
     .begin = both_own,
     .bodies = {free_other_and_own, free_other_and_own}},
    {.name = "superslab-returned",
     .text = "a SuperSlab becomes empty by another's free and goes to the cache, from which a "
             "third takes it",
     .begin = one_block,
     .bodies = {collect_and_end_heap, free_mid, grow_and_take}},
    {.name = "superslab-becomes-large",
     .text = "a SuperSlab becomes empty by another's free and goes to the cache, from which a "
             "third takes its memory for large blocks",
     .begin = one_block,
     .bodies = {collect_and_end_heap, free_mid, get_large}},
    {.name = "cache",
     .text = "large blocks are put into the cache, taken from it and evicted",
     .begin = large_blocks,
     .bodies = {put_large, get_large, evict_large}},
    {.name = "large-grows",
     .text = "a large block grows in place while others take and give granules",
     .begin = large_blocks,
     .bodies = {free_large, grow_large, get_large}},
    {.name = "large-moves",
     .text = "the pages of a large block move while another thread takes the place that it leaves",
     .begin = two_long_blocks,
     .bodies = {move_large, get_long}},
    {.name = "large-grows-into-cached",
     .text = "a large block grows into the cached one behind it, which others evict and lengthen",
     .begin = large_blocks_around_cached,
     .bodies = {grow_into_cached, evict_large, free_third}},
    {.name = "large-copied",
     .text = "a large block is to be copied into a cached one that another thread takes",
     .begin = long_blocks_beside_cached,
     .bodies = {move_large, get_longer}},
    {.name = "large-scarce",
     .text = "large blocks are unmapped, mapped again and grow where addresses are scarce",
     .begin = large_blocks_scarce,
     .bodies = {free_and_take_large, grow_large}},
    {.name = "large-marked",
     .text = "a program marks pages of its large blocks while others are freed and taken",
     .begin = two_long_blocks,
     .bodies = {mark_and_free, take_two_and_mark}},
    {.name = "memory-kept",
     .text = "memory is kept for a while, as large blocks are freed and taken",
     .begin = large_blocks,
     .bodies = {keep_memory_for_a_while, free_and_take_large}},
    {.name = "policy-replaced",
     .text = "the policy is replaced during refills and flushes",
     .begin = large_blocks,
     .bodies = {refill, replace_policy, put_large}},
    {.name = "trim",
     .text =
         "a thread trims, and seizes the heaps of the others, while one allocates and one frees",
     .begin = slabs_to_trim,
     .bodies = {give_and_take, trim, free_rest_of_second}},
    {.name = "trim-idle",
     .text =
         "a thread trims the heaps of ended threads while a new one wants a heap and another frees",
     .begin = thread_1_left,
     .bodies = {trim_idle, thread_begins, free_first_two}},
    {.name = "ends-unseen",
     .text = "a thread that never allocated frees in the last part of its end while another trims",
     .begin = silent_thread,
     .bodies = {trim, NULL, free_and_vanish}},
    {.name = "realloc",
     .text = "a thread moves another's block while its owner collects",
     .begin = full_slab,
     .bodies = {collect_and_take, move_block}},
    {.name = "first-use",
     .text = "two threads allocate before anybody did",
     .untouched = true,
     .bodies = {first_use, first_use}},
    {.name = "fork-child",
     .text = "a fork between two steps of others: the child goes on with one thread",
     .begin = both_own,
     .child = true,
     .bodies = {fork_and_go_on, work, free_last_two}},
    {.name = "fork-scarce",
     .text = "a fork while large blocks are unmapped and mapped again: the child goes on",
     .begin = large_blocks_scarce,
     .child = true,
     .bodies = {fork_during_large, put_large, get_large}},
    {.name = "fork-parent",
     .text = "a fork between two steps of others: the parent goes on",
     .begin = both_own,
     .bodies = {fork_and_stay, work, free_last_two}},
};
const size_t explore_scenario_count = sizeof explore_scenarios / sizeof explore_scenarios[0];

const struct explore_scenario *explore_scenario_find(const char *name) {
    for (size_t i = 0; i < explore_scenario_count; i++)
        if (strcmp(explore_scenarios[i].name, name) == 0) return &explore_scenarios[i];
    return NULL;
}
