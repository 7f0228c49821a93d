/* Under a limit on address space or data, eight threads take small and large blocks until there are
 * none, free half of them, and go on. Live blocks stay intact, and all threads can use memory that
 * one thread has freed. */
#include "../process.h"
#include "chain.h"

#include <pthread.h>

enum { THREADS = 8, REFUSALS = 100 };

static pthread_barrier_t together;
static _Atomic size_t freed, taken_again;

static size_t next_size(uint64_t *seed) {
    size_t dice = test_random_below(seed, 100);
    if (dice < 60) return CHAIN_LEAST + test_random_below(seed, 1000);
    if (dice < 80) return 1000 + test_random_below(seed, 7000);
    if (dice < 95) return 8000 + test_random_below(seed, 45000);
    return 53000 + test_random_below(seed, 1000000);
}

/* Takes blocks until malloc has failed REFUSALS times; returns their number. */
static size_t take(struct link **chain, uint64_t *seed) {
    size_t taken = 0;
    for (size_t refusals = 0; refusals < REFUSALS;) {
        size_t size = next_size(seed);
        errno = 0;
        void *block = malloc(size);
        if (block == NULL) {
            CHECK(errno == ENOMEM, "malloc(%zu) fails with errno %d", size, errno);
            refusals++;
            continue;
        }
        chain_push(chain, block, size);
        CHECK(++taken < (size_t)1 << 24, "%zu blocks: the run needs a limit", taken);
    }
    return taken;
}

static void *work(void *argument) {
    uint64_t seed = (uint64_t)(size_t)argument;
    struct link *chain = NULL;
    pthread_barrier_wait(&together);
    size_t count = take(&chain, &seed);
    pthread_barrier_wait(&together);
    CHECK(chain_check(chain) == count, "some of %zu blocks are lost", count);
    chain_free(&chain, count / 2);
    freed += count / 2;
    pthread_barrier_wait(&together); /* every thread has freed its half */
    taken_again += take(&chain, &seed);
    chain_check(chain);
    chain_free(&chain, SIZE_MAX);
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    pthread_t threads[THREADS];
    pthread_attr_t small_stack;
    pthread_attr_init(&small_stack);
    pthread_attr_setstacksize(&small_stack, 256 << 10);
    pthread_barrier_init(&together, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], &small_stack, work, (void *)i) == 0, "thread %zu", i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(freed > 1000 && taken_again > freed / 2, "%zu blocks freed, then only %zu taken",
          (size_t)freed, (size_t)taken_again);
    void *block = malloc(32 * MIB);
    CHECK(block != NULL, "32 MiB are not free after all threads have ended");
    free(block);
    return test_ok("%zu blocks freed, %zu taken again", (size_t)freed, (size_t)taken_again);
}
