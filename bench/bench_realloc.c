/* bench_realloc [cycles] [buffers] [max] [seed]
 *
 * Buffers that grow by half at a time until they have `max` bytes, and then begin anew. Each cycle
 * grows a buffer that is drawn at random, so that the buffers are in each other's way. An operation
 * is one realloc. */
#include "bench/bench.h"

enum { SIZE_FIRST = 16 };

struct buffer {
    char *bytes;
    size_t size;
};

int main(int argc, char **argv) {
    uint64_t cycles = bench_arg(argc, argv, 1, 5000000, 1, UINT64_MAX);
    uint32_t count = (uint32_t)bench_arg(argc, argv, 2, 256, 1, INT32_MAX);
    size_t max = bench_arg(argc, argv, 3, 4096, SIZE_FIRST, INT32_MAX);
    struct bench_rng rng = bench_rng_start(bench_arg(argc, argv, 4, 42, 0, UINT64_MAX));
    struct buffer *buffers = (struct buffer *)bench_table(count, sizeof *buffers);
    double start = bench_now();
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        struct buffer *buffer = &buffers[bench_rng_below(&rng, count)];
        if (buffer->size >= max) {
            free(buffer->bytes);
            *buffer = (struct buffer){NULL, 0};
        }
        size_t size = buffer->size + buffer->size / 2 + SIZE_FIRST;
        buffer->bytes = bench_written(realloc(buffer->bytes, size), size);
        bench_touch(buffer->bytes, buffer->size, size);
        buffer->size = size;
    }
    double seconds = bench_now() - start;
    bench_note_peak();
    for (uint32_t i = 0; i < count; i++) {
        free(buffers[i].bytes);
    }
    bench_report(cycles, seconds);
    return 0;
}
