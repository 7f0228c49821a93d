/* bench_calls calloc|aligned [cycles] [ws] [seed] [min] [max]
 *
 * The random working set of bench_random_mixed with other calls: calloc, or posix_memalign with an
 * alignment of 16 to 4096 that is drawn for each block. */
#include "bench/bench.h"

enum { ALIGNMENT_LEAST = 16, ALIGNMENTS = 9 };

static char *block_of_zeroes(size_t size, struct bench_rng *unused) {
    (void)unused;
    return bench_written(calloc(1, size), size);
}

static char *block_aligned(size_t size, struct bench_rng *rng) {
    void *block = NULL;
    size_t alignment = (size_t)ALIGNMENT_LEAST << bench_rng_below(rng, ALIGNMENTS);
    if (posix_memalign(&block, alignment, size) != 0) bench_die("posix_memalign failed");
    return bench_written(block, size);
}

int main(int argc, char **argv) {
    const char *call = argc > 1 ? argv[1] : "";
    bool zeroes = strcmp(call, "calloc") == 0;
    if (!zeroes && strcmp(call, "aligned") != 0) bench_die("the call must be calloc or aligned");
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 2, 10000000, 1, UINT64_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 3, 1024, 1, UINT32_MAX),
        .min = (uint32_t)bench_arg(argc, argv, 5, 16, 1, INT32_MAX),
        .max = (uint32_t)bench_arg(argc, argv, 6, 1039, 1, INT32_MAX),
        .rng = bench_rng_start(bench_arg(argc, argv, 4, 42, 0, UINT64_MAX)),
    };
    return zeroes ? bench_mixed_main_with(mixed, block_of_zeroes)
                  : bench_mixed_main_with(mixed, block_aligned);
}
