/* bench_pool_tls [cycles] [ws] [seed] [min] [max] [fill]
 *
 * malloc and free of pool blocks, 8 KiB to 52 KiB, by one thread; by default all of 8 KiB.
 * fill = 0: random slots, about half of the working set live. fill = 1: the whole working set is
 * allocated, then all of it freed, over and over; an allocator that gives freed memory back at
 * once pays for a page fault at each block. */
#include "bench/bench.h"

static void fill_and_free(struct bench_mixed mixed, char **table) {
    uint32_t sizes = mixed.max - mixed.min + 1;
    for (uint64_t cycle = 0; cycle < mixed.cycles; cycle += 2 * (uint64_t)mixed.slots) {
        for (uint32_t slot = 0; slot < mixed.slots; slot++) {
            table[slot] = bench_block(mixed.min + bench_rng_below(&mixed.rng, sizes));
        }
        bench_mixed_free(&mixed, table);
    }
}

int main(int argc, char **argv) {
    enum { POOL_MIN = 8 << 10, POOL_MAX = 52 << 10 };
    uint32_t min = (uint32_t)bench_arg(argc, argv, 4, POOL_MIN, POOL_MIN, POOL_MAX);
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 1, 2000000, 1, UINT64_MAX / 2),
        .slots = (uint32_t)bench_arg(argc, argv, 2, 256, 1, UINT32_MAX),
        .min = min,
        .max = (uint32_t)bench_arg(argc, argv, 5, min, POOL_MIN, POOL_MAX),
        .rng = bench_rng_start(bench_arg(argc, argv, 3, 42, 0, UINT64_MAX)),
    };
    if (bench_arg(argc, argv, 6, 0, 0, 1) == 0) return bench_mixed_main(mixed);

    if (mixed.min > mixed.max) bench_die("the smallest size is above the largest");
    /* Rounded up to whole fills and frees: the reported operations are those that were done. */
    uint64_t fill = 2 * (uint64_t)mixed.slots;
    mixed.cycles = (mixed.cycles + fill - 1) / fill * fill;
    char **table = (char **)bench_table(mixed.slots, sizeof *table);
    double start = bench_now();
    fill_and_free(mixed, table);
    bench_report(mixed.cycles, bench_now() - start);
    return 0;
}
