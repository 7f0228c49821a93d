/* Thousands of threads with a block each cost little more than their stacks.
 *
 * usage: idle_threads_are_small THREADS */
#include "../process.h"

#include <pthread.h>

#define KIB_MOST 16u /* for each thread */

static pthread_barrier_t begun, allocated, over;

static void *idle(void *unused) {
    (void)unused;
    pthread_barrier_wait(&begun);
    void *block = malloc(100);
    memset(block, 1, 100);
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&over);
    free(block);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: idle_threads_are_small THREADS");
    const unsigned count = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_t *threads = calloc(count, sizeof *threads);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&begun, NULL, count + 1);
    pthread_barrier_init(&allocated, NULL, count + 1);
    pthread_barrier_init(&over, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], &attributes, idle, NULL) == 0, "thread %u does not start",
              i);
    /* Some threads have not reached the barrier yet: their stacks count as HAKMEM's memory. */
    size_t before = process_resident();
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&allocated);
    size_t each = (process_resident() - before) / count;
    pthread_barrier_wait(&over);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    CHECK(each <= KIB_MOST << 10, "%zu KiB a thread", each >> 10);
    return test_ok("%u threads, %zu bytes each", count, each);
}
