/* After a burst of small or large blocks, malloc_trim(0) gives the memory back: the resident bytes
 * fall to near their old value. It returns 1 if it gave memory back, and 0 if there was nothing
 * left. */
#include "../process.h"

static void burst(size_t size, size_t bytes) {
    size_t count = bytes / size, before = process_resident();
    char **blocks = process_map(count * sizeof *blocks);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "block %zu of %zu bytes", i, size);
        memset(blocks[i], 1, size);
    }
    size_t during = process_resident();
    CHECK(during > before + bytes / 2, "%zu MiB of %zu-byte blocks take %zu bytes", bytes / MIB,
          size, during - before);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    munmap(blocks, count * sizeof *blocks);
    int returned = malloc_trim(0);
    size_t after = process_resident();
    CHECK(after < before + 12 * MIB,
          "%zu-byte blocks: resident %zu before, %zu during, %zu after malloc_trim(0)", size,
          before, during, after);
    if (during - before > 32 * MIB && size < 65536)
        CHECK(returned == 1, "malloc_trim after a burst of %zu-byte blocks returns %d", size,
              returned);
    CHECK(malloc_trim(0) == 0, "a second malloc_trim still finds memory of %zu-byte blocks", size);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {16, 100, 1000, 4000, 20000, 50000, 100000, 1 << 20, 16 << 20};
    size_t bytes = (test_quick() ? 64 : 256) * MIB;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        burst(sizes[i], bytes);
    return test_ok("%zu MiB returned for %zu sizes", bytes / MIB, TEST_COUNT(sizes));
}
