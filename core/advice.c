/* madvise, mlock, mlock2 and mprotect. They note where a program gives pages of its blocks
 * properties that outlive the block. Otherwise later blocks at this place would be missing in a
 * child of fork, or stay locked. With libc's malloc such pages disappear when the block is
 * freed, because a large block is a mapping of its own.
 *
 * The record of a large block says that its pages have to be renewed, as if they had been moved
 * (large.h). Smaller blocks share pages with others, as they do with libc's malloc. After the
 * note the next function of the name is called: libc's, or that of a library that wraps libc's.
 * Until the constructor has looked up that function, and in a static program, the system itself
 * is called.
 *
 * Any thread, also in a signal handler. No lock is taken, and no function of the allocator calls
 * these functions. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

#include "core/hooks.h"
#include "core/large.h"
#include "core/syscall.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define EXPORT __attribute__((visibility("default")))

/* ---- the next functions ---------------------------------------------------------------------- */

typedef int advises(void *start, size_t bytes, int advice);
typedef int locks(const void *start, size_t bytes);
typedef int locks_by(const void *start, size_t bytes, unsigned flags);

static _Atomic(advises *) next_madvise, next_mprotect;
static _Atomic(locks *) next_mlock;
static _Atomic(locks_by *) next_mlock2;

#if HAK_STATIC_LIB
/* Weak: before glibc 2.34 not every program had dlsym. */
__attribute__((weak)) void *dlsym(void *handle, const char *name);
#define HAS_DLSYM (dlsym != NULL)
#else
#define HAS_DLSYM true
#endif

/* relaxed, here and below: the functions existed before their addresses were stored */
#define LOOK_UP(name)                                                                              \
    hak_hook_atomic(&next_##name, sizeof next_##name);                                             \
    atomic_store_explicit(&next_##name, (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name),    \
                          memory_order_relaxed)

__attribute__((constructor)) static void look_up(void) {
    if (!HAS_DLSYM) return;
    LOOK_UP(madvise);
    LOOK_UP(mprotect);
    LOOK_UP(mlock);
    LOOK_UP(mlock2);
}

static int by_system(long number, const void *start, size_t bytes, int third) {
    long done = hak_syscall3(number, hak_syscall_pointer(start), (long)bytes, third);
    if (!hak_syscall_failed(done)) return 0;
    errno = (int)-done;
    return -1;
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* Other advice has no effect that a later block would suffer from. Advice about huge pages is
 * not noted, because a program that gives it does so again and again. */
static bool outlives(int advice) {
    return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_DONTDUMP;
}

EXPORT int madvise(void *start, size_t bytes, int advice) {
    if (outlives(advice)) hak_large_mark_pages(start, bytes);
    advises *next = atomic_load_explicit(&next_madvise, memory_order_relaxed);
    return next != NULL ? next(start, bytes, advice) : by_system(SYS_madvise, start, bytes, advice);
}

EXPORT int mprotect(void *start, size_t bytes, int rights) {
    if (rights != (PROT_READ | PROT_WRITE)) hak_large_mark_pages(start, bytes);
    advises *next = atomic_load_explicit(&next_mprotect, memory_order_relaxed);
    return next != NULL ? next(start, bytes, rights)
                        : by_system(SYS_mprotect, start, bytes, rights);
}

EXPORT int mlock(const void *start, size_t bytes) {
    hak_large_mark_pages(start, bytes);
    locks *next = atomic_load_explicit(&next_mlock, memory_order_relaxed);
    return next != NULL ? next(start, bytes) : by_system(SYS_mlock, start, bytes, 0);
}

EXPORT int mlock2(const void *start, size_t bytes, unsigned flags) {
    hak_large_mark_pages(start, bytes);
    locks_by *next = atomic_load_explicit(&next_mlock2, memory_order_relaxed);
    return next != NULL ? next(start, bytes, flags)
                        : by_system(SYS_mlock2, start, bytes, (int)flags);
}
