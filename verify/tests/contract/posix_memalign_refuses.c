/* A posix_memalign that fails returns its error, and changes neither its result nor errno. */
#include "api.h"

static void refuses(size_t alignment, size_t size, int expected) {
    char untouched;
    void *out = &untouched;
    errno = 4711;
    int error = API(posix_memalign)(&out, test_opaque(alignment), test_opaque(size));
    CHECK(error == expected, "posix_memalign(%#zx, %#zx) returns %d, not %d", alignment, size,
          error, expected);
    CHECK(out == &untouched, "posix_memalign(%#zx, %#zx) stores %p", alignment, size, out);
    CHECK(errno == 4711, "posix_memalign(%#zx, %#zx) sets errno to %d", alignment, size, errno);
}

int main(void) {
    test_needs_hakmem();
    static const size_t bad[] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 5,
                                 6,
                                 7,
                                 9,
                                 12,
                                 24,
                                 40,
                                 48,
                                 56,
                                 100,
                                 4095,
                                 4097,
                                 3 * 4096,
                                 SIZE_MAX,
                                 SIZE_MAX - 7,
                                 72,
                                 80,
                                 120,
                                 136,
                                 1000,
                                 6144,
                                 8200,
                                 0xfff0,
                                 (size_t)3 << 62};
    static const size_t sizes[] = {0, 1, 64, 5000, 20000, 100000, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        for (size_t k = 0; k < TEST_COUNT(sizes); k++)
            refuses(bad[i], sizes[k], EINVAL);
    refuses(16, SIZE_MAX, ENOMEM);
    refuses(16, (size_t)PTRDIFF_MAX, ENOMEM);
    refuses(4096, SIZE_MAX - 4096, ENOMEM);
    refuses((size_t)1 << 62, 1, ENOMEM);
    refuses((size_t)1 << 63, 1, ENOMEM);
    refuses((size_t)1 << 63, (size_t)1 << 63, ENOMEM);
    return test_ok("%zu bad alignments refused", TEST_COUNT(bad));
}
