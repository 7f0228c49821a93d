/* Every function that takes a size refuses an impossible size with NULL and ENOMEM, and realloc
 * keeps the block. */
#include "api.h"
#include "../pattern.h"

static void refused(const char *call, void *result, size_t size) {
    CHECK(result == NULL && errno == ENOMEM, "%s of %#zx bytes gives %p, errno %d", call, size,
          result, errno);
    errno = 0;
}

static void refuses(size_t size, void *kept) {
    errno = 0;
    refused("malloc", API(malloc)(size), size);
    refused("calloc(1, n)", API(calloc)(1, size), size);
    refused("calloc(n, 1)", API(calloc)(size, 1), size);
    refused("realloc(NULL)", API(realloc)(NULL, size), size);
    refused("realloc", API(realloc)(test_opaque_pointer(kept), size), size);
    refused("reallocarray", API(reallocarray)(test_opaque_pointer(kept), size, 1), size);
    refused("valloc", API(valloc)(size), size);
    refused("pvalloc", API(pvalloc)(size), size);
    for (size_t alignment = 1; alignment <= (size_t)1 << 21; alignment *= 2) {
        refused("aligned_alloc", API(aligned_alloc)(test_opaque(alignment), size), size);
        refused("memalign", API(memalign)(test_opaque(alignment), size), size);
        if (alignment < sizeof(void *)) continue;
        void *out = &errno;
        int error = API(posix_memalign)(&out, test_opaque(alignment), size);
        CHECK(error == ENOMEM && out == &errno && errno == 0,
              "posix_memalign(%zu, %#zx) = %d, stores %p, errno %d", alignment, size, error, out,
              errno);
    }
}

int main(void) {
    test_needs_hakmem();
    static const size_t kept_sizes[] = {100, 5000, 20000, 100000, 5000000};
    for (size_t k = 0; k < TEST_COUNT(kept_sizes); k++) {
        void *kept = API(malloc)(kept_sizes[k]);
        pattern_fill(kept, kept_sizes[k], k);
        for (size_t i = 0; i < TEST_COUNT(impossible_sizes); i++)
            refuses(test_opaque(impossible_sizes[i]), kept);
        PATTERN_CHECK(kept, kept_sizes[k], k);
        API(free)(kept);
    }
    return test_ok("%zu sizes refused", TEST_COUNT(impossible_sizes));
}
