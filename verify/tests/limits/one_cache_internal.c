/* One cache serves large blocks and SuperSlabs: what a heap gave up becomes a large block if all of
 * it holds memory, and a freed large block becomes SuperSlabs. A SuperSlab takes aligned granules
 * out of the middle of a cached span, and what lies before and behind them stays cached, as old as
 * it was. What a SuperSlab left stays as it was until it is used: not joined with its neighbours,
 * and its record tells which units hold memory. */
#define TEST_LINKED
#include "../test.h"

#include <malloc.h>

#include "core/cache.h"
#include "core/heap.h"
#include "core/large.h"
#include "verify/heap_check.h"

#define MIB    ((size_t)1 << 20)
#define BUDGET (64 * MIB)
#define UNITS  32u

static struct hak_home *home;

static void kept(uint32_t entries, uint32_t granules, const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %lu equations do not hold", when,
          (unsigned long)check.faults);
    CHECK(hak_cache_entries() == entries && hak_cache_bytes() == granules * HAK_GRANULE,
          "%s: %zu bytes in %u spans are cached instead of %u granules in %u", when,
          hak_cache_bytes(), hak_cache_entries(), granules, entries);
}

static void empty(void) {
    hak_cache_evict(0, UINT32_MAX, 0);
    kept(0, 0, "all was given back");
}

static char *take(uint32_t granules) {
    bool is_zero;
    char *block = hak_large_alloc(granules * HAK_GRANULE - HAK_ALIGNMENT, 16, &is_zero);
    CHECK(block != NULL && hak_large_find(block)->granules == granules, "no block of %u granules",
          granules);
    memset(block, 1, granules * HAK_GRANULE - HAK_ALIGNMENT);
    return block;
}

static void give(char *block, uint32_t now) {
    CHECK(hak_large_free(block, BUDGET, now), "%p is no large block", (void *)block);
}

static struct hak_superslab *acquire(unsigned shift) {
    struct hak_superslab *ss = hak_superslab_create(home, shift, false);
    CHECK(ss != NULL && ss->free_mask == hak_units_of(ss->units), "no whole SuperSlab");
    CHECK(ss->first % ss->units == 0, "a SuperSlab at granule %u", ss->first);
    return ss;
}

static void retire(struct hak_superslab *ss, uint32_t dirty_mask, uint32_t now) {
    ss->dirty_mask = dirty_mask;
    ss->since = now;
    hak_superslab_destroy(ss, BUDGET);
}

/* The heap check counts the SuperSlabs of heaps, so none may be held meanwhile. */
static void superslab_becomes_large(void) {
    struct hak_superslab *ss = acquire(HAK_SUPERSLAB_SHIFT);
    const uint32_t first = ss->first;
    retire(ss, UINT32_MAX, 100);
    kept(1, UNITS, "a SuperSlab was given up");
    char *block = take(UNITS);
    CHECK(hak_large_find(block)->first == first, "a block of its length is elsewhere");
    kept(0, 0, "a block took all of it");
    give(block, 100);
    block = take(5);
    kept(1, UNITS - 5, "a block took a part");
    CHECK(hak_large_find(block)->first == first + UNITS - 5, "not the last part");
    give(block, 100);
    kept(1, UNITS, "it is whole again");
    empty();
}

/* Memory of which a part is clean is for a SuperSlab. */
static void what_is_clean_is_known(void) {
    struct hak_superslab *ss = acquire(HAK_SUPERSLAB_SHIFT);
    const uint32_t first = ss->first;
    retire(ss, 0x50, 100);
    kept(1, UNITS, "a SuperSlab was given up");
    CHECK(hak_cache_state().clean == UNITS - 2, "%u granules are clean", hak_cache_state().clean);
    char *block = take(3);
    CHECK(hak_large_find(block)->first + 3 <= first ||
              hak_large_find(block)->first >= first + UNITS,
          "a large block in memory that is mostly clean");
    ss = acquire(HAK_SUPERSLAB_SHIFT);
    CHECK(ss->first == first && ss->dirty_mask == 0x50, "units %#x of granule %u hold memory",
          ss->dirty_mask, ss->first);
    retire(ss, 0x50, 100);
    ss = hak_superslab_create(home, HAK_SUPERSLAB_SHIFT_MIN, false);
    CHECK(ss->units == UNITS, "a half of what served a whole one");
    retire(ss, 1, 100);
    give(block, 100);
    empty();
}

