/* A library that counts blocks and frees. It is loaded before HAKMEM, and passes each call on to
 * the next library. NAMES says how many names it takes over:
 *   1   malloc and free
 *   2   also all other names of libc that allocate, except valloc and pvalloc
 *   3   also valloc, pvalloc and the sized frees */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(name) *next;                                                             \
        if (next == NULL) next = (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name);           \
        next;                                                                                      \
    })

static int allocations, frees;

void *malloc(size_t size) {
    allocations++;
    return NEXT(malloc)(size);
}

void free(void *block) {
    if (block != NULL) frees++;
    NEXT(free)(block);
}

#if NAMES >= 2
void *calloc(size_t count, size_t size) {
    allocations++;
    return NEXT(calloc)(count, size);
}

void *realloc(void *block, size_t size) {
    allocations++;
    if (block != NULL) frees++;
    return NEXT(realloc)(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    if (size % alignment != 0) abort(); /* C11 */
    allocations++;
    return NEXT(aligned_alloc)(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    allocations++;
    return NEXT(memalign)(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    allocations++;
    return NEXT(posix_memalign)(out, alignment, size);
}
#endif

#if NAMES >= 3
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

void *valloc(size_t size) {
    allocations++;
    return NEXT(valloc)(size);
}

void *pvalloc(size_t size) {
    allocations++;
    return NEXT(pvalloc)(size);
}

void free_sized(void *block, size_t size) {
    frees++;
    NEXT(free_sized)(block, size);
}

void free_aligned_sized(void *block, size_t alignment, size_t size) {
    frees++;
    NEXT(free_aligned_sized)(block, alignment, size);
}
#endif

__attribute__((destructor)) static void say(void) {
    char text[64];
    int length = snprintf(text, sizeof text, "counted %d %d\n", allocations, frees);
    if (write(STDERR_FILENO, text, (size_t)length) != length) _exit(9);
}
