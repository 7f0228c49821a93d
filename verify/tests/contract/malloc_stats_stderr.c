/* malloc_stats prints to stderr while blocks of every tier are live. */
#include "../test.h"

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {20, 700, 3000, 20000, 300000};
    void *blocks[TEST_COUNT(sizes)];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        blocks[i] = malloc(sizes[i]);
    malloc_stats();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        free(blocks[i]);
    return test_ok("malloc_stats");
}
