/* aligned_alloc takes only powers of two, with any size. memalign rounds a bad alignment up. */
#include "api.h"

static void refuses(size_t alignment, size_t size, int expected) {
    errno = 0;
    void *block = API(aligned_alloc)(test_opaque(alignment), test_opaque(size));
    CHECK(block == NULL && errno == expected,
          "aligned_alloc(%#zx, %#zx) gives %p, errno %d, not %d", alignment, size, block, errno,
          expected);
}

static void rounds_up(size_t alignment, size_t expected, size_t size) {
    void *block = API(memalign)(test_opaque(alignment), size);
    CHECK(block != NULL && (uintptr_t)block % expected == 0, "memalign(%zu, %zu) gives %p",
          alignment, size, block);
    CHECK(API(malloc_usable_size)(block) >= size, "memalign(%zu, %zu) gives less", alignment, size);
    memset(block, 0x5a, size);
    API(free)(block);
}

int main(void) {
    test_needs_hakmem();
    static const size_t bad[] = {
        0,   3,    5,    6,        7,    9,    12,   24,       40,           48,
        100, 4095, 4097, 3 * 4096, 1000, 6144, 8200, SIZE_MAX, SIZE_MAX - 1, (size_t)3 << 62};
    static const size_t sizes[] = {0, 1, 48, 100, 5000, 20000, 100000};
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        for (size_t k = 0; k < TEST_COUNT(sizes); k++)
            refuses(bad[i], sizes[k], EINVAL);
    refuses((size_t)1 << 62, 1, ENOMEM);
    refuses((size_t)1 << 63, 1, ENOMEM);
    refuses(64, SIZE_MAX - 63, ENOMEM);
    for (size_t k = 0; k < TEST_COUNT(sizes); k++) {
        rounds_up(0, 16, sizes[k]);
        rounds_up(3, 16, sizes[k]);
        rounds_up(17, 32, sizes[k]);
        rounds_up(48, 64, sizes[k]);
        rounds_up(100, 128, sizes[k]);
        rounds_up(4097, 8192, sizes[k]);
        rounds_up(70000, 131072, sizes[k]);
    }
    return test_ok("%zu bad alignments refused", TEST_COUNT(bad));
}