static void large_becomes_superslabs(void) {
    /* 96 granules hold two aligned SuperSlabs or three, wherever they begin. */
    char *block = take(96), *wall = take(8);
    const uint32_t first = hak_large_find(block)->first, aligned = (first + 31) & ~31u;
    give(block, 1000);
    struct hak_superslab *ss[2] = {acquire(HAK_SUPERSLAB_SHIFT), acquire(HAK_SUPERSLAB_SHIFT)};
    CHECK(ss[0]->since == 1000 && ss[0]->dirty_mask == UINT32_MAX && ss[1]->since == 1000,
          "what was cached holds no memory, or is not as old as it was");
    CHECK(ss[0]->first >= aligned && ss[0]->first + UNITS <= first + 96 &&
              ss[1]->first >= aligned && ss[1]->first + UNITS <= first + 96,
          "not out of the cached span");
    CHECK(hak_cache_bytes() == 32 * HAK_GRANULE, "%zu bytes are left", hak_cache_bytes());
    /* Of what is left, 16 aligned granules may serve. */
    hak_cache_evict(1999, 1000, SIZE_MAX);
    CHECK(hak_cache_bytes() == 32 * HAK_GRANULE, "what is left became older");
    hak_cache_evict(2000, 1000, SIZE_MAX);
    CHECK(hak_cache_bytes() == 0, "what is left became younger");
    retire(ss[0], 1, 2100);
    retire(ss[1], UINT32_MAX, 2100);
    kept(2, 2 * UNITS, "both were given up");
    empty();
    give(wall, 0);
    empty();
}

/* Aligned granules in the middle of a span, and a half of a SuperSlab where no whole one is. */
static void out_of_the_middle(void) {
    char *parts[3];
    for (uint32_t offset = 4; offset <= UNITS; offset += 4) {
        /* a span that begins `offset` granules behind an aligned one, and has no room for two */
        struct hak_superslab *ss =
            hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(ss != NULL, "no memory");
        retire(ss, 1, 0);
        empty();
        parts[0] = take(offset);
        parts[1] = take(UNITS + 20);
        parts[2] = take(10);
        const uint32_t first = hak_large_find(parts[1])->first;
        give(parts[1], 500);
        const uint32_t whole = (first + 31) & ~31u, half = (first + 15) & ~15u;
        const bool has_whole = whole + 32 <= first + UNITS + 20;
        ss = acquire(HAK_SUPERSLAB_SHIFT);
        CHECK(ss->dirty_mask != 0 && ss->first >= half, "not out of the cache");
        CHECK(ss->units == (has_whole ? UNITS : UNITS / 2), "%u units at offset %u", ss->units,
              first % 32);
        CHECK(hak_cache_bytes() == (UNITS + 20 - ss->units) * HAK_GRANULE, "%zu bytes are left",
              hak_cache_bytes());
        const bool is_inside = ss->first > first && ss->first + ss->units < first + UNITS + 20;
        CHECK(hak_cache_entries() == (is_inside ? 2 : 1), "%u spans are left", hak_cache_entries());
        retire(ss, 1, 600);
        kept(is_inside ? 3 : 2, UNITS + 20, "it is given up");
        give(parts[0], 600);
        give(parts[2], 600);
        empty();
    }
}

