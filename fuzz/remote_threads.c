#include "fuzz/remote_threads.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef FUZZ_REAL_THREADS

#define ROUNDS                                                                                     \
    100u /* rounds of all operations at once: fewer are over before all threads have begun */

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

static _Atomic uint32_t turn; /* number of the operation that may run */

static void turn_wait(uint32_t own) {
    for (;;) {
        uint32_t now = atomic_load_explicit(&turn, memory_order_relaxed);
        if (now == own) return;
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
    }
}

static void turn_pass(uint32_t next) {
    atomic_store_explicit(&turn, next, memory_order_relaxed);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#define TURNS 20u /* the operations done in turn, as a multiple of the input's */

static struct fuzz_op op_at(size_t i) {
    struct fuzz_op op;
    memcpy(&op, input.ops + i % input.count * sizeof op, sizeof op);
    return op;
}

/* Does the operations one after the other: first in the order of the input, then in an order that
 * looks random but is the same in each run, whatever else the machine does. The relaxed accesses
 * and the futex do not tell ThreadSanitizer that the threads wait for each other, so for
 * ThreadSanitizer only the operations themselves order the threads. */
static void run_in_turn(void) {
    uint64_t random = 1;
    uint32_t number = 0;
    for (size_t i = 0; i < TURNS * input.count; i++) {
        random = random * 6364136223846793005u + 1; /* Knuth's multiplier */
        struct fuzz_op op = op_at(i < input.count ? i : (size_t)(random >> 33));
        if (fuzz_is_switch(&op)) continue;
        if (fuzz_thread_of(&op) == this_thread) {
            turn_wait(number);
            input.run(&op);
            turn_pass(number + 1);
        }
        number++;
    }
}

static void *run_thread(void *number) {
    this_thread = (unsigned)(uintptr_t)number;
    run_in_turn();
    pthread_barrier_wait(&input.together);
    for (size_t i = 0; i < ROUNDS * input.count; i++) {
        struct fuzz_op op = op_at(i);
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
    atomic_store_explicit(&turn, 0, memory_order_relaxed);
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
