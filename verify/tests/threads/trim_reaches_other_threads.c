/* malloc_trim is a wish that every thread follows at its next slow path, once: what it holds free goes back to the
 * system. Run with an endless purge delay, so that nothing goes back by itself. */
#include "threads.h"

enum { BLOCKS = 48000, KEPT_EVERY = 1500 }; /* of 1000 bytes; each SuperSlab keeps a live one */

static pthread_barrier_t step;

static void *hold_free_memory(void *unused) {
    void **blocks = process_map(BLOCKS * sizeof *blocks);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            if (blocks[i] == NULL) blocks[i] = malloc(1000);
            CHECK(blocks[i] != NULL, "block %zu", i);
            memset(blocks[i], 1, 1000);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            if (i % KEPT_EVERY != 0) free(blocks[i]), blocks[i] = NULL;
        pthread_barrier_wait(&step); /* all is free now */
        pthread_barrier_wait(&step); /* there was a trim, or there was none */
        process_murmur();
        pthread_barrier_wait(&step);
    }
    for (size_t i = 0; i < BLOCKS; i += KEPT_EVERY)
        free(blocks[i]);
    munmap(blocks, BLOCKS * sizeof *blocks);
    return unused;
}

int main(void) {
    test_needs_hakmem();
    CHECK(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    process_murmur();
    pthread_t thread = thread_start(hold_free_memory, NULL);
    for (int round = 0; round < 2; round++) {
        bool trims = round == 0;
        pthread_barrier_wait(&step);
        if (trims) malloc_trim(0);
        size_t before = process_resident();
        pthread_barrier_wait(&step);
        pthread_barrier_wait(&step);
        size_t after = process_resident();
        CHECK((after + 24 * MIB < before) == trims, "%zu MiB are resident, then %zu, %s a trim", before / MIB,
              after / MIB, trims ? "after" : "without");
    }
    thread_join(thread);
    return test_ok("one trim, followed once");
}
