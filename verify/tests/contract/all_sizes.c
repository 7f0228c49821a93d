/* Every request from 0 to 70000 bytes gives a block that is 16-byte aligned, at least as large as
 * asked for, usable to its last byte, and disjoint from all live blocks. Thousands of blocks of
 * neighbouring sizes, and of sizes that are far apart, are live together. */
#include "../pattern.h"
#include "../process.h"
#include "../spans.h"

enum { LARGEST = 70000, STEP = 16 };

static void **blocks;
static struct span *spans;

/* Allocates blocks of the sizes first, first + step, ..., `count` of them, which are live together.
 * Checks and frees them. */
static void lot(size_t first, size_t step, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t size = first + i * step;
        void *block = blocks[i] = malloc(size);
        CHECK(block != NULL && (uintptr_t)block % 16 == 0, "malloc(%zu) gives %p", size, block);
        size_t usable = malloc_usable_size(block);
        CHECK(usable >= size, "malloc(%zu) holds %zu bytes", size, usable);
        spans[i] = (struct span){(uintptr_t)block, (uintptr_t)block + usable};
        pattern_fill(block, usable, size);
    }
    spans_check_disjoint(spans, count);
    for (size_t i = 0; i < count; i++) {
        size_t size = first + i * step;
        PATTERN_CHECK(blocks[i], malloc_usable_size(blocks[i]), size);
        free(blocks[i]);
    }
}

int main(void) {
    test_needs_hakmem();
    blocks = process_map((LARGEST + 1) * sizeof *blocks);
    spans = process_map((LARGEST + 1) * sizeof *spans);
    for (size_t first = 0; first < STEP; first++) /* far apart: the sizes are equal modulo STEP */
        lot(first, STEP, (LARGEST - first) / STEP + 1);
    for (size_t first = 0; first < LARGEST && !test_quick(); first += 1000) /* neighbours */
        lot(first, 1, 1000);
    return test_ok("all sizes from 0 to %d", LARGEST);
}
