/* bench_mid_large_mt [threads] [cycles] [ws] [seed] [min] [max]
 *
 * Random malloc and free by several threads, each with a working set of its own. The default sizes
 * are 8 to 32 KiB, for which a central heap makes threads wait for each other. Cycles are per
 * thread. */
#include "bench/bench.h"

enum { SIZE_LOW = 8 << 10, SIZE_TOP = 32 << 10, THREADS_MAX = 1024 };

struct worker {
    pthread_t thread;
    struct bench_mixed mixed;
    /* Taken by the thread itself: the main thread may wake up when much of the work is done. */
    double began, ended;
};

/* The threads meet here before the work, after the work, and when the main thread has seen its end:
 * only then do they free the blocks that are left. */
static pthread_barrier_t together;

static void *work(void *argument) {
    struct worker *worker = (struct worker *)argument;
    char **table = (char **)bench_table(worker->mixed.slots, sizeof *table);
    pthread_barrier_wait(&together);
    worker->began = bench_now();
    bench_mixed_run(worker->mixed, table);
    worker->ended = bench_now();
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    bench_mixed_free(&worker->mixed, table);
    return NULL;
}

/* Seconds from the begin of the first worker to the end of the last one. */
static double seconds_of(const struct worker *workers, uint32_t count) {
    double began = workers[0].began, ended = workers[0].ended;
    for (uint32_t i = 1; i < count; i++) {
        if (workers[i].began < began) began = workers[i].began;
        if (workers[i].ended > ended) ended = workers[i].ended;
    }
    return ended - began;
}

int main(int argc, char **argv) {
    uint32_t threads = (uint32_t)bench_arg(argc, argv, 1, 4, 1, THREADS_MAX);
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 2, 400000, 1, UINT64_MAX / THREADS_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 3, 2048, 1, UINT32_MAX),
        .min = (uint32_t)bench_arg(argc, argv, 5, SIZE_LOW, 1, INT32_MAX),
        .max = (uint32_t)bench_arg(argc, argv, 6, SIZE_TOP, 1, INT32_MAX),
    };
    uint64_t seed = bench_arg(argc, argv, 4, 42, 0, UINT64_MAX - THREADS_MAX);
    if (mixed.min > mixed.max) bench_die("the smallest size is above the largest");
    pthread_barrier_init(&together, NULL, threads + 1);
    struct worker *workers = (struct worker *)bench_table(threads, sizeof *workers);
    for (uint32_t i = 0; i < threads; i++) {
        workers[i].mixed = mixed;
        workers[i].mixed.rng = bench_rng_start(seed + i);
        bench_start_thread(&workers[i].thread, work, &workers[i]);
    }
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    bench_note_peak();
    pthread_barrier_wait(&together);
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    bench_report(mixed.cycles * threads, seconds_of(workers, threads));
    return 0;
}
