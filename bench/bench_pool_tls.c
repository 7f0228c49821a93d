/* bench_pool_tls [cycles] [ws] [seed] [min] [max]
 *
 * Random malloc and free of pool blocks, 8 KiB to 52 KiB, by one thread; by default all of 8 KiB. */
#include "bench/bench.h"

int main(int argc, char **argv) {
    enum { POOL_MIN = 8 << 10, POOL_MAX = 52 << 10 };
    uint32_t min = (uint32_t)bench_arg(argc, argv, 4, POOL_MIN, POOL_MIN, POOL_MAX);
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 1, 2000000, 1, UINT64_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 2, 256, 1, UINT32_MAX),
        .min = min,
        .max = (uint32_t)bench_arg(argc, argv, 5, min, POOL_MIN, POOL_MAX),
        .rng = bench_rng_start(bench_arg(argc, argv, 3, 42, 0, UINT64_MAX)),
    };
    return bench_mixed_main(mixed);
}
