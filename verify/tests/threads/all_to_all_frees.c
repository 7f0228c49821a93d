/* Each thread frees the blocks of all others: the threads exchange blocks at random places of one
 * table. Contents stay, and at the end no block is live. */
#include "threads.h"

enum { THREADS = 8, CELLS = 4096 };

static struct letter *_Atomic cells[CELLS];
static size_t exchanges;

static void *exchange(void *argument) {
    uint64_t seed = (uint64_t)(size_t)argument << 32;
    for (size_t i = 0; i < exchanges; i++) {
        struct letter *mine =
            i % 16 == 0 ? NULL : letter_new(letter_size(&seed), test_random(&seed));
        struct letter *theirs = atomic_exchange(&cells[test_random_below(&seed, CELLS)], mine);
        if (theirs != NULL && i % 8 == 0) theirs = letter_resize(theirs, letter_size(&seed));
        if (theirs != NULL) letter_free(theirs);
    }
    return NULL;
}

static void run(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(exchange, (void *)(i + 1));
    for (size_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (size_t i = 0; i < CELLS; i++) {
        struct letter *left = atomic_exchange(&cells[i], NULL);
        if (left != NULL) letter_free(left);
    }
}

int main(void) {
    test_needs_hakmem();
    exchanges = test_quick() ? 15000 : 120000;
    size_t before = process_live_bytes();
    run();
    size_t once = process_live_bytes(), resident = process_resident();
    CHECK(once < before + MIB, "live bytes grow from %zu to %zu", before, once);
    run();
    run();
    size_t after = process_resident();
    CHECK(after < resident + resident / 2 + 32 * MIB, "resident memory grows from %zu to %zu MiB",
          resident / MIB, after / MIB);
    return test_ok("%zu exchanges", 3 * THREADS * exchanges);
}
