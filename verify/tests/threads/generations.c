/* A thousand generations of threads. Each generation hands blocks to the next one, and some
 * blocks live through many generations. Heaps are used again, so after the first few generations
 * memory no longer grows. */
#include "threads.h"

enum { THREADS = 4, KEPT = 500 };

static struct letter *kept[THREADS][KEPT];

static void *generation(void *argument) {
    size_t mine = (size_t)argument % THREADS;
    uint64_t seed = (uint64_t)(size_t)argument;
    struct letter **slots = kept[mine];
    for (size_t i = 0; i < 300; i++) {
        struct letter **slot = &slots[test_random_below(&seed, KEPT)];
        if (*slot != NULL) letter_free(*slot);
        *slot = letter_new(letter_size(&seed), test_random(&seed));
    }
    return NULL;
}

/* Thread k of the next generation gets what thread k - 1 of this generation leaves. */
static void hand_over(void) {
    static struct letter *last[KEPT];
    memcpy(last, kept[THREADS - 1], sizeof last);
    memmove(kept[1], kept[0], sizeof kept[0] * (THREADS - 1));
    memcpy(kept[0], last, sizeof last);
}

int main(void) {
    test_needs_hakmem();
    size_t generations = test_quick() ? 200 : 1000, settled = 0;
    for (size_t now = 0; now < generations; now++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            threads[i] = thread_start(generation, (void *)(now * THREADS + i));
        for (size_t i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        hand_over();
        if (now == generations / 10) settled = process_resident();
    }
    size_t after = process_resident();
    CHECK(after < settled + settled / 2 + 16 * MIB, "resident memory grows from %zu to %zu MiB",
          settled / MIB, after / MIB);
    for (size_t i = 0; i < THREADS * KEPT; i++)
        if (kept[i / KEPT][i % KEPT] != NULL) letter_free(kept[i / KEPT][i % KEPT]);
    return test_ok("%zu generations", generations);
}
