/* A thread that goes on with other sizes does not keep the blocks of those that it no longer uses: the bin's blocks go back
 * to their slab, and the slab's memory to the system. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"

#define BLOCKS 20

/* Fills and empties bins, so that slow paths are taken. */
static void use_small_blocks(void) {
    static void *blocks[5000];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = hak_malloc(50);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
}

int main(void) {
    void *blocks[BLOCKS];
    const size_t size = test_opaque(1500);
    unsigned bin = hak_bin_of_size(size);
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = hak_malloc(size);
    for (size_t i = 0; i < BLOCKS; i++)
        hak_free(blocks[i]);
    CHECK(hak_bin_count(hak_thread_heap(), bin) > 0, "the bin keeps nothing of %d blocks", BLOCKS);
    for (int tenth = 0; tenth < 100 && hak_bin_count(hak_thread_heap(), bin) > 0; tenth++) {
        usleep(100000);
        use_small_blocks();
    }
    CHECK(hak_bin_count(hak_thread_heap(), bin) == 0, "the bin keeps %u blocks for ten seconds",
          hak_bin_count(hak_thread_heap(), bin));
    CHECK(hak_thread_heap()->classes[bin].current == NULL, "the bin keeps its slab");
    return test_ok("an idle bin is empty");
}
