/* With HAKMEM_TINY_P0_NO_DRAIN=1, blocks that other threads freed are collected late, but before
 * the heap gets another SuperSlab. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/stats.h"

#define BLOCKS 20000

static void *blocks[BLOCKS];

static void *free_all(void *unused) {
    for (size_t i = 0; i < BLOCKS; i++)
        hak_free(blocks[i]);
    return unused;
}

int main(void) {
    struct hak_stats stats;
    CHECK(getenv("HAKMEM_TINY_P0_NO_DRAIN") != NULL, "the option is not set");
    for (int round = 0; round < 50; round++) {
        pthread_t thread;
        for (size_t i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = hak_malloc(64)) != NULL, "no block");
        CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0 && pthread_join(thread, NULL) == 0,
              "thread");
    }
    hak_stats_read(&stats);
    CHECK(stats.superslabs <= 8, "%zu SuperSlabs for %d blocks", stats.superslabs, BLOCKS);
    return test_ok("%zu SuperSlabs", stats.superslabs);
}
