/* Thousands of short threads, one after the other and in batches: heaps are used again, and do
 * not pile up. */
#include "threads.h"

enum { BATCH = 50 };

static void *live_shortly(void *argument) {
    struct letter *letters[40];
    uint64_t seed = (uint64_t)(size_t)argument;
    for (size_t i = 0; i < TEST_COUNT(letters); i++)
        letters[i] = letter_new(letter_size(&seed), seed);
    for (size_t i = 0; i < TEST_COUNT(letters); i++)
        letter_free(letters[i]);
    return NULL;
}

static void in_batches(size_t count) {
    for (size_t i = 0; i < count; i += BATCH) {
        pthread_t threads[BATCH];
        for (size_t k = 0; k < BATCH; k++)
            threads[k] = thread_start(live_shortly, (void *)(i + k));
        for (size_t k = 0; k < BATCH; k++)
            thread_join(threads[k]);
    }
}

int main(void) {
    test_needs_hakmem();
    size_t count = test_quick() ? 1000 : 5000;
    in_batches(4 * BATCH);
    size_t before = process_resident(), mappings = process_mappings();
    for (size_t i = 0; i < count; i++)
        thread_run(live_shortly, (void *)i);
    in_batches(count);
    size_t after = process_resident();
    CHECK(after < before + 32 * MIB, "resident memory grows from %zu to %zu MiB", before / MIB,
          after / MIB);
    CHECK(process_mappings() < mappings + 100, "mappings grow from %zu to %zu", mappings,
          process_mappings());
    return test_ok("%zu threads", 2 * count);
}
