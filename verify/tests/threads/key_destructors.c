/* Destructors of thread-specific data run before and after the allocator's own destructor. They
 * free, allocate and resize in every round that pthreads gives them, and nothing is lost. */
#include "threads.h"

#include <limits.h>

enum { BEFORE = 4, AFTER = 4, KEYS = BEFORE + AFTER, THREADS = 300 };

static pthread_key_t keys[KEYS];
/* Blocks of the main thread, which the destructors free. */
static struct letter *foreign[THREADS][KEYS];
static _Atomic size_t destroyed;

struct state {
    size_t thread, key, rounds;
    struct letter *letter;
};

static void destroy(void *value) {
    struct state *state = value;
    letter_free(state->letter);
    if (foreign[state->thread][state->key] != NULL) {
        letter_free(foreign[state->thread][state->key]);
        foreign[state->thread][state->key] = NULL;
    }
    /* Asks for one more round, with a new block. */
    if (++state->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        uint64_t seed = state->thread * 100 + state->rounds;
        state->letter = letter_new(letter_size(&seed), seed);
        struct state *moved = realloc(state, sizeof *state * (state->rounds + 1));
        pthread_setspecific(keys[moved->key], moved);
        return;
    }
    free(state);
    destroyed++;
}

static void set(size_t thread, size_t key) {
    struct state *state = malloc(sizeof *state);
    *state = (struct state){thread, key, 0, letter_new(100 * (key + 1), key)};
    pthread_setspecific(keys[key], state);
}

static void *use_keys(void *argument) {
    for (size_t key = 0; key < KEYS; key++)
        set((size_t)argument, key);
    return NULL;
}

int main(void) {
    for (size_t i = 0; i < BEFORE; i++) /* keys from before this program's first malloc */
        CHECK(pthread_key_create(&keys[i], destroy) == 0, "key %zu", i);
    test_needs_hakmem();
    for (size_t i = BEFORE; i < KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0, "key %zu", i);
    size_t before = process_live_bytes();
    for (size_t i = 0; i < THREADS; i++)
        for (size_t key = 0; key < KEYS; key++)
            foreign[i][key] = letter_new(key % 2 == 0 ? 300 : 9000 * key, i);
    for (size_t i = 0; i < THREADS; i += 3) {
        pthread_t threads[3];
        for (size_t k = 0; k < 3; k++)
            threads[k] = thread_start(use_keys, (void *)(i + k));
        for (size_t k = 0; k < 3; k++)
            thread_join(threads[k]);
    }
    CHECK(destroyed == THREADS * KEYS, "%zu of %d values destroyed", (size_t)destroyed,
          THREADS * KEYS);
    while (process_threads() > 1) /* a joined thread may still be at its end */
        sched_yield();
    size_t after = process_live_bytes();
    CHECK(after < before + MIB / 4, "live bytes grow from %zu to %zu", before, after);
    return test_ok("%zu destructors in %d rounds each", (size_t)destroyed,
                   PTHREAD_DESTRUCTOR_ITERATIONS);
}
