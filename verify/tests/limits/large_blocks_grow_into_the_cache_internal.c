/* A large block grows into the cached block behind it, only as far as it must. The rest of the
 * cached block stays, as old as before. If a cached block elsewhere is long enough and much of the
 * grown block is new, the contents are to be copied there. Otherwise the pages are moved. */
#define TEST_LINKED
#include "../test.h"

#include "core/cache.h"
#include "core/large.h"
#include "verify/heap_check.h"

#define MIB    ((size_t)1 << 20)
#define BUDGET (64 * MIB)

static void kept(uint32_t entries, uint32_t granules, const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %lu equations do not hold", when,
          (unsigned long)check.faults);
    CHECK(hak_cache_state().entries == entries && hak_cache_bytes() == granules * HAK_GRANULE,
          "%s: %zu bytes in %u runs are kept instead of %u granules in %u", when, hak_cache_bytes(),
          hak_cache_state().entries, granules, entries);
}

static void fill(char *block, size_t size, size_t salt) {
    for (size_t at = 0; at < size; at++)
        block[at] = (char)((at * 31 >> 3) + salt * 57);
}

static void is_filled(const char *block, size_t size, size_t salt, const char *when) {
    for (size_t at = 0; at < size; at++)
        CHECK(block[at] == (char)((at * 31 >> 3) + salt * 57), "%s: byte %zu has changed", when,
              at);
}

/* The size of a block that fills so many granules: its header is one of the first 16 bytes. */
static size_t size_of(uint32_t granules) {
    return granules * HAK_GRANULE - HAK_ALIGNMENT;
}

/* Takes all free granules: from here on blocks come from the range's end. */
static void use_up_what_is_free(void) {
    bool is_zero;
    hak_free(hak_malloc(1)); /* there is a range from here on */
    for (uint32_t top = 0, first = 0; first < top || first == 0;) {
        top = hak_range_top();
        char *block = hak_large_alloc(size_of(1), 16, &is_zero);
        CHECK(block != NULL, "no block of one granule");
        first = hak_large_find(block)->first;
    }
}

/* Takes blocks one behind the other, and fills each with its own contents. */
static void take_all(char **blocks, const uint32_t *granules, size_t count) {
    bool is_zero;
    use_up_what_is_free();
    for (size_t i = 0; i < count; i++) {
        blocks[i] = hak_large_alloc(size_of(granules[i]), 16, &is_zero);
        CHECK(blocks[i] != NULL, "no block of %u granules", granules[i]);
        CHECK(i == 0 || hak_large_find(blocks[i])->first ==
                            hak_large_find(blocks[i - 1])->first + granules[i - 1],
              "block %zu is not behind the one before", i);
        fill(blocks[i], size_of(granules[i]), i);
    }
}

static void give(char *block, uint32_t now) {
    CHECK(hak_large_free(block, BUDGET, now), "%p is no large block", (void *)block);
}

static void grow(char *block, uint32_t granules) {
    CHECK(hak_large_resize(block, size_of(granules)) == block, "%u granules: not where it is",
          granules);
    CHECK(hak_large_find(block)->granules == granules, "%u granules instead of %u",
          hak_large_find(block)->granules, granules);
}

/* The rest of a cached block that is cut keeps its place among older and younger ones. */
static void it_grows_into_what_is_behind(void) {
    enum { PAIR, PAIR_BEHIND, OLD, WALL, GROWING, BEHIND, WALL_TOO, YOUNG, END, BLOCKS };
    static const uint32_t granules[BLOCKS] = {16, 16, 24, 16, 16, 64, 16, 32, 16};
    char *blocks[BLOCKS];
    take_all(blocks, granules, BLOCKS);
    give(blocks[PAIR_BEHIND], 0);
    grow(blocks[PAIR], 32);
    kept(0, 0, "all of the neighbour");
    give(blocks[OLD], 900);
    give(blocks[BEHIND], 1000);
    give(blocks[YOUNG], 1100);
    grow(blocks[GROWING], 32);
    kept(3, 24 + 48 + 32, "a part of it");
    grow(blocks[GROWING], 40);
    kept(3, 24 + 40 + 32, "a part of what is left");
    hak_cache_evict(1999, 1000, SIZE_MAX);
    kept(2, 40 + 32, "the oldest has gone");
    hak_cache_evict(2000, 1000, SIZE_MAX);
    kept(1, 32, "the rest is as old as the whole would be");
    hak_cache_evict(2100, 1000, SIZE_MAX);
    kept(0, 0, "the youngest");
    is_filled(blocks[PAIR], size_of(16), PAIR, "grown by all");
    is_filled(blocks[GROWING], size_of(16), GROWING, "grown by a part");
}

/* A length is rounded up only if the cached block behind is long enough for that. */
static void it_takes_what_is_there(void) {
    enum { GROWING, BEHIND, WALL, BLOCKS };
    static const uint32_t granules[BLOCKS] = {16, 18, 16};
    char *blocks[BLOCKS];
    CHECK(hak_large_round_up(33) == 36, "33 granules are rounded up to %u", hak_large_round_up(33));
    take_all(blocks, granules, BLOCKS);
    give(blocks[BEHIND], 0);
    grow(blocks[GROWING], 33);
    kept(1, 1, "no more than it must");
    CHECK(hak_large_resize(blocks[GROWING], size_of(35)) != blocks[GROWING],
          "grown into a live block");
    is_filled(blocks[WALL], size_of(16), WALL, "behind it");
}

/* If much is new, realloc copies the contents into a cached block; otherwise the pages move. */
static void it_is_copied_into_what_is_kept(void) {
    enum { MOVING, WALL, COPIED, WALL_TOO, KEPT, END, BLOCKS };
    static const uint32_t granules[BLOCKS] = {40, 16, 32, 16, 64, 16};
    char *blocks[BLOCKS];
    take_all(blocks, granules, BLOCKS);
    give(blocks[KEPT], 3000);
    CHECK(hak_large_resize(blocks[COPIED], size_of(56)) == HAK_LARGE_COPY,
          "moved, though there is room to copy into");
    is_filled(blocks[COPIED], size_of(32), COPIED, "not moved");
    char *copy = hak_realloc(blocks[COPIED], size_of(56));
    CHECK(copy != NULL && copy != blocks[COPIED], "not copied");
    is_filled(copy, size_of(32), COPIED, "copied");
    kept(2, 64 - 56 + 32, "it was copied into what was kept");
    give(copy, 3100);
    char *moved = hak_large_resize(blocks[MOVING], size_of(48));
    CHECK(moved != NULL && moved != blocks[MOVING], "a fifth is new: not moved");
    is_filled(moved, size_of(40), MOVING, "moved");
    kept(2, 64 + 32, "nothing of it was taken");
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "which?");
    hak_malloc_trim(0);
    kept(0, 0, "at the beginning");
    if (strcmp(argv[1], "behind") == 0)
        it_grows_into_what_is_behind();
    else if (strcmp(argv[1], "rounded") == 0)
        it_takes_what_is_there();
    else
        it_is_copied_into_what_is_kept();
    return test_ok("large blocks grow into what is kept, or are copied there");
}
