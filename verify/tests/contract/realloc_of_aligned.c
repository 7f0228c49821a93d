/* realloc of aligned blocks of every tier keeps min(old, new) bytes, up and down, and so does each
 * further realloc. */
#include "../pattern.h"
#include "../process.h"

static const size_t sizes[] = {1,     40,    100,   1000,   1100,   4000,    8000,   9000,
                               30000, 52000, 60000, 100000, 300000, 1 << 20, 5 << 20};

static void *moved(void *block, size_t from, size_t to, uint64_t seed) {
    block = realloc(block, to);
    CHECK(block != NULL && (uintptr_t)block % 16 == 0, "realloc from %zu to %zu gives %p", from, to,
          block);
    CHECK(malloc_usable_size(block) >= to, "realloc from %zu to %zu gives less", from, to);
    PATTERN_CHECK(block, from < to ? from : to, seed);
    return block;
}

static void resize(size_t alignment, size_t from, size_t to) {
    void *block = aligned_alloc(alignment, from), *behind = malloc(from);
    CHECK(block != NULL && (uintptr_t)block % alignment == 0, "aligned_alloc(%zu, %zu) gives %p",
          alignment, from, block);
    size_t usable = malloc_usable_size(block);
    pattern_fill(behind, from, 7);
    pattern_fill(block, usable, from); /* the program may use all of it */
    PATTERN_CHECK(behind, from, 7);
    block = moved(block, from, to, from);
    pattern_fill(block, to, to);
    block = moved(block, to, from, to);
    PATTERN_CHECK(behind, from, 7);
    free(block);
    free(behind);
}

int main(void) {
    test_needs_hakmem();
    size_t most = test_quick() ? 300000 : 5 << 20, done = 0;
    for (size_t alignment = 32; alignment <= (size_t)1 << 20; alignment *= 2)
        for (size_t i = 0; i < TEST_COUNT(sizes); i++)
            for (size_t k = 0; k < TEST_COUNT(sizes); k++)
                if (sizes[i] <= most && sizes[k] <= most) {
                    resize(alignment, sizes[i], sizes[k]);
                    done++;
                }
    return test_ok("%zu aligned blocks resized", done);
}
