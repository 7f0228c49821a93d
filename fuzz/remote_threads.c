#include "fuzz/remote_threads.h"

#include <pthread.h>
#include <string.h>

#ifdef FUZZ_REAL_THREADS

#define ROUNDS 100u /* of the same operations: a few of them are over before all threads have begun */

static struct {
    const uint8_t *ops;
    size_t count;
    void (*run)(const struct fuzz_op *op);
    pthread_barrier_t together;
} input;

static _Thread_local unsigned this_thread;

unsigned fuzz_remote_thread(void) {
    return this_thread;
}

static void *run_thread(void *number) {
    this_thread = (unsigned)(uintptr_t)number;
    pthread_barrier_wait(&input.together);
    for (size_t i = 0; i < ROUNDS * input.count; i++) {
        struct fuzz_op op;
        memcpy(&op, input.ops + i % input.count * sizeof op, sizeof op);
        if (!fuzz_is_switch(&op) && fuzz_thread_of(&op) == this_thread) input.run(&op);
    }
    return NULL;
}

void fuzz_remote_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op)) {
    pthread_t threads[FUZZ_THREADS];
    if (size < sizeof(struct fuzz_header)) return;
    input.ops = data + sizeof(struct fuzz_header);
    input.count = (size - sizeof(struct fuzz_header)) / sizeof(struct fuzz_op);
    input.run = run;
    int bad = pthread_barrier_init(&input.together, NULL, FUZZ_THREADS);
    for (unsigned i = 0; i < FUZZ_THREADS; i++)
        bad |= pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)i);
    FUZZ_CHECK(bad == 0, "no threads");
    for (unsigned i = 0; i < FUZZ_THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&input.together);
}

#else

unsigned fuzz_remote_thread(void) {
    return fuzz_schedule_thread();
}

void fuzz_remote_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op)) {
    fuzz_schedule_run(data, size, run, NULL);
}

#endif
