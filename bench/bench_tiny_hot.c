/* bench_tiny_hot [iterations] [size]
 *
 * malloc and free of one block, over and over: the fast path alone. An iteration is two
 * operations. */
#include "bench/bench.h"

int main(int argc, char **argv) {
    uint64_t iterations = bench_arg(argc, argv, 1, 20000000, 1, UINT64_MAX / 2);
    size_t size = bench_arg(argc, argv, 2, 64, 1, INT32_MAX);
    double start = bench_now();
    for (uint64_t i = 0; i < iterations; i++) {
        free(bench_block(size));
    }
    bench_report(iterations * 2, bench_now() - start);
    return 0;
}
