/* Threads do not keep memory that they no longer use. Each thread allocates a burst of blocks and
 * goes to sleep. If the thread frees the burst first, the resident size falls while the thread
 * sleeps. If another thread frees the burst meanwhile, the size falls once the thread goes on. */
#include "threads.h"

#include <semaphore.h>

enum { THREADS = 4 };
static const size_t burst_bytes = 32 * MIB;

static sem_t burst_is_over, may_wake;
static _Atomic bool may_end;
static size_t size_now;
static bool freed_by_owner;
static unsigned char **blocks[THREADS];

static void free_burst(size_t owner) {
    for (size_t i = 0; i < burst_bytes / size_now; i++)
        free(blocks[owner][i]);
}

static void *burst_then_sleep(void *argument) {
    size_t mine = (size_t)argument;
    for (size_t i = 0; i < burst_bytes / size_now; i++) {
        blocks[mine][i] = malloc(size_now);
        CHECK(blocks[mine][i] != NULL, "block %zu of %zu bytes", i, size_now);
        memset(blocks[mine][i], 1, size_now);
    }
    if (freed_by_owner) free_burst(mine);
    sem_post(&burst_is_over);
    sem_wait(&may_wake);
    while (!may_end) {
        process_work_a_little();
        usleep(50000);
    }
    return NULL;
}

static void run(size_t size, bool by_owner) {
    size_now = size;
    freed_by_owner = by_owner;
    may_end = false;
    size_t table = burst_bytes / size * sizeof *blocks[0];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        blocks[i] = process_map(table);
    process_work_a_little();
    size_t before = process_resident();
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(burst_then_sleep, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        sem_wait(&burst_is_over);
    for (size_t i = 0; i < THREADS && !by_owner; i++)
        free_burst(i);
    for (size_t i = 0; i < THREADS && !by_owner; i++)
        sem_post(&may_wake);
    for (size_t i = 0; i < THREADS; i++)
        munmap(blocks[i], table);
    size_t after = process_resident_falls_below(before + 24 * MIB);
    CHECK(after < before + 24 * MIB,
          "%zu-byte blocks, freed by %s: a minute later %zu MiB are resident, %zu before", size,
          by_owner ? "their owners" : "another thread", after / MIB, before / MIB);
    may_end = true;
    for (size_t i = 0; i < THREADS && by_owner; i++)
        sem_post(&may_wake);
    for (size_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {64, 1000, 6000, 30000, 200000};
    sem_init(&burst_is_over, 0, 0);
    sem_init(&may_wake, 0, 0);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        run(sizes[i], true);
        run(sizes[i], false);
    }
    return test_ok("%d idle threads gave back %zu bursts", THREADS, 2 * TEST_COUNT(sizes));
}
