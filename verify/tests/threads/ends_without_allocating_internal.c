/* Threads that never allocate, and free something after their destructors have run: there libc
 * frees what it had for stacks that it no longer caches. Such a free begins no heap. Nobody would
 * end this heap: it would be lost, and would refer to a thread that is gone. */
#define TEST_LINKED
#include "../process.h"

#include <pthread.h>
#include <time.h>

#include "core/stats.h"

#define THREADS 32
#define STACK   ((size_t)8 << 20) /* libc caches 40 MiB of stacks */

static pthread_barrier_t all_are_there;
static _Atomic unsigned ending;

static void *end_at_once(void *unused) {
    pthread_barrier_wait(&all_are_there);
    atomic_fetch_sub(&ending, 1);
    return unused;
}

static void threads_live(void) {
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK);
    pthread_barrier_init(&all_are_there, NULL, THREADS);
    atomic_store(&ending, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread, &detached, end_at_once, NULL) == 0, "thread %d", i);
    while (atomic_load(&ending) != 0 || process_threads() > 1)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    pthread_barrier_destroy(&all_are_there);
    pthread_attr_destroy(&detached);
}

int main(void) {
    struct hak_stats stats;
    hak_free(hak_malloc(1));
    for (int round = 0; round < 20; round++) {
        threads_live();
        hak_malloc_trim(0); /* a trim looks at the thread of each heap */
    }
    hak_stats_read(&stats);
    CHECK(stats.heaps <= 2, "%zu heaps, and one thread allocates", stats.heaps);
    return test_ok("%d threads, %zu heaps", 20 * THREADS, stats.heaps);
}
