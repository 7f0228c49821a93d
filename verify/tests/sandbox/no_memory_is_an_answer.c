/* Run without a system call that HAKMEM needs: each request is refused with ENOMEM, as if there
 * were no memory. Nothing else happens to the program. */
#include "../test.h"

static void expect_refused(const char *what, const void *block) {
    CHECK(block == NULL, "%s gave %p", what, block);
    CHECK(errno == ENOMEM, "%s: errno %d", what, errno);
    errno = 0;
}

int main(void) {
    static const size_t sizes[] = {1, 100, 5000, 50000, 1000000, 100000000};
    void *block = NULL;
    errno = 0;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t size = test_opaque(sizes[i]);
        expect_refused("malloc", malloc(size));
        expect_refused("calloc", calloc(1, size));
        expect_refused("realloc", realloc(NULL, size));
        expect_refused("aligned_alloc", aligned_alloc(64, size));
        int error = posix_memalign(&block, 64, size);
        CHECK(error == ENOMEM && block == NULL && errno == 0, "posix_memalign: %d, errno %d", error,
              errno);
    }
    free(test_opaque_pointer(NULL));
    malloc_trim(0);
    CHECK(mallinfo2().uordblks == 0, "%zu bytes", mallinfo2().uordblks);
    return test_ok("ENOMEM for all of %zu sizes", TEST_COUNT(sizes));
}
