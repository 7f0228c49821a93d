/* Breaks the range: its figures, free spans, large blocks, the cache. */
#ifndef HAK_VERIFY_BREAK_RANGE_H
#define HAK_VERIFY_BREAK_RANGE_H

#include "whole_heap.h"

#include "core/cache.h"

/* ---- figures that only their own file can write ---------------------------------------------- */

static uint32_t top_more, entries_more, clean_more, no_ages;
static uint32_t tables_less, there_more;
static size_t holes_more;
static size_t cache_more, blocks_more, mapped_more;

#define WRAPPED(type, name)                                                                        \
    type __real_##name(void);                                                                      \
    type __wrap_##name(void);                                                                      \
    type __wrap_##name(void)

WRAPPED(uint32_t, hak_range_top) {
    return __real_hak_range_top() + top_more;
}

WRAPPED(struct hak_range_state, hak_range_state) {
    struct hak_range_state state = __real_hak_range_state();
    state.in_tables -= tables_less;
    state.end += there_more;
    state.hole_bytes += holes_more;
    return state;
}

WRAPPED(struct hak_cache_state, hak_cache_state) {
    struct hak_cache_state state = __real_hak_cache_state();
    state.entries += entries_more;
    state.clean += clean_more;
    if (no_ages) state.newest = state.oldest = 0;
    return state;
}

WRAPPED(size_t, hak_cache_bytes) {
    return __real_hak_cache_bytes() + cache_more;
}

WRAPPED(struct hak_large_stats, hak_large_stats) {
    struct hak_large_stats stats = __real_hak_large_stats();
    stats.live_blocks += blocks_more;
    stats.mapped_bytes += mapped_more;
    return stats;
}

static void top_beyond_memory(void) {
    top_more = 1u << 20;
}

static void top_too_high(void) {
    top_more = 1;
}

static void top_too_low(void) {
    top_more = (uint32_t)-1;
}

static void tables_too_short(void) {
    tables_less = hak_range_state().in_tables - hak_range_top();
}

static void limit_too_low(void) {
    atomic_store(&hak_range.end, atomic_load(&hak_range.end) - 1);
}

static void limit_beyond_memory(void) {
    struct hak_range_state state = hak_range_state();
    there_more = state.committed + 1 - state.end;
    atomic_store(&hak_range.end, (uint64_t)(state.committed + 1 - HAK_GRANULE_FIRST)
                                     << (HAK_GRANULE_SHIFT - 4));
}

static void no_memory_for_the_check(void) {
    struct rlimit limit = {0, 0};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
}

/* ---- holes ----------------------------------------------------------------------------------- */

/* Makes a hole: while nothing may be cached, as near a limit, the memory of a freed block is
 * unmapped. */
static uint32_t make_hole(void) {
    void *block = hak_malloc(LARGE(9)), *behind = hak_malloc(LARGE(9));
    CHECK(block != NULL && behind != NULL, "no blocks");
    const uint32_t hole = hak_large_find(block)->first;
    atomic_store(&hak_range.cached_most, 0);
    hak_free(block);
    atomic_store(&hak_range.cached_most, SIZE_MAX);
    CHECK(hak_kind_of(hole) == HAK_KIND_HOLE, "granule %u is of kind %d", hole, hak_kind_of(hole));
    return hole;
}

static void hole_lost(void) {
    make_hole();
    hak_os_zero((void *)(uintptr_t)hak_range_state().holes, sizeof(struct hak_span_index));
}

static void holes_count_bytes_twice(void) {
    make_hole();
    holes_more = (size_t)9 << HAK_GRANULE_SHIFT;
}

/* ---- free spans ------------------------------------------------------------------------------ */

static struct hak_free_span *free_run(uint32_t granule) {
    CHECK(hak_kind_of(granule) == HAK_KIND_FREE_SPAN, "granule %u is of kind %d", granule,
          hak_kind_of(granule));
    return hak_map_entry(granule);
}

static uint32_t *run_list(uint32_t count) {
    return (uint32_t *)(uintptr_t)&hak_range_state().free->lists[hak_span_list_of(count)];
}

static void run_list_bit_flip(uint32_t count) {
    unsigned list = hak_span_list_of(count);
    uint64_t *word = (uint64_t *)(uintptr_t)&hak_range_state().free->nonempty[list / 64];
    *word ^= (uint64_t)1 << (list % 64);
}

static void span_with_wrong_first(void) {
    free_run(run)->first++;
}

static void span_beyond_the_top(void) {
    free_run(run)->count = 1u << 20;
}

static void span_with_wrong_last_entry(void) {
    free_run(run + 4)->first++;
}

static void span_with_two_lengths(void) {
    free_run(run + 4)->count++;
}

static void span_with_a_kind_inside(void) {
    hak_kind_set(run + 2, HAK_KIND_CACHED);
}

static void spans_side_by_side(void) {
    *free_run(run) = (struct hak_free_span){.first = run, .count = 1, .kind = HAK_KIND_FREE_SPAN};
    *(struct hak_free_span *)hak_map_entry(run + 1) =
        (struct hak_free_span){.first = run + 1, .count = 4, .kind = HAK_KIND_FREE_SPAN};
    *free_run(run + 4) =
        (struct hak_free_span){.first = run + 1, .count = 4, .kind = HAK_KIND_FREE_SPAN};
}

static void kept_bytes_too_high(void) {
    atomic_fetch_add(&hak_footprint.kept, HAK_GRANULE);
}

static void range_keeps_on_its_own(void) {
    hak_range_keep(true);
}

static void span_list_beyond_the_top(void) {
    *run_list(5) = 1u << 20;
}

static void span_list_enters_a_slab(void) {
    *run_list(5) = hak_slab_first_granule(full);
}

