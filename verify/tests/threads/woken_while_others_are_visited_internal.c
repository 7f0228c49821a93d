/* A thread that wakes up while the heap of another thread is visited goes on. A thread waits only
 * while its own heap is visited. */
#define TEST_LINKED
#include "threads.h"

#include <semaphore.h>

#include "core/announced.h"
#include "core/seize.h"

enum { SLEEPERS = 3 };

static struct sleeper { sem_t wakes, ends; } sleepers[SLEEPERS];
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
    atomic_fetch_add(&asleep, 1); /* the thread is outside of the allocator from here on */
    sem_wait(&sleeper->wakes);
    allocate();
    atomic_fetch_add(&done, 1);
    sem_wait(&sleeper->ends);
    return NULL;
}

/* The first visit wakes all sleepers: all but the one whose heap is visited do their work. */
static bool visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    bool first = visits++ == 0;
    for (int i = 0; first && i < SLEEPERS; i++)
        sem_post(&sleepers[i].wakes);
    for (int tries = 0; first && atomic_load(&done) < SLEEPERS - 1; tries++) {
        CHECK(tries < 600000, "%d of the sleepers go on", atomic_load(&done));
        usleep(1000);
    }
    for (int tries = 0; first && !hak_seize_is_awaited(heap); tries++) {
        CHECK(tries < 600000, "nobody waits for the first heap");
        usleep(1000);
    }
    CHECK(!first || atomic_load(&done) == SLEEPERS - 1, "the thread of the first heap goes on");
    return false;
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
    hak_seize_each(0, 0, visit, NULL, NULL);
    CHECK(visits == SLEEPERS, "%d visits", visits);
    for (int i = 0; i < SLEEPERS; i++)
        sem_post(&sleepers[i].ends);
    for (int i = 0; i < SLEEPERS; i++)
        thread_join(threads[i]);
    return test_ok("%d visits, a thread waits for its own", visits);
}
