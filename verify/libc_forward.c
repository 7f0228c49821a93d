/* The whole library of the libc variant: every prefixed entry point forwards to libc's function. So
 * a program that allocates through hakmem.h shows each of its blocks to ASan, TSan, MSan, LSan or
 * another malloc. The libc names and the C++ operators stay with libc or the sanitizer.
 *
 * Every call is a tail call and is compiled to a jump (ci/variants/libc.mk), so the sanitizer sees
 * the program's line as its caller. Otherwise TSan would lose that line, because nothing here is
 * instrumented. */
#include "core/hakmem.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#define HAK_EXPORT __attribute__((visibility("default")))

HAK_EXPORT void *hak_malloc(size_t size) {
    return malloc(size);
}

HAK_EXPORT void hak_free(void *ptr) {
    free(ptr);
}

HAK_EXPORT void *hak_calloc(size_t count, size_t size) {
    return calloc(count, size);
}

HAK_EXPORT void *hak_realloc(void *ptr, size_t size) {
    return realloc(ptr, size);
}

/* Does not call libc's reallocarray: not every sanitizer intercepts it. Also, hakmem.h promises
 * that an overflow returns NULL, while ASan's reallocarray ends the program. */
HAK_EXPORT void *hak_reallocarray(void *ptr, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(ptr, bytes);
}

/* C23 functions, which libc may lack. */
HAK_EXPORT void hak_free_sized(void *ptr, size_t size) {
    (void)size;
    free(ptr);
}

HAK_EXPORT void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    free(ptr);
}

/* Calls memalign, because the aligned_alloc of sanitizers refuses a size that is no multiple of the
 * alignment, which hakmem.h allows. */
HAK_EXPORT void *hak_aligned_alloc(size_t alignment, size_t size) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return memalign(alignment < sizeof(void *) ? sizeof(void *) : alignment, size);
}

HAK_EXPORT int hak_posix_memalign(void **out, size_t alignment, size_t size) {
    return posix_memalign(out, alignment, size);
}

HAK_EXPORT void *hak_memalign(size_t alignment, size_t size) {
    if (alignment > PTRDIFF_MAX) {
        errno = EINVAL;
        return NULL;
    }
    size_t power = sizeof(void *); /* libc rounds the alignment up; sanitizers refuse it */
    while (power < alignment)
        power *= 2;
    return memalign(power, size);
}

HAK_EXPORT void *hak_valloc(size_t size) {
    return valloc(size);
}

HAK_EXPORT void *hak_pvalloc(size_t size) {
    return pvalloc(size);
}

HAK_EXPORT size_t hak_malloc_usable_size(const void *ptr) {
    if (ptr == NULL) return 0; /* LSan's function would read at NULL */
    return malloc_usable_size((void *)(uintptr_t)ptr);
}

HAK_EXPORT int hak_malloc_trim(size_t pad) {
    return malloc_trim(pad);
}

HAK_EXPORT void hak_malloc_stats(void) {
    malloc_stats();
}

HAK_EXPORT int hak_malloc_info(int options, FILE *stream) {
    return malloc_info(options, stream);
}

HAK_EXPORT struct mallinfo2 hak_mallinfo2(void) {
    return mallinfo2();
}

/* glibc marks mallinfo as deprecated in favour of mallinfo2. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
HAK_EXPORT struct mallinfo hak_mallinfo(void) {
    return mallinfo();
}
#pragma GCC diagnostic pop

HAK_EXPORT const char *hak_version(void) {
    return HAKMEM_VERSION;
}

HAK_EXPORT int hak_mallopt(int parameter, int value) {
    return mallopt(parameter, value);
}
