/* Freed large blocks that lie side by side become one cached block, in whatever order they are
 * freed. The joined block serves a longer request, and is as old as the longer of its parts. The
 * cache gives back hardly more of it than necessary. */
#define TEST_LINKED
#include "../test.h"

#include "core/cache.h"
#include "core/large.h"
#include "verify/heap_check.h"

#define MIB    ((size_t)1 << 20)
#define BUDGET (64 * MIB)
#define PARTS  4

static void heap_is_whole(void) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%lu equations do not hold", (unsigned long)check.faults);
}

static size_t kept(uint32_t entries) {
    CHECK(hak_cache_state().entries == entries, "%u runs are kept instead of %u",
          hak_cache_state().entries, entries);
    heap_is_whole();
    return hak_cache_bytes();
}

static char *take(size_t size) {
    bool is_zero;
    char *block = hak_large_alloc(size, 16, &is_zero);
    CHECK(block != NULL, "no block of %zu bytes", size);
    memset(block, 1, size);
    return block;
}

static void give(void *block, size_t budget, uint32_t now) {
    CHECK(hak_large_free(block, budget, now), "%p is no large block", block);
}

/* Takes blocks that lie side by side, in memory that is not cached. */
static void take_neighbours(char **blocks, size_t count, size_t size) {
    hak_cache_evict(0, 0, 0);
    for (size_t i = 0; i < count; i++)
        blocks[i] = take(size);
    for (size_t i = 1; i < count; i++)
        CHECK(hak_large_find(blocks[i])->first ==
                  hak_large_find(blocks[i - 1])->first + hak_large_find(blocks[i])->granules,
              "block %zu is not behind the one before", i);
}

static void free_in_order(const unsigned *order) {
    char *blocks[PARTS], *behind;
    take_neighbours(blocks, PARTS, 3 * MIB);
    behind = take(3 * MIB);
    for (unsigned i = 0; i < PARTS; i++) {
        give(blocks[order[i]], BUDGET, 0);
        heap_is_whole();
    }
    size_t all = kept(1);
    CHECK(all >= PARTS * 3 * MIB, "%zu bytes are kept", all);
    char *whole = take(PARTS * 3 * MIB - HAK_GRANULE);
    CHECK(whole == blocks[0], "a block of all parts is elsewhere");
    give(whole, BUDGET, 0);
    give(behind, BUDGET, 0);
    kept(1);
}

static void every_order(unsigned *order, unsigned count) {
    if (count == PARTS) free_in_order(order);
    for (unsigned part = 0; part < PARTS; part++) {
        bool is_there = false;
        for (unsigned i = 0; i < count; i++)
            is_there |= order[i] == part;
        order[count] = part;
        if (count < PARTS && !is_there) every_order(order, count + 1);
    }
}

/* Of two neighbours, block `first` is freed at 1000 ms, and the other block at 5000 ms. Block
 * `long_one` is the longer one. */
static void ages(unsigned first, unsigned long_one) {
    char *blocks[2], *parts[2], *other;
    take_neighbours(blocks, 2, 8 * MIB);
    give(blocks[0], BUDGET, 0);
    give(blocks[1], BUDGET, 0);
    parts[1] = take(long_one == 0 ? MIB : 12 * MIB); /* cut from the end of the cached block */
    parts[0] = take(long_one == 0 ? 12 * MIB : MIB);
    CHECK(hak_large_find(parts[1])->first ==
              hak_large_find(parts[0])->first + hak_large_find(parts[0])->granules,
          "the parts are no neighbours");
    hak_cache_evict(0, 0, 0);
    other = take(2 * MIB);
    give(parts[first], BUDGET, 1000);
    give(other, BUDGET, 3000);
    give(parts[1 - first], BUDGET, 5000);
    size_t all = kept(2);
    hak_cache_evict(5500, 1000, SIZE_MAX);
    bool is_young = first != long_one;
    size_t left = kept(is_young ? 1 : 0);
    CHECK(is_young == (left > 10 * MIB), "%zu of %zu bytes are left after a second", left, all);
    hak_cache_evict(6500, 1000, SIZE_MAX);
    kept(0);
}

static void no_more_than_must(void) {
    char *blocks[3];
    take_neighbours(blocks, 3, 20 * MIB);
    give(blocks[0], BUDGET, 0);
    give(blocks[1], BUDGET, 0);
    size_t both = kept(1);
    char *apart = take(MIB);
    CHECK(kept(1) < both - MIB, "a block of the kept ones is not of them");
    give(blocks[2], 50 * MIB, 0);
    CHECK(hak_cache_bytes() <= 50 * MIB && hak_cache_bytes() > 48 * MIB,
          "%zu bytes are kept of 50 MiB", hak_cache_bytes());
    heap_is_whole();
    size_t before = hak_cache_bytes();
    give(apart, 50 * MIB, 0);
    CHECK(hak_cache_bytes() > before + MIB, "each block that is freed has others evicted");
    hak_cache_evict(0, UINT32_MAX, 7 * MIB);
    CHECK(hak_cache_bytes() == 7 * MIB, "%zu bytes are kept of 7 MiB", hak_cache_bytes());
    heap_is_whole();
    hak_cache_evict(0, 0, 0);
    kept(0);
}

int main(void) {
    unsigned order[PARTS + 1];
    hak_free(hak_malloc(1));
    every_order(order, 0);
    for (unsigned first = 0; first < 2; first++)
        for (unsigned long_one = 0; long_one < 2; long_one++)
            ages(first, long_one);
    no_more_than_must();
    return test_ok("neighbours are joined");
}
