/* A thread that lives long allocates in bursts, while short threads come and go. The heaps of
 * threads that have ended are used again, and SuperSlabs without live blocks do not stay in the
 * heaps. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/stats.h"

#define BLOCKS 65536

static void *nothing(void *unused) {
    hak_free(hak_malloc(100));
    return unused;
}

int main(void) {
    static void *blocks[BLOCKS];
    int rounds = test_quick() ? 100 : 400;
    for (int round = 0; round < rounds; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0,
              "thread");
        for (size_t i = 0; i < BLOCKS; i++)
            blocks[i] = hak_malloc(100);
        for (size_t i = 0; i < BLOCKS; i++)
            hak_free(blocks[i]);
    }
    struct hak_stats stats;
    hak_stats_read(&stats);
    CHECK(stats.heaps <= 8, "%zu heaps for two threads at a time", stats.heaps);
    CHECK(stats.superslab_bytes <= (size_t)64 << 20, "%zu bytes of SuperSlabs with nothing live",
          stats.superslab_bytes);
    return test_ok("%d rounds, %zu heaps, %zu SuperSlabs", rounds, stats.heaps, stats.superslabs);
}
