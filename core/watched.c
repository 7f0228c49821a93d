/* The public functions of libhakmem_prefixed where a sanitizer may watch the program. The sanitizer does not see what the
 * allocator does, so it must be told:
 *
 *   ThreadSanitizer    what a thread did to a block before free comes before what another does to it after malloc
 *   MemorySanitizer    a new block has no contents yet, whatever was written to that memory before
 *   LeakSanitizer      which is part of AddressSanitizer: our blocks can hold the only pointers to blocks of the program's
 *                      own malloc
 *
 * A watched program's blocks are filled and moved by memset and memcpy, which the sanitizer does see. */
#include <errno.h>
#include <string.h>

#include "core/api.h"
#include "core/superslab.h"

#define SANITIZER __attribute__((weak))
SANITIZER void __tsan_acquire(void *address);
SANITIZER void __tsan_release(void *address);
SANITIZER void __msan_allocated_memory(const volatile void *start, size_t bytes);
SANITIZER void __msan_unpoison(const volatile void *start, size_t bytes);
SANITIZER void __lsan_register_root_region(const void *start, size_t bytes);

/* Those of api.c. */
HAK_HIDDEN void *hak_unwatched_calloc(size_t count, size_t size);
HAK_HIDDEN void *hak_unwatched_realloc(void *ptr, size_t size);
HAK_HIDDEN void *hak_unwatched_aligned_alloc(size_t alignment, size_t size);
HAK_HIDDEN int hak_unwatched_posix_memalign(void **out, size_t alignment, size_t size);
HAK_HIDDEN void *hak_unwatched_memalign(size_t alignment, size_t size);
HAK_HIDDEN void *hak_unwatched_valloc(size_t size);
HAK_HIDDEN void *hak_unwatched_pvalloc(size_t size);

HAK_INLINE bool is_watched(void) {
    return HAK_UNLIKELY(__tsan_acquire != NULL) || HAK_UNLIKELY(__msan_allocated_memory != NULL);
}

HAK_COLD static void tell_begun(void *user, size_t size) {
    if (user == NULL) return;
    if (__tsan_acquire != NULL) __tsan_acquire(user);
    if (__msan_allocated_memory != NULL) __msan_allocated_memory(user, size);
}

HAK_INLINE void *begun(void *user, size_t size) {
    if (is_watched()) tell_begun(user, size);
    return user;
}

void *hak_malloc(size_t size) {
    return begun(hak_fast_malloc(size), size);
}

void hak_free(void *ptr) {
    if (__tsan_release != NULL && ptr != NULL) __tsan_release(ptr);
    hak_fast_free(ptr);
}

void hak_free_sized(void *ptr, size_t size) {
    (void)size;
    hak_free(ptr);
}

void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    hak_free(ptr);
}

void *hak_calloc(size_t count, size_t size) {
    size_t bytes;
    if (!is_watched()) return hak_unwatched_calloc(count, size);
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *user = hak_malloc(bytes);
    return user == NULL ? NULL : memset(user, 0, bytes);
}

static void *realloc_watched(void *ptr, size_t size) {
    size_t usable = hak_usable_size("realloc", ptr);
    void *user = hak_malloc(size);
    if (user == NULL) return NULL;
    memcpy(user, ptr, size < usable ? size : usable);
    hak_free(ptr);
    return user;
}

void *hak_realloc(void *ptr, size_t size) {
    if (ptr == NULL) return hak_malloc(size);
    if (size != 0) return is_watched() ? realloc_watched(ptr, size) : hak_unwatched_realloc(ptr, size);
    hak_free(ptr);
    return NULL;
}

void *hak_reallocarray(void *ptr, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return hak_realloc(ptr, bytes);
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
    return begun(hak_unwatched_aligned_alloc(alignment, size), size);
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
    int error = hak_unwatched_posix_memalign(out, alignment, size);
    if (error != 0) return error;
    if (__msan_unpoison != NULL) __msan_unpoison(out, sizeof *out); /* we wrote it */
    begun(*out, size);
    return 0;
}

void *hak_memalign(size_t alignment, size_t size) {
    return begun(hak_unwatched_memalign(alignment, size), size);
}

void *hak_valloc(size_t size) {
    return begun(hak_unwatched_valloc(size), size);
}

void *hak_pvalloc(size_t size) {
    return begun(hak_unwatched_pvalloc(size), size);
}

/* Only memory that can be read is searched for pointers, however large the range is. */
__attribute__((constructor)) static void watch_begin(void) {
    if (__lsan_register_root_region == NULL) return;
    hak_fast_free(hak_fast_malloc(1)); /* the range exists from here on */
    if (!hak_range_is_there()) return;
    __lsan_register_root_region((const void *)hak_range.start,
                                (size_t)hak_range.granules << HAK_GRANULE_SHIFT);
}
