/* Under a limit on address space, all memory is taken. Then every allocating call fails: it returns
 * NULL with ENOMEM, or posix_memalign returns ENOMEM. realloc keeps its block. After the memory is
 * freed, the same request succeeds. */
#include "../pattern.h"
#include "../process.h"
#include "chain.h"

static void refused(const char *call, const void *block, size_t size) {
    CHECK(block == NULL && errno == ENOMEM, "%s of %zu bytes gives %p, errno %d", call, size, block,
          errno);
    errno = 0;
}

static void all_refuse(void *kept, size_t size) {
    errno = 0;
    refused("malloc", malloc(size), size);
    refused("calloc", calloc(2, size / 2), size);
    refused("realloc(NULL)", realloc(NULL, size), size);
    refused("realloc", realloc(test_opaque_pointer(kept), size), size);
    refused("reallocarray", reallocarray(test_opaque_pointer(kept), 2, size / 2), size);
    refused("aligned_alloc", aligned_alloc(64, size), size);
    refused("memalign", memalign(4096, size), size);
    refused("valloc", valloc(size), size);
    refused("pvalloc", pvalloc(size), size);
    void *untouched = kept;
    int error = posix_memalign(&untouched, 64, size);
    CHECK(error == ENOMEM && untouched == kept, "posix_memalign of %zu bytes returns %d", size,
          error);
}

int main(void) {
    test_needs_hakmem();
    size_t size = 8 * MIB;
    static const size_t kept_sizes[] = {100, 5000, 20000, 100000, 3000000};
    void *kept[TEST_COUNT(kept_sizes)];
    for (size_t i = 0; i < TEST_COUNT(kept_sizes); i++) {
        kept[i] = malloc(kept_sizes[i]);
        pattern_fill(kept[i], kept_sizes[i], i);
    }
    struct link *chain = NULL;
    void *block;
    for (size_t part = size; part >= 24; part /= 2) /* down to the last small piece */
        while ((block = malloc(part)) != NULL)
            chain_push(&chain, block, part);
    for (size_t i = 0; i < TEST_COUNT(kept_sizes); i++) {
        all_refuse(kept[i], size);
        PATTERN_CHECK(kept[i], kept_sizes[i], i);
    }
    size_t count = chain_check(chain);
    chain_free(&chain, SIZE_MAX);
    block = malloc(size);
    CHECK(block != NULL, "%zu bytes are refused after everything was freed", size);
    free(block);
    for (size_t i = 0; i < TEST_COUNT(kept_sizes); i++) {
        PATTERN_CHECK(kept[i], kept_sizes[i], i);
        free(kept[i]);
    }
    return test_ok("10 calls refused with %zu blocks alive", count);
}
