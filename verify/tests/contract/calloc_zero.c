/* calloc gives zeroed memory in every tier, although the program has written to every block that
 * calloc can use again. */
#include "../process.h"

enum { BLOCKS = 200 };

static const size_t sizes[] = {1,     8,     16,    24,     64,     100,     250,    500,
                               1000,  1024,  2000,  4000,   8000,   8192,    10000,  20000,
                               40000, 53248, 60000, 100000, 262144, 1 << 20, 3 << 20};

static void require_zero(const unsigned char *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        CHECK(block[i] == 0, "byte %zu of calloc(1, %zu) is %#x", i, size, block[i]);
}

static size_t count_of(size_t size) {
    return size <= 4096 ? BLOCKS : size <= 65536 ? 40 : 6;
}

/* Writes to blocks of `dirty` bytes and frees them, from one end or the other. Then takes zeroed
 * blocks of `size` bytes. */
static void recycle(size_t dirty, size_t size, bool backwards) {
    static unsigned char *blocks[BLOCKS];
    size_t count = count_of(dirty);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(dirty);
        memset(blocks[i], 0xee, malloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[backwards ? count - 1 - i : i]);
    count = count_of(size);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = i % 2 == 0 ? calloc(1, size) : calloc(size, 1);
        CHECK(blocks[i] != NULL, "calloc of %zu bytes", size);
        require_zero(blocks[i], size);
        memset(blocks[i], 0xdd, malloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

/* A block that realloc shrinks leaves written memory at its end. A block that realloc grows leaves
 * a written old place. */
static void recycle_resized(size_t from, size_t to) {
    unsigned char *block = malloc(from);
    memset(block, 0xcc, from);
    block = realloc(block, to);
    if (to > from) memset(block + from, 0xcc, to - from);
    unsigned char *zero = calloc(1, from), *zero_too = calloc(1, to);
    require_zero(zero, from);
    require_zero(zero_too, to);
    free(block);
    free(zero);
    free(zero_too);
}

int main(void) {
    test_needs_hakmem();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = i > 2 ? i - 2 : 0; k < TEST_COUNT(sizes) && k <= i + 1; k++) {
            recycle(sizes[i], sizes[k], (i + k) % 2 == 0);
            recycle_resized(sizes[i], sizes[k]);
        }
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        recycle_resized(sizes[i], sizes[TEST_COUNT(sizes) - 1 - i]);
    /* Large blocks are used again with the same size and with a smaller one. */
    for (size_t power = 16; power <= 26; power += 2) {
        recycle((size_t)1 << power, (size_t)1 << power, false);
        recycle((size_t)1 << power, ((size_t)1 << power) - 5000, true);
    }
    return test_ok("%zu sizes zeroed after dirty use", TEST_COUNT(sizes));
}
