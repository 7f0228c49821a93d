/* A thread that has worked since the last look keeps its heap, even if the heap holds as much as
 * it did then. A thread that has not worked is visited. Run with an endless purge delay, so that
 * no other look happens. */
#define TEST_LINKED
#include "threads.h"

#include <semaphore.h>

#include "core/seize.h"

enum { BLOCKS = 8000, ROUNDS = 20 };

static sem_t wanted, done;
static _Atomic bool ends;
static int visits;

static void *worker(void *unused) {
    static void *blocks[BLOCKS];
    for (;;) {
        sem_wait(&wanted);
        if (atomic_load(&ends)) return unused;
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = hak_malloc(100);
        for (int i = 0; i < BLOCKS; i++)
            hak_free(blocks[i]);
        sem_post(&done);
    }
}

static void work(void) {
    sem_post(&wanted);
    sem_wait(&done);
}

static bool visit(struct hak_heap *heap, void *unused) {
    (void)heap;
    (void)unused;
    visits++;
    return false;
}

int main(void) {
    uint32_t now = hak_os_now_ms();
    hak_free(hak_malloc(1));
    sem_init(&wanted, 0, 0);
    sem_init(&done, 0, 0);
    pthread_t thread = thread_start(worker, NULL);
    work();
    hak_seize_each(now += 1000, 500, visit, NULL, NULL);
    visits = 0;
    for (int round = 0; round < ROUNDS; round++) {
        work();
        hak_seize_each(now += 1000, 500, visit, NULL, NULL);
        CHECK(visits == 0, "in round %d the thread that works is visited", round);
    }
    hak_seize_each(now += 1000, 500, visit, NULL, NULL);
    CHECK(visits == 1, "%d visits of a thread that sleeps", visits);
    atomic_store(&ends, true);
    sem_post(&wanted);
    thread_join(thread);
    return test_ok("%d rounds of work", ROUNDS);
}
