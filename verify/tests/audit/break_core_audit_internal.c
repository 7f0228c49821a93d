/* Breaks what the allocator's own checks and assertions look at, without the audit
 * (HAKMEM_AUDIT_LEVEL=0).
 *
 * usage: break_core_audit_internal KIND */
#include "by_hand.h"

#include "core/abandoned.h"
#include "core/announced.h"
#include "core/cache.h"
#include "core/collect.h"
#include "core/flush.h"
#include "core/heap_slabs.h"
#include "core/large.h"
#include "core/os_process.h"
#include "core/range_child.h"
#include "core/remote.h"
#include "core/retire.h"
#include "core/slab_pages.h"
#include "core/superslab.h"
#include "core/thread.h"

static struct hak_slab *first; /* full; all of its blocks are in blocks[] */

static struct hak_heap_class *class_of_blocks(void) {
    return &hak_thread_heap()->classes[first->class];
}

static struct hak_superslab *superslab(void) {
    return hak_superslab_of(first);
}

static void *free_slab(void *slab) {
    for (size_t i = 0; i < BLOCKS; i++)
        if (slab_of(blocks[i]) == slab) hak_free(blocks[i]);
    return NULL;
}

static void *free_some(void *unused) {
    (void)unused;
    release(0, 100);
    return NULL;
}

/* The only slab of its class. All its blocks are free, except `*block`. */
static struct hak_slab *slab_of_one_block(void **block) {
    *block = hak_malloc(700);
    struct hak_slab *slab = slab_of(*block);
    hak_flush(hak_thread_heap(), slab->class, 0);
    hak_thread_heap()->classes[slab->class].current = NULL;
    slab->state = HAK_SLAB_UNLISTED;
    CHECK(slab->used == 1, "used %u", slab->used);
    return slab;
}

static void free_and_flush(void *block) {
    unsigned bin = slab_of(block)->class;
    hak_free(block);
    hak_flush(hak_thread_heap(), bin, 0);
}

/* An abandoned heap that has a slab. */
static struct hak_heap *idle;

#define POOL_SIZE 20000

static void *leave_a_block(void *unused) {
    (void)unused;
    CHECK(hak_malloc(SIZE) != NULL, "no block");
    hak_free(hak_malloc(POOL_SIZE));
    idle = hak_thread_heap();
    return NULL;
}

static void *allocate_one(void *unused) {
    (void)unused;
    return hak_malloc(SIZE) == NULL ? blocks : NULL;
}

/* ---- bins ------------------------------------------------------------------------------------ */

static void count_is_zero(void) {
    list_count_add(-(int)hak_bin_count(hak_thread_heap(), first->class));
}

static void count_below_zero(void) {
    list_count_add(-(int)hak_bin_count(hak_thread_heap(), first->class) - 1);
}

static void list_loses_all_but_its_count(void) {
    hak_bin_set(hak_thread_heap(), first->class, NULL,
                hak_bin_count(hak_thread_heap(), first->class), class_of_blocks()->limit);
}

static void list_loses_all(void) {
    *list_head() = NULL;
}

