/* realloc keeps min(old, new) bytes between every pair of tiers, up and down, and damages no
 * neighbour. */
#include "../pattern.h"
#include "../process.h"

static const size_t sizes[] = {
    1,       2,       15,       16,       17,     40,     79,     80,       100,
    256,     1000,    1023,     1024,     1025,   1040,   2000,   4096,     5000,
    8175,    8191,    8192,     8193,     12000,  20000,  40000,  50 << 10, 53247,
    53248,   53249,   65536,    70000,    100000, 262144, 524288, 1 << 20,  (1 << 20) + 1,
    3 << 20, 1 << 22, 10 << 20, 64 << 20,
};

struct kept {
    void *block;
    size_t size;
};

static struct kept neighbour(size_t size, uint64_t seed) {
    struct kept kept = {malloc(size), size};
    pattern_fill(kept.block, size, seed);
    return kept;
}

static void *moved(void *block, size_t from, size_t to, uint64_t seed) {
    block = realloc(block, to);
    CHECK(block != NULL && (uintptr_t)block % 16 == 0, "realloc from %zu to %zu gives %p", from, to,
          block);
    CHECK(malloc_usable_size(block) >= to, "realloc from %zu to %zu gives less", from, to);
    PATTERN_CHECK(block, from < to ? from : to, seed);
    return block;
}

static void pair(size_t from, size_t to) {
    uint64_t seed = from * 31 + to;
    struct kept before = neighbour(from, 1);
    void *block = malloc(from);
    struct kept after = neighbour(from, 2), target = neighbour(to, 3);
    pattern_fill(block, from, seed);
    block = moved(block, from, to, seed);
    pattern_fill(block, to, ~seed);
    PATTERN_CHECK(before.block, before.size, 1);
    PATTERN_CHECK(after.block, after.size, 2);
    PATTERN_CHECK(target.block, target.size, 3);
    PATTERN_CHECK(block, to, ~seed);
    free(before.block);
    free(after.block);
    free(target.block);
    free(moved(block, to, from, ~seed));
}

static void chain(const size_t *steps, size_t count) {
    void *block = malloc(steps[0]);
    pattern_fill(block, steps[0], 0);
    for (size_t i = 1; i < count; i++) {
        block = moved(block, steps[i - 1], steps[i], i - 1);
        pattern_fill(block, steps[i], i);
    }
    free(block);
}

int main(void) {
    test_needs_hakmem();
    size_t limit = test_quick() ? 1 << 20 : 64 << 20, pairs = 0;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < TEST_COUNT(sizes); k++)
            if (sizes[i] <= limit && sizes[k] <= limit && sizes[i] + sizes[k] <= 12 << 20) {
                pair(sizes[i], sizes[k]);
                pairs++;
            }
    static const size_t up_and_down[] = {50 << 10, 64 << 20, 10,   64 << 20, 50 << 10,
                                         9000,     60000,    9000, 1500,     64 << 20,
                                         1500,     100,      1};
    chain(up_and_down, TEST_COUNT(up_and_down));

    /* One block grows through every size, byte by byte, and shrinks again. */
    size_t size = 1;
    unsigned char *block = malloc(size);
    block[0] = 0;
    for (; size < 70000; size++) {
        block = realloc(block, size + 1);
        CHECK(block != NULL, "realloc to %zu", size + 1);
        block[size] = (unsigned char)(size * 7);
    }
    for (; size > 1; size -= size > 10 ? 9 : 1) {
        for (size_t i = size - 1; i + 10 > size && i > 0; i--)
            CHECK(block[i] == (unsigned char)(i * 7), "byte %zu of %zu is lost", i, size);
        CHECK(block[size / 2] == (unsigned char)(size / 2 * 7), "byte %zu of %zu is lost", size / 2,
              size);
        block = realloc(block, size - (size > 10 ? 9 : 1));
        CHECK(block != NULL, "realloc down from %zu", size);
    }
    free(block);
    return test_ok("contents kept between %zu pairs of sizes", pairs);
}
