/* bench_random_mixed [cycles] [ws] [seed] [min] [max]
 *
 * Random malloc and free of random sizes by one thread; ws is the number of slots of the working
 * set, about half of them occupied. 100 000 cycles show a cold start, 10 million the steady
 * state. */
#include "bench/bench.h"

int main(int argc, char **argv) {
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 1, 10000000, 1, UINT64_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 2, 8192, 1, UINT32_MAX),
        .min = (uint32_t)bench_arg(argc, argv, 4, 16, 1, INT32_MAX),
        .max = (uint32_t)bench_arg(argc, argv, 5, 1039, 1, INT32_MAX),
        .rng = bench_rng_start(bench_arg(argc, argv, 3, 42, 0, UINT64_MAX)),
    };
    return bench_mixed_main(mixed);
}
