// An allocator library that passes every call on to libc. It has no fault unless FAULT or
// LACKS_REALLOC chooses one.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <unistd.h>

enum { FAULT_NONE, FAULT_REALLOC_SPOILS, FAULT_CHATTER, FAULT_ENDS_BADLY };

#ifndef FAULT
#define FAULT FAULT_NONE
#endif

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

void *malloc(size_t size) {
    return __libc_malloc(size);
}
void free(void *block) {
    __libc_free(block);
}

void *calloc(size_t count, size_t size) {
    return __libc_calloc(count, size);
}

#ifndef LACKS_REALLOC
void *realloc(void *block, size_t size) {
    char *moved = __libc_realloc(block, size);
    if (FAULT == FAULT_REALLOC_SPOILS && block && moved && size > 10000) moved[5000] ^= 1;
    return moved;
}
#endif

void *reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(block, bytes);
}

void *memalign(size_t alignment, size_t size) {
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    return __libc_memalign(alignment, size);
}
void *valloc(size_t size) {
    return __libc_memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    void *block = __libc_memalign(alignment, size);
    if (!block) return ENOMEM;
    *result = block;
    return 0;
}

__attribute__((constructor)) static void chatter(void) {
    static const char line[] = "forwards: ready\n";
    if (FAULT == FAULT_CHATTER && write(STDERR_FILENO, line, sizeof line - 1) < 0) _exit(1);
}

__attribute__((destructor)) static void end_badly(void) {
    if (FAULT == FAULT_ENDS_BADLY) _exit(7);
}
