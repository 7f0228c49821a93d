/* realloc to a smaller size succeeds and keeps errno, even if there is no memory at all. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include "verify/os_faults.h"

static const size_t sizes[][2] = {
    {5000, 3000}, {60000, 3000}, {2000, 100}, {300000, 40000}, {1000, 1}};

int main(void) {
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        unsigned char *block = hak_malloc(sizes[i][0]);
        CHECK(block != NULL, "%zu bytes", sizes[i][0]);
        memset(block, 7, sizes[i][0]);
        hak_os_faults_begin(0, true);
        /* Takes all blocks of that size that need no new memory. They leak on purpose. */
        while (hak_malloc(test_opaque(sizes[i][1])) != NULL) {
        }
        errno = 0;
        unsigned char *smaller = hak_realloc(block, sizes[i][1]);
        hak_os_faults_end();
        CHECK(smaller != NULL && errno == 0, "%zu to %zu: errno %d", sizes[i][0], sizes[i][1],
              errno);
        for (size_t at = 0; at < sizes[i][1]; at++)
            CHECK(smaller[at] == 7, "byte %zu", at);
        hak_free(smaller);
    }
    return test_ok("%zu sizes", TEST_COUNT(sizes));
}
