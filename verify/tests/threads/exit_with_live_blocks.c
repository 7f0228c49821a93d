/* Threads end while blocks of theirs are live: the contents stay, other threads and the main
 * thread free the blocks later, and the count of live bytes falls to where it was. */
#include "threads.h"

enum { THREADS = 16, BLOCKS = 2000 };

static struct letter *letters[THREADS][BLOCKS];

static void *leave(void *argument) {
    size_t mine = (size_t)argument;
    uint64_t seed = mine;
    for (size_t i = 0; i < BLOCKS; i++)
        letters[mine][i] = letter_new(letter_size(&seed), mine * BLOCKS + i);
    /* Holes: slabs are partly free when the thread ends. */
    for (size_t i = 0; i < BLOCKS; i += 3) {
        letter_free(letters[mine][i]);
        letters[mine][i] = NULL;
    }
    return NULL;
}

static void *release(void *argument) {
    size_t theirs = (size_t)argument;
    for (size_t i = 0; i < BLOCKS; i++)
        if (letters[theirs][i] != NULL) letter_free(letters[theirs][i]);
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    size_t rounds = test_quick() ? 2 : 10;
    thread_run(leave, 0); /* what the first thread allocates for good is in `before` */
    release(0);
    size_t before = process_live_bytes();
    for (size_t round = 0; round < rounds; round++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            threads[i] = thread_start(leave, (void *)i);
        for (size_t i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        for (size_t i = 0; i < THREADS; i++)
            i % 2 == 0 ? thread_run(release, (void *)i) : (void)release((void *)i);
        size_t after = process_live_bytes();
        CHECK(after < before + MIB, "round %zu: live bytes grow from %zu to %zu", round, before,
              after);
    }
    return test_ok("%zu blocks outlived their threads", rounds * THREADS * BLOCKS * 2 / 3);
}
