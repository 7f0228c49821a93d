/* A thread that goes on with other sizes does not keep the blocks of a size that it no longer uses:
 * the bin's blocks go back to their slab, and the slab's memory to the system. A thread that uses a
 * few blocks again and again, which may lie in as many slabs, does not keep them for ever either:
 * if they are in use at each tick, they go back soon after they are free. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"
#include "verify/clock.h"

#define BLOCKS 20
#define FEW    6 /* below the smallest limit of their bin */

/* Fills and empties bins, so that slow paths are taken. */
static void use_small_blocks(void) {
    static void *blocks[5000];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = hak_malloc(50);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
}

static void take(void **blocks, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++)
        blocks[i] = hak_malloc(size);
}

static void give(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++)
        hak_free(blocks[i]);
}

static void take_slow_paths(void) {
    for (int i = 0; i < 200; i++)
        hak_free(hak_malloc(test_opaque(100000)));
}

static void in_use_at_each_tick(size_t size) {
    void *blocks[FEW];
    const unsigned bin = hak_class_of_size(size);
    uint32_t left = 1;
    for (int round = 0; round < 10 && left > 0; round++) {
        take(blocks, FEW, size);
        hak_clock_passes(300); /* more than half of the purge delay */
        take_slow_paths();
        give(blocks, FEW);
        CHECK(hak_bin_count(hak_thread_heap(), bin) > 0,
              "the bin keeps nothing of what was just freed");
        take_slow_paths();
        left = hak_bin_count(hak_thread_heap(), bin);
    }
    CHECK(left == 0, "the bin keeps %u blocks that come and go", left);
}

static void nobody_uses(size_t size) {
    void *blocks[BLOCKS];
    const unsigned bin = hak_class_of_size(size);
    take(blocks, BLOCKS, size);
    give(blocks, BLOCKS);
    CHECK(hak_bin_count(hak_thread_heap(), bin) > 0, "the bin keeps nothing of %d blocks", BLOCKS);
    for (int tenth = 0; tenth < 100 && hak_bin_count(hak_thread_heap(), bin) > 0; tenth++) {
        hak_clock_passes(100);
        use_small_blocks();
    }
    CHECK(hak_bin_count(hak_thread_heap(), bin) == 0, "the bin keeps %u blocks for ten seconds",
          hak_bin_count(hak_thread_heap(), bin));
    CHECK(hak_thread_heap()->classes[bin].current == NULL, "the bin keeps its slab");
}

int main(void) {
    nobody_uses(test_opaque(1500));
    in_use_at_each_tick(test_opaque(100));
    return test_ok("an idle bin is empty");
}
