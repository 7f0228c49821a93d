/* bench_short_threads [threads] [at_once] [blocks] [outlive] [seed]
 *
 * Many threads with short lives, `at_once` at a time; each allocates `blocks` blocks. outlive = 0:
 * each thread frees its blocks. Otherwise the blocks live on for `outlive` rounds of threads after
 * its own, and the main thread frees them. An operation is a malloc or a free. */
#include "bench/bench.h"

enum { AT_ONCE_MAX = 256, SIZE_LEAST = 16, SIZES = 1024 };

struct worker {
    pthread_t thread;
    struct bench_rng rng;
    char **blocks; /* where it puts them */
};

static uint32_t blocks, outlive;

static void free_all(char **of) {
    for (uint32_t i = 0; i < blocks; i++) {
        free(of[i]);
    }
}

static void *work(void *argument) {
    struct worker *worker = (struct worker *)argument;
    for (uint32_t i = 0; i < blocks; i++) {
        worker->blocks[i] = bench_block(SIZE_LEAST + bench_rng_below(&worker->rng, SIZES));
    }
    if (outlive == 0) free_all(worker->blocks);
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t threads = bench_arg(argc, argv, 1, 10000, 1, UINT32_MAX);
    uint32_t at_once = (uint32_t)bench_arg(argc, argv, 2, 2, 1, AT_ONCE_MAX);
    blocks = (uint32_t)bench_arg(argc, argv, 3, 200, 1, 1 << 20);
    outlive = (uint32_t)bench_arg(argc, argv, 4, 0, 0, 1 << 16);
    uint64_t seed = bench_arg(argc, argv, 5, 42, 0, UINT32_MAX);
    /* Places for the blocks of each round; used again when their blocks have been freed. */
    size_t round_blocks = (size_t)at_once * blocks, kept = outlive + 1;
    char **places = (char **)bench_table(kept * round_blocks, sizeof *places);
    struct worker workers[AT_ONCE_MAX];
    uint64_t rounds = (threads + at_once - 1) / at_once;
    double start = bench_now();
    for (uint64_t round = 0; round < rounds; round++) {
        char **place = places + round % kept * round_blocks;
        for (uint32_t i = 0; i < at_once; i++) {
            workers[i].blocks = place + (size_t)i * blocks;
            if (round >= kept && outlive > 0) free_all(workers[i].blocks);
            workers[i].rng = bench_rng_start(seed + round * at_once + i);
            bench_start_thread(&workers[i].thread, work, &workers[i]);
        }
        for (uint32_t i = 0; i < at_once; i++) {
            pthread_join(workers[i].thread, NULL);
        }
    }
    double seconds = bench_now() - start;
    bench_note_peak();
    uint64_t freed_late = 0;
    for (size_t i = 0; outlive > 0 && i < kept * at_once; i++) {
        if (places[i * blocks] == NULL) continue;
        free_all(places + i * blocks);
        freed_late += blocks;
    }
    bench_report(rounds * round_blocks * 2 - freed_late, seconds);
    return 0;
}
