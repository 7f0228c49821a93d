/* Every allocating call gives a unique block for size 0. realloc(p, 0) frees and returns NULL. NULL
 * is a valid argument. */
#include "api.h"
#include "../process.h"

enum { BLOCKS = 1000 };

static void *empty(size_t call) {
    void *block = NULL;
    size_t zero = test_opaque(0);
    switch (call % 8) {
    case 0:
        return API(malloc)(zero);
    case 1:
        return API(calloc)(zero, 8);
    case 2:
        return API(calloc)(8, zero);
    case 3:
        return API(realloc)(NULL, zero);
    case 4:
        return API(aligned_alloc)(64, zero);
    case 5:
        return API(memalign)(32, zero);
    case 6:
        return API(posix_memalign)(&block, 16, zero) == 0 ? block : NULL;
    default:
        return API(reallocarray)(NULL, zero, test_opaque(SIZE_MAX));
    }
}

int main(void) {
    test_needs_hakmem();
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = empty(i);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0, "call %zu gives %p", i % 8,
              blocks[i]);
        for (size_t k = 0; k < i; k++)
            CHECK(blocks[k] != blocks[i], "empty blocks %zu and %zu are both %p", k, i, blocks[i]);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        API(free)(blocks[i]);

    /* If realloc(p, 0) did not free, these rounds would keep 8 GiB. */
    size_t before = process_resident();
    for (size_t i = 0; i < 200000; i++) {
        size_t size = i % 4 == 0 ? 100000 : i % 4 == 1 ? 40000 : i % 4 == 2 ? 4000 : 400;
        void *block = API(malloc)(size);
        memset(block, 1, size);
        void *none = i % 3 == 0 ? API(reallocarray)(block, test_opaque(0), 8)
                                : API(realloc)(block, test_opaque(0));
        CHECK(none == NULL, "realloc(p, 0) gives %p", none);
    }
    size_t after = process_resident();
    CHECK(after < before + 32 * MIB, "resident bytes grow from %zu to %zu", before, after);

    API(free)(NULL);
    API(free_sized)(NULL, 10);
    API(free_aligned_sized)(NULL, 16, 10);
    CHECK(API(malloc_usable_size)(NULL) == 0, "malloc_usable_size(NULL) is not 0");
    void *block = API(realloc)(NULL, test_opaque(50));
    CHECK(block != NULL && API(malloc_usable_size)(block) >= 50, "realloc(NULL, 50) gives %p",
          block);
    API(free)(block);
    return test_ok("%d empty blocks are distinct", BLOCKS);
}
