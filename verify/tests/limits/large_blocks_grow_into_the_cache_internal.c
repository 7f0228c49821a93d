/* A large block grows into the kept block behind it, as far as it must; the rest of that one waits on, as long as it did. Where
 * one that is kept elsewhere has room, the contents are to be copied into it; only else the pages move. */
#define TEST_LINKED
#include "../test.h"

#include "core/bigcache.h"
#include "core/large.h"
#include "verify/heap_check.h"

#define MIB    ((size_t)1 << 20)
#define BUDGET (64 * MIB)

static void kept(uint32_t entries, uint32_t granules, const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %lu equations do not hold", when, (unsigned long)check.faults);
    CHECK(hak_bigcache_state().entries == entries && hak_bigcache_bytes() == granules * HAK_GRANULE,
          "%s: %zu bytes in %u runs are kept instead of %u granules in %u", when, hak_bigcache_bytes(),
          hak_bigcache_state().entries, granules, entries);
}

static char *take(size_t size) {
    char *block = hak_large_alloc(size, 16, false);
    CHECK(block != NULL, "no block of %zu bytes", size);
    memset(block, 7, size);
    return block;
}

static void give(char *block, uint32_t now) {
    CHECK(hak_large_free(block, BUDGET, now), "%p is no large block", (void *)block);
}

/* A block of so many granules: its header takes a byte of the first 16. */
static size_t size_of(uint32_t granules) {
    return granules * HAK_GRANULE - HAK_ALIGNMENT;
}

static void grow(char *block, uint32_t granules) {
    CHECK(hak_large_resize(block, size_of(granules)) == block, "%u granules: not where it is", granules);
    CHECK(hak_large_find(block)->granules == granules, "%u granules instead of %u",
          hak_large_find(block)->granules, granules);
}

enum { PAIR, PAIR_BEHIND, GROWING, BEHIND, WALL, ELSEWHERE, END, BLOCKS };
static const uint32_t granules_of[BLOCKS] = {16, 16, 16, 64, 16, 64, 16};

int main(void) {
    char *blocks[BLOCKS];
    hak_malloc_trim(0);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = take(size_of(granules_of[i]));
        CHECK(i == 0 || hak_large_find(blocks[i])->first ==
                            hak_large_find(blocks[i - 1])->first + granules_of[i - 1],
              "block %d is not behind the one before", i);
    }
    give(blocks[PAIR_BEHIND], 0);
    grow(blocks[PAIR], 32);
    kept(0, 0, "all of the neighbour");
    give(blocks[BEHIND], 1000);
    grow(blocks[GROWING], 32);
    kept(1, 48, "a part of it");
    hak_bigcache_purge(1999, 1000, SIZE_MAX);
    grow(blocks[GROWING], 40);
    kept(1, 40, "a part of what is left");
    hak_bigcache_purge(2000, 1000, SIZE_MAX);
    kept(0, 0, "the rest is as old as the whole would be");
    give(blocks[ELSEWHERE], 3000);
    CHECK(hak_large_resize(blocks[PAIR], size_of(56)) == NULL, "moved, though there is room to copy into");
    for (size_t at = 0; at < size_of(16); at++)
        CHECK(blocks[PAIR][at] == 7, "byte %zu has changed", at);
    CHECK(hak_realloc(blocks[PAIR], size_of(56)) != NULL, "not copied");
    kept(2, 64 - 56 + 32, "it was copied into what was kept");
    CHECK(hak_large_resize(blocks[GROWING], size_of(88)) != NULL, "what is kept is too short: not moved");
    kept(2, 64 - 56 + 32, "nothing of it was taken");
    return test_ok("large blocks grow into what is kept, or are copied there");
}
