/* A program makes many thread keys before its first malloc. For keys beyond the 32nd pthreads
 * itself allocates, also in the middle of the allocator's work on its own key. */
#include "threads.h"

enum { KEYS = 200, THREADS = 20 };

static pthread_key_t keys[KEYS];
static _Atomic size_t destroyed;

static void destroy(void *value) {
    letter_free(value);
    destroyed++;
}

__attribute__((constructor(101))) static void before_main(void) {
    for (size_t i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0, "key %zu", i);
}

static void *use(void *argument) {
    for (size_t i = 0; i < KEYS; i++)
        CHECK(pthread_setspecific(keys[i], letter_new(50 * i, i)) == 0, "value %zu", i);
    return argument;
}

int main(void) {
    test_needs_hakmem();
    thread_run(use, NULL);
    size_t before = process_live_bytes();
    for (size_t i = 1; i < THREADS; i++)
        thread_run(use, NULL);
    CHECK(destroyed == KEYS * THREADS, "%zu of %d values destroyed", (size_t)destroyed,
          KEYS * THREADS);
    CHECK(process_live_bytes() < before + MIB / 4, "live bytes grow from %zu to %zu", before,
          process_live_bytes());
    return test_ok("%zu values destroyed", (size_t)destroyed);
}
