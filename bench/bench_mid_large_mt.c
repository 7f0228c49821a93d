/* bench_mid_large_mt [threads] [cycles] [ws] [seed]
 *
 * Random malloc and free of 8 to 32 KiB by several threads, each with a working set of its own: the tier
 * where a central heap makes threads wait for each other. Cycles are per thread. */
#include "bench/bench.h"

enum { SIZE_LOW = 8 << 10, SIZE_TOP = 32 << 10, THREADS_MAX = 1024 };

struct worker {
    pthread_t thread;
    struct bench_mixed mixed;
    pthread_barrier_t *start;
};

static void *work(void *argument) {
    struct worker *worker = (struct worker *)argument;
    char **table = (char **)bench_table(worker->mixed.slots, sizeof *table);
    pthread_barrier_wait(worker->start);
    bench_mixed_run(worker->mixed, table);
    bench_mixed_free(&worker->mixed, table);
    return NULL;
}

int main(int argc, char **argv) {
    uint32_t threads = (uint32_t)bench_arg(argc, argv, 1, 4, 1, THREADS_MAX);
    uint64_t cycles = bench_arg(argc, argv, 2, 400000, 1, UINT64_MAX / THREADS_MAX);
    uint32_t slots = (uint32_t)bench_arg(argc, argv, 3, 2048, 1, UINT32_MAX);
    uint64_t seed = bench_arg(argc, argv, 4, 42, 0, UINT64_MAX - THREADS_MAX);
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, threads + 1);
    struct worker *workers = (struct worker *)bench_table(threads, sizeof *workers);
    for (uint32_t i = 0; i < threads; i++) {
        workers[i].mixed.cycles = cycles;
        workers[i].mixed.slots = slots;
        workers[i].mixed.min = SIZE_LOW;
        workers[i].mixed.max = SIZE_TOP;
        workers[i].mixed.rng = bench_rng_start(seed + i);
        workers[i].start = &start;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            bench_die("pthread_create failed");
    }
    pthread_barrier_wait(&start);
    double began = bench_now();
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    bench_report(cycles * threads, bench_now() - began);
    return 0;
}
