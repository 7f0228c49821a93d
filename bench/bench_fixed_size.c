/* bench_fixed_size iterations size workset
 *
 * Random malloc and free of blocks of one size, and so of a single class. */
#include "bench/bench.h"

int main(int argc, char **argv) {
    uint32_t size = (uint32_t)bench_arg(argc, argv, 2, 256, 1, INT32_MAX);
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 1, 10000000, 1, UINT64_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 3, 128, 1, UINT32_MAX),
        .min = size,
        .max = size,
        .rng = bench_rng_start(42),
    };
    return bench_mixed_main(mixed);
}
