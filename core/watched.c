/* The public functions of libhakmem_prefixed, where a sanitizer may watch the program. The
 * sanitizer does not see what the allocator does, so it must be told:
 *
 *   ThreadSanitizer    the former use of a block's memory, and of mutexes in it, has ended. The
 *                      calls are those for a Java machine, whose heap it does not manage either.
 *   MemorySanitizer    a new block has no contents yet, whatever was written to its memory before.
 *   LeakSanitizer      (a part of AddressSanitizer) our blocks may hold the only pointers to blocks
 *                      of the program's own malloc.
 *
 * The blocks of a watched program are filled and moved by memset and memcpy, which the sanitizer
 * sees. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/api.h"
#include "core/superslab.h"

#define SANITIZER __attribute__((weak))
SANITIZER void __tsan_java_init(uintptr_t heap, uintptr_t bytes);
SANITIZER void __tsan_java_free(uintptr_t start, uintptr_t bytes);
SANITIZER void __msan_unpoison(const volatile void *start, size_t bytes);
SANITIZER void __lsan_register_root_region(const void *start, size_t bytes);

/* The functions of api.c. */
HAK_HIDDEN void *hak_unwatched_calloc(size_t count, size_t size);
HAK_HIDDEN void *hak_unwatched_realloc(void *ptr, size_t size);
HAK_HIDDEN void *hak_unwatched_aligned_alloc(size_t alignment, size_t size);
HAK_HIDDEN int hak_unwatched_posix_memalign(void **out, size_t alignment, size_t size);
HAK_HIDDEN void *hak_unwatched_memalign(size_t alignment, size_t size);
HAK_HIDDEN void *hak_unwatched_valloc(size_t size);
HAK_HIDDEN void *hak_unwatched_pvalloc(size_t size);

#define TSAN_UNIT ((size_t)8)

/* Once there is a range. However large it is, only memory in it that can be read is searched for
 * pointers. */
static void tell_range(void) {
    size_t bytes = (size_t)hak_range.granules << HAK_GRANULE_SHIFT;
    if (__tsan_java_init != NULL) __tsan_java_init(hak_range.start, bytes);
    if (__lsan_register_root_region != NULL)
        __lsan_register_root_region((const void *)hak_range.start, bytes);
}

static void tell_range_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, tell_range);
}

HAK_COLD static void tell_begun(void *user, size_t size) {
    if (user == NULL) return;
    tell_range_once(); /* the constructor of another library may be first */
    size_t bytes = hak_round_up(size == 0 ? 1 : size, TSAN_UNIT);
    if (__tsan_java_alloc != NULL) __tsan_java_alloc((uintptr_t)user, bytes);
    if (__msan_allocated_memory != NULL) __msan_allocated_memory(user, size);
}

HAK_COLD static void tell_ended(void *user) {
    size_t bytes = hak_round_up(hak_usable_size("free", user), TSAN_UNIT);
    if (__tsan_java_free != NULL) __tsan_java_free((uintptr_t)user, bytes);
}

HAK_INLINE void *begun(void *user, size_t size) {
    if (hak_os_has_sanitizer()) tell_begun(user, size);
    return user;
}

void *hak_malloc(size_t size) {
    return begun(hak_fast_malloc(size), size);
}

void hak_free(void *ptr) {
    if (hak_os_has_sanitizer() && ptr != NULL) tell_ended(ptr);
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
    if (!hak_os_has_sanitizer()) return hak_unwatched_calloc(count, size);
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
    if (size != 0)
        return hak_os_has_sanitizer() ? realloc_watched(ptr, size)
                                      : hak_unwatched_realloc(ptr, size);
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
    if (__msan_unpoison != NULL) __msan_unpoison(out, sizeof *out); /* the library wrote it */
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

__attribute__((constructor)) static void watch_begin(void) {
    if (__lsan_register_root_region == NULL) return;
    hak_fast_free(hak_fast_malloc(1)); /* there is a range from here on */
    if (hak_range_is_there()) tell_range_once();
}
