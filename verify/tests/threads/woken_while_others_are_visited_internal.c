/* A thread that wakes up while heaps are seized waits for its own heap, and not until all are visited. */
#define TEST_LINKED
#include "threads.h"

#include <semaphore.h>

#include "core/seize.h"

enum { SLEEPERS = 3 };

static struct sleeper {
    struct hak_thread *thread;
    sem_t wakes, ends;
} sleepers[SLEEPERS];
static _Atomic int asleep, done;
static int visits;

static void allocate(void) {
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = hak_malloc(100);
    for (int i = 0; i < 100; i++)
        hak_free(blocks[i]);
}

static void *sleeper_main(void *argument) {
    struct sleeper *sleeper = argument;
    allocate();
    sleeper->thread = &HAK_THREAD;
    atomic_fetch_add(&asleep, 1); /* from here on it is outside of the allocator */
    sem_wait(&sleeper->wakes);
    allocate();
    atomic_fetch_add(&done, 1);
    sem_wait(&sleeper->ends);
    return NULL;
}

static bool all_wait(void) {
    for (int i = 0; i < SLEEPERS; i++)
        if (atomic_load(&sleepers[i].thread->slow) == 0) return false;
    return true;
}

/* The first visit wakes them all; each further one stays until those that were visited have done their work. */
static void visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    int before = visits++, tries = 0;
    if (before == 0)
        for (int i = 0; i < SLEEPERS; i++)
            sem_post(&sleepers[i].wakes);
    while (before == 0 ? !all_wait() : atomic_load(&done) < before) {
        CHECK(++tries < 600000, "visit %d: %d of the sleepers go on", before, atomic_load(&done));
        usleep(1000);
    }
    CHECK(hak_seize_is_awaited(heap), "nobody waits for heap %d", before);
}

int main(void) {
    pthread_t threads[SLEEPERS];
    hak_free(hak_malloc(1));
    for (int i = 0; i < SLEEPERS; i++) {
        sem_init(&sleepers[i].wakes, 0, 0);
        sem_init(&sleepers[i].ends, 0, 0);
        threads[i] = thread_start(sleeper_main, &sleepers[i]);
    }
    while (atomic_load(&asleep) < SLEEPERS)
        usleep(1000);
    hak_seize_each(true, 0, 0, visit, NULL);
    CHECK(visits == SLEEPERS, "%d visits", visits);
    for (int i = 0; i < SLEEPERS; i++)
        sem_post(&sleepers[i].ends);
    for (int i = 0; i < SLEEPERS; i++)
        thread_join(threads[i]);
    return test_ok("%d visits, each thread waits for its own", visits);
}
