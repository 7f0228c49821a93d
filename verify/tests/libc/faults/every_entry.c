/* Every entry point works as hakmem.h says, with and without a sanitizer. */
#include "planted.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#define DEMAND(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: %s\n", __LINE__, #condition);                                         \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static bool aligned(const void *block, size_t alignment) {
    return block != NULL && (uintptr_t)block % alignment == 0;
}

static int allocate(void) {
    /* Only a factor of sizes: a sanitizer ends the program if a single size is too large. */
    volatile size_t huge = SIZE_MAX / 2;
    char *block = hak_malloc(100);
    DEMAND(aligned(block, 16));
    memset(block, 7, 100);
    DEMAND(hak_malloc_usable_size(block) >= 100);
    block = hak_realloc(block, 1000);
    DEMAND(block != NULL && block[99] == 7);
    block = hak_reallocarray(block, 20, 100);
    DEMAND(block != NULL && block[99] == 7);
    errno = 0;
    DEMAND(hak_reallocarray(block, huge, 4) == NULL && errno == ENOMEM);
    hak_free(block);
    hak_free(NULL);
    DEMAND(hak_malloc_usable_size(NULL) == 0);
    block = hak_calloc(10, 10);
    DEMAND(block != NULL && block[0] == 0 && block[99] == 0);
    hak_free_sized(block, 100);
    return 0;
}

static int align(void) {
    volatile size_t odd = 24;
    void *block = NULL;
    for (size_t alignment = 1; alignment <= 8192; alignment *= 2) {
        block = hak_aligned_alloc(alignment, 100);
        DEMAND(aligned(block, alignment));
        hak_free_aligned_sized(block, alignment, 100);
    }
    errno = 0;
    DEMAND(hak_aligned_alloc(odd, 100) == NULL && errno == EINVAL);
    DEMAND(hak_posix_memalign(&block, 256, 100) == 0 && aligned(block, 256));
    hak_free(block);
    block = hak_memalign(odd, 100);
    DEMAND(aligned(block, 32));
    hak_free(block);
    block = hak_valloc(100);
    DEMAND(aligned(block, 4096));
    hak_free(block);
    block = hak_pvalloc(100);
    DEMAND(aligned(block, 4096));
    hak_free(block);
    return 0;
}

int main(void) {
    if (allocate() != 0 || align() != 0) return 1;
    (void)hak_malloc_trim(0);
    (void)hak_mallopt(M_TRIM_THRESHOLD, 1 << 20);
    hak_malloc_stats();
    FILE *nowhere = fopen("/dev/null", "w");
    DEMAND(nowhere != NULL && hak_malloc_info(0, nowhere) == 0);
    fclose(nowhere);
    struct mallinfo2 wide = hak_mallinfo2();
    struct mallinfo narrow = hak_mallinfo();
    (void)wide;
    (void)narrow;
    puts("every entry works");
    return 0;
}
