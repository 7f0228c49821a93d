/* A call that succeeds does not change errno, in every tier and on the slow paths. free never
 * changes errno. */
#include "api.h"

enum { MARK = 4711, BLOCKS = 300 };

static void kept(const char *call, size_t size) {
    CHECK(errno == MARK, "%s with %zu bytes changes errno to %d", call, size, errno);
}

static void *allocated(const char *call, void *block, size_t size) {
    CHECK(block != NULL, "%s of %zu bytes: NULL, errno %d", call, size, errno);
    kept(call, size);
    return block;
}

static void released(void *block, size_t size) {
    API(free)(block);
    kept("free", size);
}

static void *by_call(unsigned call, size_t size) {
    void *block = NULL;
    switch (call) {
    case 0:
        return allocated("malloc", API(malloc)(size), size);
    case 1:
        return allocated("calloc", API(calloc)(1, size), size);
    case 2:
        return allocated("realloc", API(realloc)(API(malloc)(size / 2 + 1), size), size);
    case 3:
        return allocated("realloc", API(realloc)(API(malloc)(size * 2), size), size);
    case 4:
        return allocated("reallocarray", API(reallocarray)(NULL, 1, size), size);
    case 5:
        return allocated("aligned_alloc", API(aligned_alloc)(64, size), size);
    case 6:
        return allocated("memalign", API(memalign)(8192, size), size);
    case 7:
        return allocated("valloc", API(valloc)(size), size);
    case 8:
        return allocated("pvalloc", API(pvalloc)(size), size);
    default:
        CHECK(API(posix_memalign)(&block, 256, size) == 0, "posix_memalign of %zu bytes", size);
        return allocated("posix_memalign", block, size);
    }
}

int main(void) {
    test_needs_hakmem();
    static void *blocks[BLOCKS];
    errno = MARK;
    for (size_t i = 0; i < TEST_COUNT(tier_sizes); i++) {
        size_t size = tier_sizes[i], count = size > 100000 ? 20 : BLOCKS;
        for (size_t k = 0; k < count; k++)
            blocks[k] = by_call((unsigned)(k % 10), size);
        for (size_t k = 0; k < count; k++) {
            CHECK(API(malloc_usable_size)(blocks[k]) >= size, "a block of %zu bytes holds less",
                  size);
            kept("malloc_usable_size", size);
            released(blocks[k], size);
        }
        CHECK(API(realloc)(allocated("malloc", API(malloc)(size), size), test_opaque(0)) == NULL,
              "realloc(p, 0) gives a block");
        kept("realloc to 0", size);
    }
    released(NULL, 0);
    API(malloc_trim)(0);
    kept("malloc_trim", 0);
    return test_ok("errno kept by every call on %zu sizes", TEST_COUNT(tier_sizes));
}
