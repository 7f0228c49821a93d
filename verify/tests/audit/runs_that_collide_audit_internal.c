/* Blocks freed in such an order that, at the flush, each block's run takes the place of the last one's, which ends in the middle
 * of the walk; the thread's own and another's in turn, until their slabs are empty and their SuperSlabs given up. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/heap.h"
#include "core/refill.h"

#define BLOCKS 24000 /* half of them another thread's; 12 MiB each */
#define SIZE   1000
#define PLACES 64 /* of runs in a flush; slabs so many granules apart have the same one */

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

/* By place, then by position in the slab, then by slab: neighbours have one place and lie in different slabs. */
static int by_place(const void *left, const void *right) {
    const uint64_t *a = *(uint64_t *const *)left, *b = *(uint64_t *const *)right;
    uint64_t of_a[] = {granule(a) % PLACES, (uintptr_t)a % HAK_GRANULE, granule(a)};
    uint64_t of_b[] = {granule(b) % PLACES, (uintptr_t)b % HAK_GRANULE, granule(b)};
    for (size_t i = 0; i < TEST_COUNT(of_a); i++)
        if (of_a[i] != of_b[i]) return of_a[i] < of_b[i] ? -1 : 1;
    return 0;
}

int main(void) {
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, allocate_second_half, NULL) == 0, "no thread");
        allocate(0, BLOCKS / 2);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < BLOCKS; i++)
            CHECK(blocks[i][0] == i && blocks[i][SIZE / sizeof **blocks - 1] == i, "block %zu is another", i);
        qsort(blocks, BLOCKS, sizeof *blocks, by_place);
        size_t collide = 0;
        for (size_t i = 1; i < BLOCKS; i++)
            collide += granule(blocks[i]) != granule(blocks[i - 1]) &&
                       granule(blocks[i]) % PLACES == granule(blocks[i - 1]) % PLACES;
        CHECK(collide > BLOCKS / 2, "only %zu of %d blocks collide", collide, BLOCKS);
        for (size_t i = 0; i < BLOCKS; i++)
            hak_free(blocks[i]);
        hak_flush_all(hak_thread_heap());
    }
    return test_ok("%d blocks in runs that collide", BLOCKS);
}
