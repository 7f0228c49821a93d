/* A thousand threads are alive at once, each with blocks of every tier. No block is refused, and
 * contents stay. When the threads have ended, their memory serves the next thousand. */
#include "threads.h"

enum { MOST = 1000 };

static pthread_barrier_t all_are_there;

static void *take_part(void *argument) {
    static const size_t sizes[] = {20, 300, 2000, 9000, 60000};
    struct letter *letters[TEST_COUNT(sizes)];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        letters[i] = letter_new(sizes[i], (size_t)argument);
    pthread_barrier_wait(&all_are_there);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        letter_free(letters[i]);
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    size_t threads = test_quick() ? 300 : MOST, resident = 0;
    static pthread_t started[MOST];
    pthread_attr_t small_stack;
    pthread_attr_init(&small_stack);
    pthread_attr_setstacksize(&small_stack, 128 << 10);
    pthread_barrier_init(&all_are_there, NULL, (unsigned)threads);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < threads; i++)
            CHECK(pthread_create(&started[i], &small_stack, take_part, (void *)i) == 0,
                  "thread %zu", i);
        for (size_t i = 0; i < threads; i++)
            thread_join(started[i]);
        /* The first round taught the cache how much is asked for again. */
        if (round == 1) resident = process_resident();
    }
    CHECK(process_resident() < resident + resident / 4 + 16 * MIB,
          "resident memory grows from %zu to %zu MiB", resident / MIB, process_resident() / MIB);
    return test_ok("%zu threads at once", threads);
}