/* What holds no memory does not wait, nor does anything that a budget of 0 forbids. */
static void what_is_not_worth_it(void) {
    struct hak_superslab *ss = hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL && ss->dirty_mask == 0, "no SuperSlab that is new");
    hak_superslab_destroy(ss, BUDGET);
    kept(0, 0, "a SuperSlab without memory");
    ss = hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no SuperSlab");
    ss->dirty_mask = 1;
    hak_superslab_destroy(ss, 0);
    kept(0, 0, "no budget");
    atomic_store(&hak_range.cached_most, 0);
    ss = hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no SuperSlab");
    ss->dirty_mask = 1;
    hak_superslab_destroy(ss, BUDGET);
    kept(0, 0, "a limit is near");
    atomic_store(&hak_range.cached_most, SIZE_MAX);
}

/* Near a limit the cache holds no more than the range says, whatever the budget; and there what is
 * clean counts as well, because it is mapped. */
static void a_limit_is_near(void) {
    enum { BLOCKS = 6 };
    const size_t most = 4 * MIB;
    char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = take(30);
    atomic_store(&hak_range.cached_most, most);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(hak_large_free(blocks[i], (size_t)1 << 40, 0), "no large block");
        CHECK(hak_cache_bytes() <= most, "%zu bytes are cached of at most %zu", hak_cache_bytes(),
              most);
    }
    CHECK(hak_cache_bytes() > most / 2, "%zu bytes are cached", hak_cache_bytes());
    empty();
    struct hak_superslab *superslabs[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        superslabs[i] = hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(superslabs[i] != NULL, "no SuperSlab");
    }
    for (int i = 0; i < BLOCKS; i++) {
        retire(superslabs[i], 1, 0);
        CHECK(hak_cache_bytes() <= most, "%zu bytes are cached of at most %zu", hak_cache_bytes(),
              most);
    }
    atomic_store(&hak_range.cached_most, SIZE_MAX);
    empty();
}

/* SuperSlabs that came from the range, went through the cache and back leave a balance below zero:
 * the sum and its highest value are right all the same. */
static void sums_are_right(void) {
    for (int i = 0; i < 100; i++) {
        struct hak_superslab *ss =
            hak_superslab_create_from_range(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(ss != NULL, "no SuperSlab");
        retire(ss, UINT32_MAX, 0);
        empty();
    }
    const size_t own = hak_footprint_superslabs();
    CHECK((ptrdiff_t)hak_footprint.balance < 0 && own < 100 * MIB, "%zu bytes of SuperSlabs", own);
    give(take(30), 0);
    CHECK(hak_footprint_bytes() == own + 30 * HAK_GRANULE, "%zu bytes are held",
          hak_footprint_bytes());
    hak_footprint_peak_update();
    CHECK(hak_footprint.peak < 1000 * MIB, "%zu bytes at most", hak_footprint.peak);
    CHECK(hak_footprint.peak_check_above - hak_footprint.balance ==
              hak_footprint.peak - hak_footprint_bytes(),
          "the next look at the peak comes %zu bytes later",
          (size_t)(hak_footprint.peak_check_above - hak_footprint.balance));
    empty();
}

/* M_MMAP_THRESHOLD says which large blocks do not wait. It is nothing to SuperSlabs. */
static void a_threshold_is_for_large_blocks(void) {
    static void *blocks[60000];
    hak_mallopt(M_MMAP_THRESHOLD, 0);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = hak_malloc(test_opaque(100));
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    CHECK(hak_cache_bytes() > 0, "no SuperSlab is cached");
    hak_malloc_trim(0);
    hak_free(hak_malloc(test_opaque(3 * MIB)));
    CHECK(hak_cache_bytes() == 0, "a large block is cached");
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    home = &hak_thread_heap()->home;
    empty();
    superslab_becomes_large();
    what_is_clean_is_known();
    large_becomes_superslabs();
    out_of_the_middle();
    what_is_not_worth_it();
    a_limit_is_near();
    sums_are_right();
    a_threshold_is_for_large_blocks();
    return test_ok("one cache serves large blocks and SuperSlabs");
}
