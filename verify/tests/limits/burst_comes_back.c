/* After a burst, memory goes back to the system by itself: a program that goes on with little falls to near
 * its old resident size within seconds, without malloc_trim. */
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

/* A little of everything: what a program does that is nearly idle. */
static void murmur(void) {
    static const size_t sizes[] = {20, 100, 800, 3000, 20000, 100000};
    void *blocks[TEST_COUNT(sizes)][40];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 40; k++)
            blocks[i][k] = malloc(sizes[i]);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 40; k++)
            free(blocks[i][k]);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {64, 1000, 6000, 30000, 200000};
    murmur();
    size_t before = process_resident(), after = 0;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        burst(sizes[i], 128 * MIB);
        for (int tenth = 0; tenth < 100; tenth++) {
            murmur();
            after = process_resident();
            if (after < before + 24 * MIB) break;
            usleep(100000);
        }
        CHECK(after < before + 24 * MIB,
              "10 s after a burst of %zu-byte blocks %zu MiB are resident, %zu before", sizes[i], after / MIB,
              before / MIB);
    }
    return test_ok("%zu bursts of 128 MiB came back", TEST_COUNT(sizes));
}
