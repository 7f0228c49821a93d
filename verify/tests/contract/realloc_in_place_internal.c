/* A large block grows in place into the free span behind it, at the top of the range and between
 * other blocks, up to the last granule of the span and no further. It shrinks in place, and the
 * memory that it gives up is free. */
#define TEST_LINKED
#include "../test.h"

#include "core/range.h"
#include "verify/heap_check.h"

#define BLOCK ((size_t)1 << 20)

static void nothing_is_lost(const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%zu equations do not hold %s", check.faults, when);
}

/* The block's bytes up to the end of its span. */
static size_t room(void *block) {
    return hak_malloc_usable_size(block);
}

static void stays(void *block, size_t size, const char *when) {
    memset(block, 7, room(block));
    size_t kept = room(block) < size ? room(block) : size;
    CHECK(hak_realloc(block, size) == block, "realloc to %zu bytes moves the block %s", size, when);
    CHECK(room(block) >= size, "%zu usable bytes of %zu %s", room(block), size, when);
    for (size_t i = 0; i < kept; i += 511)
        CHECK(((char *)block)[i] == 7, "byte %zu of %zu is lost %s", i, kept, when);
    nothing_is_lost(when);
}

int main(void) {
    char *last = hak_malloc(BLOCK);
    uint32_t top = hak_range_top();
    stays(last, 3 * BLOCK, "at the top");
    CHECK(hak_range_top() >= top + (2 * BLOCK >> HAK_GRANULE_SHIFT),
          "nothing was taken at the top");
    stays(last, BLOCK / 2, "when it shrinks at the top");
    CHECK(room(last) < BLOCK && hak_range_top() < top, "%zu bytes are kept of a block of %zu",
          room(last), BLOCK / 2);
    hak_free(last);

    char *first = hak_malloc(BLOCK), *hole = hak_malloc(BLOCK), *behind = hak_malloc(BLOCK);
    CHECK(hole > first && behind > hole, "blocks are not in order: the test needs another heap");
    size_t whole = (size_t)(behind - first) - HAK_ALIGNMENT;
    hak_free(hole);
    hak_malloc_trim(0); /* takes the freed block out of the cache */
    stays(first, BLOCK + BLOCK / 4, "into a hole");
    stays(first, whole, "to the end of the hole");
    CHECK(room(first) <= whole, "%zu usable bytes where %zu are free", room(first), whole);
    stays(first, BLOCK / 2, "when it shrinks");
    CHECK(room(first) < BLOCK, "%zu bytes are kept of %zu", room(first), BLOCK / 2);
    stays(first, whole, "to the end of the hole, again");
    char *moved = hak_realloc(first, whole + 1);
    CHECK(moved != first, "a block grows into its neighbour");
    nothing_is_lost("after the move");
    hak_free(moved);
    hak_free(behind);
    return test_ok("in place up to %zu bytes", whole);
}
