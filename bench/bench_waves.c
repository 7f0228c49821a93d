/* bench_waves [MiB] [waves] [percent] [other_sizes] [seed]
 *
 * Fills memory with `MiB` MiB of blocks, frees a random `percent` of them, and fills it up again,
 * `waves` times. The choice of the blocks to free is not timed. other_sizes = 0, a sawtooth: blocks
 * of 16 to 4096 bytes in each wave. other_sizes = 1, fragmentation: waves of small, middle and
 * large blocks in turn, so that each wave needs the space between the blocks that are left of
 * another. An operation is a malloc or a free. */
#include "bench/bench.h"

struct band {
    uint32_t least;
    uint32_t sizes;
};

static const struct band sawtooth = {16, 4081};
static const struct band bands[] = {{16, 497}, {512, 7681}, {8192, 57345}};
enum { BANDS = sizeof bands / sizeof bands[0] };

struct heap {
    uint32_t **blocks; /* each block begins with its size */
    size_t count;
    size_t bytes;
    struct bench_rng rng;
};

static uint64_t fill(struct heap *heap, struct band band, size_t target) {
    size_t before = heap->count;
    while (heap->bytes < target) {
        uint32_t size = band.least + bench_rng_below(&heap->rng, band.sizes);
        char *block = bench_block(size);
        bench_touch(block, 0, size);
        *(uint32_t *)(void *)block = size;
        heap->blocks[heap->count++] = (uint32_t *)(void *)block;
        heap->bytes += size;
    }
    return heap->count - before;
}

/* Moves `count` blocks drawn at random to the end of the list. */
static void draw_last(struct heap *heap, size_t count) {
    for (size_t last = heap->count - 1; count > 0; count--, last--) {
        size_t drawn = bench_rng_below(&heap->rng, (uint32_t)(last + 1));
        uint32_t *block = heap->blocks[drawn];
        heap->blocks[drawn] = heap->blocks[last];
        heap->blocks[last] = block;
    }
}

static void free_last(struct heap *heap, size_t count) {
    for (; count > 0; count--) {
        uint32_t *block = heap->blocks[--heap->count];
        heap->bytes -= *block;
        free(block);
    }
}

int main(int argc, char **argv) {
    size_t target = bench_arg(argc, argv, 1, 64, 1, 16 << 10) << 20;
    uint64_t waves = bench_arg(argc, argv, 2, 6, 1, UINT32_MAX);
    uint32_t percent = (uint32_t)bench_arg(argc, argv, 3, 90, 1, 100);
    bool other_sizes = bench_arg(argc, argv, 4, 0, 0, 1) != 0;
    struct heap heap = {.rng = bench_rng_start(bench_arg(argc, argv, 5, 42, 0, UINT64_MAX))};
    heap.blocks = (uint32_t **)bench_table(target / sawtooth.least + 1, sizeof *heap.blocks);
    uint64_t operations = 0;
    double seconds = 0;
    for (uint64_t wave = 0; wave < waves; wave++) {
        double start = bench_now();
        operations += fill(&heap, other_sizes ? bands[wave % BANDS] : sawtooth, target);
        seconds += bench_now() - start;
        bench_note_peak();
        size_t leaving = heap.count * percent / 100;
        draw_last(&heap, leaving);
        start = bench_now();
        free_last(&heap, leaving);
        seconds += bench_now() - start;
        operations += leaving;
    }
    free_last(&heap, heap.count);
    bench_report(operations, seconds);
    return 0;
}
