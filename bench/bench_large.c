/* bench_large [cycles] [ws] [seed]
 *
 * Random malloc and free of 64 KiB to 32 MiB. Each range from one power of two to the next gets as
 * many blocks as the others, and each page is written. An allocator that gives memory back pays a
 * page fault for each page; one that keeps it needs more memory. */
#include "bench/bench.h"

enum { SIZE_LEAST = 64 << 10, DOUBLINGS = 9 };

int main(int argc, char **argv) {
    uint64_t cycles = bench_arg(argc, argv, 1, 20000, 1, UINT64_MAX);
    uint32_t slots = (uint32_t)bench_arg(argc, argv, 2, 16, 1, INT32_MAX);
    struct bench_rng rng = bench_rng_start(bench_arg(argc, argv, 3, 42, 0, UINT64_MAX));
    char **table = (char **)bench_table(slots, sizeof *table);
    double start = bench_now();
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        char **slot = &table[bench_rng_below(&rng, slots)];
        if (*slot != NULL) {
            free(*slot);
            *slot = NULL;
        } else {
            size_t least = (size_t)SIZE_LEAST << bench_rng_below(&rng, DOUBLINGS);
            size_t size = least + bench_rng_below(&rng, (uint32_t)least);
            *slot = bench_block(size);
            bench_touch(*slot, 0, size);
        }
    }
    double seconds = bench_now() - start;
    bench_note_peak();
    for (uint32_t i = 0; i < slots; i++) {
        free(table[i]);
    }
    bench_report(cycles, seconds);
    return 0;
}