static void count_too_high(void) {
    list_count_add(1);
    hak_flush(hak_thread_heap(), first->class, 0);
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static void slab_in_no_superslab(void) {
    first->superslab_first++;
    release_to_slabs(0, 100);
}

static void freelist_lost(void) {
    release_to_slabs(0, 100);
    first->freelist = NULL;
    struct hak_block *head;
    hak_slab_take(first, 100, &head);
}

static void freelist_leads_nowhere(void) {
    release_to_slabs(0, 100);
    first->freelist->next = (struct hak_block *)16;
    struct hak_block *head;
    hak_slab_take(first, 50, &head);
}

static void trim_finds_link_into_a_block(void) {
    release_to_slabs(0, 100);
    first->freelist->next = (struct hak_block *)((char *)first->freelist + 16);
    hak_slab_pages_purge(first);
}

static void trim_finds_freelist_cut(void) {
    release_to_slabs(0, 200);
    first->freelist->next = NULL;
    hak_slab_pages_purge(first);
}

static void used_above_carved(void) {
    release_to_slabs(0, 100);
    first->used = first->carved + 1u;
    struct hak_block *head;
    hak_slab_take(first, 1, &head);
}

static void used_is_zero(void) {
    first->used = 0;
    release_to_slabs(0, 100);
}

static void capacity_too_high(void) {
    struct hak_slab *slab = class_of_blocks()->current;
    struct hak_superslab *ss = hak_superslab_of(slab);
    struct hak_block *head;
    /* All units get memory: otherwise the block behind the last one of the slab has none. */
    for (; ss->committed_units < ss->units; ss->committed_units++)
        hak_span_commit_more(ss->first, ss->units, ss->committed_units, 1);
    slab->capacity++;
    hak_slab_carve(slab, slab->capacity, &head);
}

static void capacity_below_carved(void) {
    struct hak_slab *slab = slab_of(hak_malloc(700));
    struct hak_block *head;
    slab->capacity = 1;
    hak_slab_carve(slab, 2, &head);
}

static void given_up_with_remote_list(void) {
    void *block;
    atomic_store(&slab_of_one_block(&block)->remote, 1);
    free_and_flush(block);
}

static void given_up_units_are_free(void) {
    void *block;
    const struct hak_slab *slab = slab_of_one_block(&block);
    superslab()->free_mask |= 1u << slab->unit;
    free_and_flush(block);
}

static void given_up_in_no_state(void) {
    void *block;
    slab_of_one_block(&block)->state = 7;
    free_and_flush(block);
}

static void given_up_beside_dirty_unit(void) {
    void *block;
    slab_of_one_block(&block);
    superslab()->dirty_mask |= 1;
    free_and_flush(block);
}

static void partial_slab_of_another_home(void) {
    in_a_thread(leave_a_block, NULL);
    release_to_slabs(0, 100);
    CHECK(class_of_blocks()->partial == first, "another slab is partial");
    first->home = &idle->home;
    hak_heap_partial_remove(hak_thread_heap(), first);
}

/* ---- remote lists ---------------------------------------------------------------------------- */

static void remote_list_is_full(void) {
    atomic_store(&first->remote,
                 (uint64_t)(uintptr_t)blocks[0] << HAK_REMOTE_COUNT_BITS | first->capacity);
    in_a_thread(free_some, NULL);
}

/* The first block that another thread has sent home. More blocks are on the freelist than on the
 * remote list. */
static struct hak_block *remote_head(void) {
    release_to_slabs(200, 400);
    in_a_thread(free_some, NULL);
    return hak_remote_word_head(atomic_load(&first->remote));
}

static void remote_list_too_short(void) {
    remote_head()->next->next = NULL;
    hak_collect(hak_thread_heap());
}

static void remote_list_leads_nowhere(void) {
    remote_head()->next = (struct hak_block *)16;
    hak_collect(hak_thread_heap());
}

static void remote_list_above_used(void) {
    in_a_thread(free_some, NULL);
    first->used = 99;
    hak_collect(hak_thread_heap());
}

static void remote_list_beside_forged_freelist(void) {
    in_a_thread(free_some, NULL);
    first->freelist = blocks[200];
    hak_collect(hak_thread_heap());
}

static void all_back_with_active_too_low(void) {
    /* All blocks of this slab are in blocks[]. */
    in_a_thread(free_slab, slab_of(blocks[BLOCKS / 2]));
    superslab()->active = 1;
    hak_collect(hak_thread_heap());
}

static void notification_elsewhere(void) {
    in_a_thread(leave_a_block, NULL);
    hak_home_notify(&idle->home, first);
    hak_malloc_trim(0);
}

/* ---- SuperSlabs ------------------------------------------------------------------------------ */

static void new_slab_in_wrong_superslab(void) {
    hak_malloc(POOL_SIZE);
    hak_thread_heap()->open[0] = hak_thread_heap()->open[1];
    hak_heap_new_slab(hak_thread_heap(), first->class);
}

static void new_slab_beside_dirty_unit(void) {
    superslab()->dirty_mask |= 1;
    hak_heap_new_slab(hak_thread_heap(), first->class);
}

static void new_slab_over_another_kind(void) {
    unsigned unit = (unsigned)__builtin_ctz(superslab()->free_mask);
    hak_kind_set(superslab()->first + unit, HAK_KIND_LARGE);
    hak_heap_new_slab(hak_thread_heap(), first->class);
}

static void purge_of_dirty_used_unit(void) {
    superslab()->dirty_mask |= 1;
    hak_superslab_purge(superslab(), 0, 0, NULL, NULL);
}

static void purge_of_used_unit_that_waits(void) {
    superslab()->waits_mask |= 1;
    hak_superslab_purge(superslab(), 0, 0, NULL, NULL);
}

static void *end_with_active_too_high(void *unused) {
    (void)unused;
    hak_thread_heap()->open[1]->active++;
    return NULL;
}

static void *begin_heap_and(void *run) {
    hak_free(hak_malloc(SIZE));
    hak_free(hak_malloc(POOL_SIZE));
    return ((void *(*)(void *))(uintptr_t)run)(NULL);
}

static void retires_with_active_too_high(void) {
    in_a_thread(begin_heap_and, (void *)(uintptr_t)end_with_active_too_high);
}

static void *end_without_superslabs(void *unused) {
    (void)unused;
    hak_thread_heap()->superslabs = 0;
    return NULL;
}

static void drops_more_superslabs_than_it_has(void) {
    in_a_thread(begin_heap_and, (void *)(uintptr_t)end_without_superslabs);
}

static void record_in_use_above_the_top(void) {
    struct hak_superslab *ss = hak_superslab_record((uint32_t)hak_round_up(hak_range_top(), 32));
    ss->in_use = 1;
    hak_superslab_create_from_range(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, false);
}

/* ---- heaps ----------------------------------------------------------------------------------- */

static void *change_heap(void *heap) {
    hak_free(hak_malloc(SIZE));
    hak_thread_heap_set(heap);
    return NULL;
}

static void thread_ends_with_another_heap(void) {
    in_a_thread(change_heap, hak_thread_heap());
}

static void announced_and_not_done(void) {
    hak_announce(+1);
}

static void abandoned_heap_is_reclaimed(void) {
    in_a_thread(leave_a_block, NULL);
    hak_home_set_owner(&idle->home, hak_thread_heap());
    in_a_thread(allocate_one, NULL);
}

static void abandoned_heap_owns_another(void) {
    in_a_thread(leave_a_block, NULL);
    idle->next_reclaimed = hak_thread_heap();
    in_a_thread(allocate_one, NULL);
}

static void *end_in_another_state(void *unused) {
    hak_thread_heap()->state = HAK_HEAP_RECLAIMED;
    return unused;
}

static void thread_ends_in_another_state(void) {
    in_a_thread(begin_heap_and, (void *)(uintptr_t)end_in_another_state);
}

static int late_thread;

/* Begins an untracked heap, as a destructor does that runs after the allocator's own destructor. */
static void *begin_late(void *unused) {
    bool borrowed;
    hak_thread_heap_set(&hak_heap_gone);
    idle = hak_heap_begin_after_end(&borrowed);
    CHECK(!borrowed && idle->state == HAK_HEAP_UNTRACKED, "no untracked heap");
    late_thread = hak_os_thread_id();
    return unused;
}

static void *begin_late_that_says_own(void *unused) {
    begin_late(unused);
    idle->state = HAK_HEAP_OWN;
    hak_malloc_trim(0);
    return unused;
}

static void untracked_heap_says_own(void) {
    in_a_thread(begin_late_that_says_own, NULL);
}

static void untracked_heap_is_reclaimed(void) {
    in_a_thread(begin_late, NULL);
    hak_home_set_owner(&idle->home, hak_thread_heap());
    while (hak_os_thread_exists(hak_os_process_id(), late_thread))
        usleep(1000);
    hak_malloc_trim(0);
}

static void *end_with_a_reclaimed_one_to_look_at(void *unused) {
    (void)unused;
    hak_thread_heap()->reclaimed_cursor = idle;
    return NULL;
}

static void abandoned_gets_heap_that_knows_another(void) {
    in_a_thread(leave_a_block, NULL);
    in_a_thread(begin_heap_and, (void *)(uintptr_t)end_with_a_reclaimed_one_to_look_at);
}

static void abandoned_gets_heap_with_a_thread(void) {
    in_a_thread(leave_a_block, NULL);
    atomic_store(&idle->thread, &HAK_THREAD);
    hak_malloc_trim(0);
}

static void lock_taken_twice(void) {
    hak_lock_take(&hak_locks[HAK_RANK_RANGE]);
    hak_lock_take(&hak_locks[HAK_RANK_RANGE]);
}

static void lock_dropped_by_another(void) {
    hak_lock_drop(&hak_locks[HAK_RANK_RANGE]);
}

static struct hak_heap *reclaimed(void) {
    in_a_thread(leave_a_block, NULL);
    CHECK(hak_heap_reclaim(hak_thread_heap()) == idle, "another heap");
    hak_home_set_owner(&idle->home, NULL);
    return hak_thread_heap();
}

static void collects_for_a_heap_of_nobody(void) {
    hak_collect(reclaimed());
}

static void releases_a_heap_of_nobody(void) {
    hak_heap_drop_reclaimed(reclaimed());
}

static void own_limit_above_the_highest(void) {
    static struct hak_policy wrong;
    wrong = *hak_policy();
    wrong.bins[first->class].limit_own = UINT16_MAX;
    hak_policy_replace(&wrong);
}

/* ---- the range and the cache ----------------------------------------------------------------- */

#define LARGE(granules) (((size_t)(granules) << HAK_GRANULE_SHIFT) - HAK_ALIGNMENT)

static void *large_block;
static struct hak_large *record;   /* of the large block, live or cached */
static struct hak_free_span *next; /* the free span behind the large block */

static void make_large(void) {
    large_block = hak_malloc(LARGE(5));
    void *behind = hak_malloc(LARGE(5));
    hak_malloc(LARGE(5));
    record = (struct hak_large *)(uintptr_t)hak_large_find(large_block);
    next = hak_map_entry(hak_large_find(behind)->first);
    hak_free(behind);
    hak_malloc_trim(0);
    CHECK(next->kind == HAK_KIND_FREE_SPAN && next->first == record->first + 5,
          "no span behind the block");
}

static void joins_span_with_wrong_first(void) {
    make_large();
    next->first++;
    hak_free(large_block);
    hak_malloc_trim(0);
}

static void extends_into_span_with_wrong_first(void) {
    make_large();
    next->first++;
    hak_realloc(large_block, LARGE(6));
}

static void frees_beyond_the_top(void) {
    make_large();
    record->granules = 4096; /* more than the cache keeps */
    hak_free(large_block);
}

static void rebuilt_with_span_beyond_the_end(void) {
    make_large();
    record->granules = 1u << 20;
    hak_range_rebuild();
}

static void granule_above_the_top_has_a_kind(void) {
    hak_malloc(LARGE(20)); /* the range commits more than this block takes */
    hak_kind_set(hak_range_top(), HAK_KIND_CACHED);
    hak_malloc(LARGE(40));
}

static void make_cached(void) {
    make_large();
    hak_free(large_block);
}

static uint32_t *cache_list_of_5(void) {
    return &((struct hak_span_index *)(uintptr_t)hak_cache_state().by_length)->lists[5];
}

static void cached_block_lost(void) {
    make_cached();
    *cache_list_of_5() = 0;
    hak_malloc_trim(0);
}

static void cached_block_is_not_cached(void) {
    make_cached();
    hak_kind_set(record->first, HAK_KIND_NONE);
    hak_malloc_trim(0);
}

static void joins_cached_span_with_wrong_end(void) {
    make_large();
    void *behind = hak_malloc(LARGE(5));
    hak_free(large_block);
    hak_large_at(record->first + 4)->span++;
    hak_free(behind);
}

static void grows_into_cached_span_with_wrong_end(void) {
    make_large();
    void *behind = hak_malloc(LARGE(5));
    uint32_t behind_first = hak_large_find(behind)->first;
    hak_free(behind);
    hak_large_at(behind_first)->span++;
    hak_realloc(large_block, LARGE(7));
}

static void cached_block_of_another_length(void) {
    make_cached();
    record->granules = 4;
    record->previous = record->first;
    hak_malloc_trim(0);
}

static void cache_list_leads_nowhere(void) {
    make_cached();
    *cache_list_of_5() = UINT32_MAX;
    hak_malloc(LARGE(5));
}

static void nothing(void) {}

static const struct kind kinds[] = {
    KIND(nothing),
    KIND(count_is_zero),
    KIND(count_below_zero),
    KIND(list_loses_all_but_its_count),
    KIND(list_loses_all),
    KIND(count_too_high),
    KIND(slab_in_no_superslab),
    KIND(freelist_lost),
    KIND(freelist_leads_nowhere),
    KIND(trim_finds_link_into_a_block),
    KIND(trim_finds_freelist_cut),
    KIND(used_above_carved),
    KIND(used_is_zero),
    KIND(capacity_too_high),
    KIND(capacity_below_carved),
    KIND(given_up_with_remote_list),
    KIND(given_up_units_are_free),
    KIND(given_up_in_no_state),
    KIND(given_up_beside_dirty_unit),
    KIND(partial_slab_of_another_home),
    KIND(remote_list_is_full),
    KIND(remote_list_too_short),
    KIND(remote_list_leads_nowhere),
    KIND(remote_list_above_used),
    KIND(remote_list_beside_forged_freelist),
    KIND(all_back_with_active_too_low),
    KIND(notification_elsewhere),
    KIND(new_slab_in_wrong_superslab),
    KIND(new_slab_beside_dirty_unit),
    KIND(new_slab_over_another_kind),
    KIND(purge_of_dirty_used_unit),
    KIND(purge_of_used_unit_that_waits),
    KIND(retires_with_active_too_high),
    KIND(drops_more_superslabs_than_it_has),
    KIND(record_in_use_above_the_top),
    KIND(thread_ends_with_another_heap),
    KIND(announced_and_not_done),
    KIND(thread_ends_in_another_state),
    KIND(untracked_heap_says_own),
    KIND(untracked_heap_is_reclaimed),
    KIND(abandoned_heap_is_reclaimed),
    KIND(abandoned_heap_owns_another),
    KIND(abandoned_gets_heap_that_knows_another),
    KIND(abandoned_gets_heap_with_a_thread),
    KIND(lock_taken_twice),
    KIND(lock_dropped_by_another),
    KIND(collects_for_a_heap_of_nobody),
    KIND(releases_a_heap_of_nobody),
    KIND(own_limit_above_the_highest),
    KIND(joins_span_with_wrong_first),
    KIND(extends_into_span_with_wrong_first),
    KIND(frees_beyond_the_top),
    KIND(rebuilt_with_span_beyond_the_end),
    KIND(granule_above_the_top_has_a_kind),
    KIND(cached_block_lost),
    KIND(cached_block_is_not_cached),
    KIND(cached_block_of_another_length),
    KIND(joins_cached_span_with_wrong_end),
    KIND(grows_into_cached_span_with_wrong_end),
    KIND(cache_list_leads_nowhere),
};

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: break_core_audit_internal KIND");
    allocate(0, BLOCKS);
    first = slab_of(blocks[0]);
    return by_hand(kinds, TEST_COUNT(kinds), go_on, argv[1]);
}
