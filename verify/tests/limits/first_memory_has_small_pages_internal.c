/* Where the system gives huge pages to all memory, a small program does not hold 2 MiB for each
 * SuperSlab that it touches. For this, the range's first 256 MiB are advised against huge pages,
 * also where pages were moved and memory was given back. The memory behind them has no advice. */
#define TEST_LINKED
#include "../test.h"

#include "../process.h"
#include "core/spans.h"

#define SMALL_PAGES_BYTES ((size_t)256 << 20)

/* True if the mapping with this address has the flag, a space and two letters as in VmFlags. */
static bool has_flag(const void *address, const char *flag) {
    char line[4096];
    bool inside = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL, "no /proc/self/smaps");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, until;
        if (sscanf(line, "%lx-%lx ", &from, &until) == 2)
            inside = (uintptr_t)address >= from && (uintptr_t)address < until;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            break;
    }
    fclose(maps);
    CHECK(inside, "no mapping of %p", address);
    return strstr(line, flag) != NULL;
}

/* Grows blocks that stand in each other's way, so that their pages are moved, and frees them.
 * Returns the place that one of them was moved to. */
static char *move_and_give_back(void) {
    static void *blocks[8];
    char *moved = NULL;
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        blocks[i] = hak_malloc(1 << 20);
        CHECK(blocks[i] != NULL, "no block");
        memset(blocks[i], 1, 1 << 20);
    }
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        void *before = blocks[i];
        blocks[i] = hak_realloc(blocks[i], 4 << 20);
        CHECK(blocks[i] != NULL, "no longer block");
        if (blocks[i] != before) moved = blocks[i];
    }
    CHECK(moved != NULL, "no block moved");
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    return moved;
}

int main(void) {
    char *block = hak_malloc(test_opaque(100));
    /* No huge page fits before the first SuperSlab is whole; then none is allowed there. */
    CHECK(block != NULL && hak_granule_of(block) < hak_range_state().committed &&
              hak_range_state().end < HAK_GRANULE_FIRST + HAK_UNITS_MAX,
          "the first SuperSlab is whole at the start");
    move_and_give_back();
    hak_malloc_trim(0);
    size_t few = process_mappings();
    for (int i = 0; i < 20; i++)
        move_and_give_back();
    hak_malloc_trim(0);
    CHECK(process_mappings() <= few + 2, "%zu mappings where there were %zu", process_mappings(),
          few);
    char *first = hak_granule_address(HAK_GRANULE_FIRST), *behind = first + SMALL_PAGES_BYTES,
         *last = block;
    while (last < behind)
        CHECK((last = hak_malloc(4 << 20)) != NULL, "no block");
    for (size_t at = 4 << 20; at < SMALL_PAGES_BYTES - (4 << 20); at += 8 * HAK_GRANULE)
        CHECK(has_flag(first + at, " nh"),
              "what is %zu bytes behind the first block may be in a huge page", at);
    CHECK(!has_flag(last + (4 << 20) - 1, " nh"), "a large heap has no huge pages");
    last = move_and_give_back();
    hak_malloc_trim(0);
    CHECK(last >= behind && !has_flag(last, " nh"),
          "where a block was moved in a large heap there are none");
    return test_ok("small pages first");
}