static void span_with_wrong_back_link(void) {
    free_run(*run_list(5))->prev = run;
}

static void span_in_the_list_of_another_length(void) {
    *run_list(60) = *run_list(5);
    *run_list(5) = 0;
    run_list_bit_flip(60);
    run_list_bit_flip(5);
}

static void span_list_with_wrong_bit(void) {
    run_list_bit_flip(60);
}

static void spans_lost(void) {
    *run_list(5) = 0;
    run_list_bit_flip(5);
}

/* ---- large blocks and the cache ----------------------------------------------------------- */

static struct hak_large *large_record(void) {
    return (struct hak_large *)(uintptr_t)hak_large_find(large_block);
}

static void large_record_elsewhere(void) {
    large_record()->user = (char *)large_block + HAK_GRANULE;
}

static void large_header_overwritten(void) {
    hak_header_set(large_block, 0x11);
}

static void large_block_beyond_its_span(void) {
    large_record()->size = LARGE(6);
}

/* The block is aligned to more than a granule, so its record is not in the page map entry of its
 * first granule. */
static void large_first_entry_with_wrong_number(void) {
    const struct hak_large *large = NULL;
    while (large == NULL || hak_large_at(large->first) == large)
        large = hak_large_find(hak_aligned_alloc(4 * HAK_GRANULE, LARGE(5)));
    hak_large_at(large->first)->granules++;
}

static void large_block_lost(void) {
    hak_kind_set(first_granule(large_block), HAK_KIND_NONE);
}

static void large_blocks_too_high(void) {
    blocks_more = 1;
}

static void large_bytes_too_high(void) {
    large_record()->size -= 100;
}

static void large_mapped_too_high(void) {
    mapped_more = HAK_GRANULE;
}

static void cached_span_elsewhere(void) {
    cached[0]->span++;
}

static void cached_span_beyond_the_top(void) {
    cached[0]->granules = 1u << 20;
}

static void cached_span_with_wrong_last_entry(void) {
    hak_large_at(cached[0]->span + cached[0]->granules - 1)->span = 0;
}

static struct hak_span_index *cache_index(void) {
    return (struct hak_span_index *)(uintptr_t)hak_cache_state().by_length;
}

/* Makes `first` the head of the cache's list of spans of `granules` granules; 0: it is empty. */
static void cache_list_set(uint32_t granules, uint32_t first) {
    const unsigned list = hak_span_list_of(granules);
    const uint64_t bit = (uint64_t)1 << (list % 64);
    cache_index()->lists[list] = first;
    cache_index()->nonempty[list / 64] &= ~bit;
    if (first != 0) cache_index()->nonempty[list / 64] |= bit;
}

/* The first granule of the cached span becomes an entry of its own. In the list by age this entry
 * is the next newer one after the rest. */
static void cached_spans_side_by_side(void) {
    struct hak_large *left = cached[2], *right = hak_large_at(left->span + 1);
    *right = *left;
    right->span = left->span + 1;
    right->granules = left->granules - 1;
    right->newer = left->span;
    hak_large_at(left->older)->newer = right->span;
    hak_large_at(right->span + right->granules - 1)->span = right->span;
    cache_list_set(left->granules, 0);
    left->granules = 1;
    left->older = right->span;
    cache_list_set(1, left->span);
    right->next = cache_index()->lists[hak_span_list_of(right->granules)];
    if (right->next != 0) hak_large_at(right->next)->previous = right->span;
    cache_list_set(right->granules, right->span);
    entries_more = 1;
}

static void cache_list_beyond_the_top(void) {
    cache_list_set(cached[0]->granules, 1u << 20);
}

static void cache_list_enters_a_slab(void) {
    cache_list_set(cached[0]->granules, hak_slab_first_granule(full));
}

static void cache_list_with_wrong_back_link(void) {
    cached[1]->previous = cached[2]->first;
}

static void cache_list_of_another_length(void) {
    uint32_t other = 1, first = cache_index()->lists[hak_span_list_of(cached[0]->granules)];
    while (cache_index()->lists[hak_span_list_of(other)] != 0)
        other++;
    cache_list_set(other, first);
    cache_list_set(cached[0]->granules, 0);
}

static void cache_list_lost(void) {
    cache_list_set(cached[0]->granules, 0);
}

static void cache_list_with_wrong_bit(void) {
    cache_index()->nonempty[0] ^= 2;
}

static void newer_link_wrong(void) {
    cached[0]->newer = cached[2]->first;
}

static void age_list_cut(void) {
    cached[1]->older = 0;
}

static void age_list_lost(void) {
    no_ages = 1;
}

static void cache_counts_entry_twice(void) {
    entries_more = 1;
}

static void cached_span_with_clean_granules(void) {
    cached[0]->clean = 1;
}

static void cache_counts_clean_twice(void) {
    clean_more = 1;
}

static void cached_superslab_at_another_place(void) {
    cached[0]->is_superslab = true;
}

/* A unit of a SuperSlab in the cache holds memory, and its record says that it does not. */
static void cached_superslab_with_fewer_dirty_units(void) {
    struct hak_home *home = &hak_thread_heap()->home;
    struct hak_superslab *ss = hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no memory");
    hak_superslab_populate(ss, 3);
    hak_superslab_destroy(ss, (size_t)64 << 20);
    ss->dirty_mask = 1;
}

static void superslab_bytes_too_high(void) {
    atomic_fetch_add(&hak_footprint.superslabs, HAK_GRANULE);
}

static void cache_counts_bytes_twice(void) {
    cache_more = (size_t)6 << HAK_GRANULE_SHIFT;
}

static void nothing(void) {}

#endif
