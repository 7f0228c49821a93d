/* A thread that frees its own blocks gives them back while they are in its caches: what it keeps is bounded more tightly than
 * what a thread gathers for others. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/heap.h"

#define BLOCKS 40000

static void *blocks[BLOCKS];
static unsigned bin;
static uint32_t cap_after;

static void *free_all(void *unused) {
    for (size_t i = 0; i < BLOCKS; i++)
        hak_free(blocks[i]);
    cap_after = hak_thread_heap()->classes[bin].cap;
    return unused;
}

static void allocate_all(size_t size) {
    for (size_t i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = hak_malloc(size)) != NULL, "no block");
}

int main(void) {
    const size_t size = test_opaque(64);
    bin = hak_bin_of_size(size);
    const struct hak_bin_policy *bounds = &hak_policy()->bins[bin];
    CHECK(bounds->cap_own < bounds->cap_max / 2, "caps of %u and %u blocks", bounds->cap_own,
          bounds->cap_max);
    for (int round = 0; round < 3; round++) {
        allocate_all(size);
        free_all(NULL);
        /* a refill makes room for twice what it brought, at most a slab's */
        CHECK(cap_after <= bounds->cap_max / 2, "own blocks raised the cap to %u", cap_after);
    }
    pthread_t thread;
    allocate_all(size);
    CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
    CHECK(cap_after == bounds->cap_max, "%d blocks of another's raised the cap to %u of %u", BLOCKS,
          cap_after, bounds->cap_max);
    return test_ok("%u blocks of another's", cap_after);
}
