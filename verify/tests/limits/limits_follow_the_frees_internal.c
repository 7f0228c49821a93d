/* A thread that frees its own blocks gives them back while the processor's caches still hold them:
 * the limit of the bin stays lower than with blocks that go home to other heaps, also after the
 * thread has freed such blocks. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/heap.h"

#define BLOCKS 40000

static void *blocks[BLOCKS];
static size_t block_count;
static unsigned bin;

static uint32_t cap(void) {
    return hak_thread_heap()->classes[bin].limit;
}

static void *allocate_all(void *size) {
    for (size_t i = 0; i < block_count; i++)
        CHECK((blocks[i] = hak_malloc(*(size_t *)size)) != NULL, "no block");
    return NULL;
}

static void free_all(void) {
    for (size_t i = 0; i < block_count; i++)
        hak_free(blocks[i]);
}

static void own(size_t size) {
    const struct hak_bin_bounds *bounds = &hak_policy()->bins[bin];
    for (int round = 0; round < 3; round++) {
        allocate_all(&size);
        free_all();
        CHECK(cap() <= bounds->limit_own, "own blocks of %zu raised the cap to %u of %u", size,
              cap(), bounds->limit_own);
    }
}

static void others(size_t size) {
    const struct hak_bin_bounds *bounds = &hak_policy()->bins[bin];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, allocate_all, &size) == 0, "no thread");
    pthread_join(thread, NULL);
    free_all();
    CHECK(cap() == bounds->limit_max, "another's blocks of %zu raised the cap to %u of %u", size,
          cap(), bounds->limit_max);
}

int main(void) {
    static const size_t sizes[] = {64, 4096};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        const size_t size = test_opaque(sizes[i]);
        block_count = BLOCKS * sizes[0] / size;
        bin = hak_class_of_size(size);
        CHECK(hak_policy()->bins[bin].limit_own * 3 <= hak_policy()->bins[bin].limit_max * 2,
              "size %zu", size);
        own(size);
        others(size);
        own(size);
    }
    return test_ok("lists of own blocks are short");
}
