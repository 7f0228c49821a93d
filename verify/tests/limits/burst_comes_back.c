/* After a burst, memory goes back to the system without malloc_trim. If the program goes on with
 * little work, its resident size falls to near the old size within seconds; the test waits for a
 * minute. */
#include "../process.h"

static void burst(size_t size, size_t bytes) {
    size_t count = bytes / size;
    unsigned char **blocks = process_map(count * sizeof *blocks);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "block %zu of %zu bytes", i, size);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    munmap(blocks, count * sizeof *blocks);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {64, 1000, 6000, 30000, 200000};
    process_work_a_little();
    size_t before = process_resident();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        burst(sizes[i], 128 * MIB);
        size_t after = process_resident_falls_below(before + 24 * MIB);
        CHECK(after < before + 24 * MIB,
              "a minute after a burst of %zu-byte blocks %zu MiB are resident, %zu before",
              sizes[i], after / MIB, before / MIB);
    }
    return test_ok("%zu bursts of 128 MiB came back", TEST_COUNT(sizes));
}
