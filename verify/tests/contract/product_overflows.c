/* calloc and reallocarray refuse a product that overflows or exceeds PTRDIFF_MAX. They return NULL
 * with ENOMEM, and the block that was to be resized stays as it was. */
#include "api.h"
#include "../pattern.h"

static const size_t factors[][2] = {
    {(size_t)1 << 33, (size_t)1 << 31},
    {(size_t)1 << 32, (size_t)1 << 32},
    {(size_t)1 << 63, 2},
    {((size_t)1 << 63) + 1, 2},
    {SIZE_MAX, 2},
    {SIZE_MAX, SIZE_MAX},
    {SIZE_MAX / 2 + 1, 2},
    {SIZE_MAX / 3 + 1, 3},
    {SIZE_MAX / 16 + 1, 16},
    {SIZE_MAX / 16 + 2, 16},
    {SIZE_MAX / 4096 + 1, 4096},
    {((size_t)1 << 32) + 1, (size_t)1 << 32},
    {(size_t)1 << 61, 40},
    {(size_t)1 << 32, (size_t)1 << 31}, /* these two do not overflow, but exceed PTRDIFF_MAX */
    {SIZE_MAX / 4096, 4096},
};

static void refuses(size_t count, size_t size, void *kept) {
    errno = 0;
    void *zeroed = API(calloc)(count, size);
    CHECK(zeroed == NULL && errno == ENOMEM, "calloc(%#zx, %#zx) gives %p, errno %d", count, size,
          zeroed, errno);
    errno = 0;
    void *fresh = API(reallocarray)(NULL, count, size);
    CHECK(fresh == NULL && errno == ENOMEM, "reallocarray(NULL, %#zx, %#zx) gives %p, errno %d",
          count, size, fresh, errno);
    errno = 0;
    void *moved = API(reallocarray)(kept, count, size);
    CHECK(moved == NULL && errno == ENOMEM, "reallocarray(p, %#zx, %#zx) gives %p, errno %d", count,
          size, moved, errno);
}

int main(void) {
    test_needs_hakmem();
    void *kept = API(malloc)(1000);
    pattern_fill(kept, 1000, 1);
    for (size_t i = 0; i < TEST_COUNT(factors); i++) {
        size_t a = test_opaque(factors[i][0]), b = test_opaque(factors[i][1]);
        refuses(a, b, kept);
        refuses(b, a, kept);
    }
    PATTERN_CHECK(kept, 1000, 1);
    API(free)(kept);
    return test_ok("%zu products refused", 2 * TEST_COUNT(factors));
}
