/* While a trim visits one abandoned heap, the others stay abandoned: a thread that begins takes
 * one of them, and no heap is made. */
#define TEST_LINKED
#include "threads.h"

#include "core/enter.h"
#include "core/retire.h"

enum { IDLE = 6 };

static pthread_barrier_t all_have_heaps;
static int visits;

static void *allocate(void *first) {
    void *block = hak_malloc(5000);
    /* After the barrier each thread has a heap of its own, which owns memory. */
    if (first != NULL) pthread_barrier_wait(&all_have_heaps);
    if (first == NULL) hak_free(block);
    return NULL;
}

static void count_heap(struct hak_heap *heap, void *count) {
    (void)heap;
    ++*(size_t *)count;
}

static size_t heaps(void) {
    size_t count = 0;
    hak_heap_each(count_heap, &count);
    return count;
}

static void visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    CHECK(heap->state == HAK_HEAP_HELD, "state %d", heap->state);
    visits++;
    thread_run(allocate, NULL);
}

int main(void) {
    pthread_t threads[IDLE];
    hak_free(hak_malloc(1));
    pthread_barrier_init(&all_have_heaps, NULL, IDLE);
    for (int i = 0; i < IDLE; i++)
        threads[i] = thread_start(allocate, &all_have_heaps);
    for (int i = 0; i < IDLE; i++)
        thread_join(threads[i]);
    size_t before = heaps();
    hak_slow_enter(0);
    hak_heap_each_abandoned(visit, NULL);
    hak_slow_leave();
    CHECK(visits >= IDLE, "%d visits", visits);
    CHECK(heaps() == before, "%zu heaps, and %zu before", heaps(), before);
    return test_ok("%d visits, %zu heaps", visits, before);
}
