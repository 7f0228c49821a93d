/* Blocks are freed in such an order that a flush meets more slabs than it has places for chains. So
 * most chains end in the middle of the walk. Blocks of this thread and of another thread are mixed.
 * In the end their slabs are empty, and their SuperSlabs are given up. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/flush.h"
#include "core/heap.h"

#define BLOCKS   24000 /* half of them are another thread's; 12 MiB in each half */
#define SIZE     1000
#define PLACES   64   /* chains in a flush */
#define GRANULES 4096 /* all blocks lie in so many granules */

static uint64_t *blocks[BLOCKS];

static void allocate(size_t from, size_t until) {
    for (size_t i = from; i < until; i++) {
        blocks[i] = hak_malloc(SIZE);
        CHECK(blocks[i] != NULL, "no block");
        blocks[i][0] = blocks[i][SIZE / sizeof **blocks - 1] = i;
    }
}

static void *allocate_second_half(void *unused) {
    allocate(BLOCKS / 2, BLOCKS);
    return unused;
}

static uint32_t granule(const uint64_t *block) {
    return hak_granule_of((const char *)block - 1);
}

/* Orders blocks by their position in the slab: between two blocks of a slab comes one block of each
 * other slab. Neighbours belong to several heaps. */
static int by_position(const void *left, const void *right) {
    const uint64_t *a = *(uint64_t *const *)left, *b = *(uint64_t *const *)right;
    uint64_t of_a[] = {(uintptr_t)a % HAK_GRANULE, granule(a) % 8, granule(a)};
    uint64_t of_b[] = {(uintptr_t)b % HAK_GRANULE, granule(b) % 8, granule(b)};
    for (size_t i = 0; i < TEST_COUNT(of_a); i++)
        if (of_a[i] != of_b[i]) return of_a[i] < of_b[i] ? -1 : 1;
    return 0;
}

/* The number of blocks before which at least 2 * PLACES blocks of other slabs come, so that no
 * chain of their own slab is open. */
static size_t apart(void) {
    static size_t last[GRANULES]; /* index + 1 */
    memset(last, 0, sizeof last);
    size_t count = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        uint32_t place = granule(blocks[i]) % GRANULES;
        count += i >= last[place] + 2 * PLACES;
        last[place] = i + 1;
    }
    return count;
}

int main(void) {
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, allocate_second_half, NULL) == 0, "no thread");
        allocate(0, BLOCKS / 2);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < BLOCKS; i++)
            CHECK(blocks[i][0] == i && blocks[i][SIZE / sizeof **blocks - 1] == i,
                  "block %zu is another", i);
        qsort(blocks, BLOCKS, sizeof *blocks, by_position);
        CHECK(apart() > BLOCKS * 9 / 10,
              "only %zu of %d blocks are far from the last one of their slab", apart(), BLOCKS);
        for (size_t i = 0; i < BLOCKS; i++)
            hak_free(blocks[i]);
        hak_flush_all(hak_thread_heap());
    }
    return test_ok("%d blocks in runs that collide", BLOCKS);
}
