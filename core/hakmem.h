/* HAKMEM's public interface: the allocation functions of libc under prefixed names.
 *
 * libhakmem.so and libhakmem.a have the same functions under their libc names (malloc, free,
 * ...), too, so a program needs this header only where it wants HAKMEM explicitly.
 * libhakmem_prefixed.so and libhakmem_prefixed.a have only the prefixed names, and leave the
 * program's malloc as it is.
 *
 * Common to all functions
 *   - Sizes are in bytes. A request above PTRDIFF_MAX always fails.
 *   - Every returned pointer is aligned to at least 16 bytes.
 *   - Failure is NULL with errno = ENOMEM, unless a function says otherwise. Success leaves
 *     errno alone.
 *   - Every function may be called from any thread at any time, but not from a signal handler.
 *   - A block may be freed by any thread.
 *   - An invalid pointer (freed twice, not from HAKMEM, inside a block, header overwritten) is
 *     reported in one line on stderr, and the process ends by SIGABRT. */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The functions declared here are exported, whatever flags their definitions are compiled with. */
#pragma GCC visibility push(default)

struct mallinfo;
struct mallinfo2;

/* The version that this header belongs to. A release with another major number may break programs
 * that were linked with this one: the number is a part of the library's soname. A release with
 * another minor number adds to the interface. The build takes the numbers from here. */
#define HAKMEM_VERSION_MAJOR   1
#define HAKMEM_VERSION_MINOR   0
#define HAKMEM_VERSION_PATCH   0
#define HAKMEM_TEXT_OF(number) #number
#define HAKMEM_TEXT(number)    HAKMEM_TEXT_OF(number)
#define HAKMEM_VERSION                                                                             \
    HAKMEM_TEXT(HAKMEM_VERSION_MAJOR)                                                              \
    "." HAKMEM_TEXT(HAKMEM_VERSION_MINOR) "." HAKMEM_TEXT(HAKMEM_VERSION_PATCH)

/* Returns the version of the library that is in the process, in the form of HAKMEM_VERSION. */
const char *hak_version(void);

/* Returns a block of at least `size` bytes, whose contents are undefined. `size` 0 gives a
 * unique block. (C11 7.22.3.4) */
void *hak_malloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* Frees a block. NULL is ignored, and errno is kept. (C11 7.22.3.3, POSIX.1-2024) */
void hak_free(void *ptr);

/* Returns a block of `count * size` bytes, all zero. A product that overflows fails. (C11
 * 7.22.3.2) */
void *hak_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

/* Changes a block's size, and keeps min(old, new) bytes of its contents. On failure the old
 * block stays as it is. With `ptr` NULL, a block is allocated. With `size` 0, the block is freed
 * and the result is NULL, as in glibc. (C11 7.22.3.5) */
void *hak_realloc(void *ptr, size_t size) __attribute__((alloc_size(2)));

/* As hak_realloc for `count * size` bytes. A product that overflows fails, and the block stays.
 * (glibc, BSD) */
void *hak_reallocarray(void *ptr, size_t count, size_t size) __attribute__((alloc_size(2, 3)));

/* As hak_free, for a caller who knows the size that was asked for last. (C23 7.24.3.4) */
void hak_free_sized(void *ptr, size_t size);

/* As hak_free for a block of hak_aligned_alloc, for a caller who knows both arguments. (C23
 * 7.24.3.5) */
void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size);

/* Returns a block aligned to `alignment`, a power of two. Any other alignment fails with EINVAL.
 * `size` need not be a multiple of `alignment`. (C17 7.22.3.1) */
void *hak_aligned_alloc(size_t alignment, size_t size)
    __attribute__((malloc, alloc_align(1), alloc_size(2)));

/* Stores an aligned block in *out and returns 0. Otherwise returns EINVAL (`alignment` is not a
 * power of two, or not a multiple of sizeof(void *)) or ENOMEM, and leaves *out and errno alone.
 * (POSIX) */
int hak_posix_memalign(void **out, size_t alignment, size_t size);

/* As hak_aligned_alloc, but an alignment that is no power of two is rounded up to the next one.
 * So no compiler may be told to rely on `alignment` itself. An alignment that exceeds any block
 * fails with EINVAL. (glibc) */
void *hak_memalign(size_t alignment, size_t size) __attribute__((malloc, alloc_size(2)));

/* Return a page-aligned block. hak_pvalloc also rounds the size up to whole pages. (glibc) */
void *hak_valloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *hak_pvalloc(size_t size) __attribute__((malloc));

/* Returns the bytes that may be used at `ptr`: at least the size that was asked for, or 0 for
 * NULL. (glibc) */
size_t hak_malloc_usable_size(const void *ptr);

/* Returns unused memory to the system, but keeps `pad` bytes of what waits. The result
 * is 1 if any memory was returned, else 0. Memory is returned even if hak_mallopt has set that
 * it is kept. The caches of other threads are trimmed at once; a thread that is allocating at
 * this moment trims its cache at its next refill or flush. (glibc) */
int hak_malloc_trim(size_t pad);

/* Report figures about the heap. Blocks in the caches of other threads are counted as of the
 * last refill or flush. A table in docs/using.md explains the figures. hak_malloc_stats prints
 * lines on stderr, and hak_malloc_info writes XML; each has the figures of glibc beside those of
 * HAKMEM. hak_malloc_info returns 0, or EINVAL if `options` is not 0. Errors of the stream are
 * left in the stream. In hak_mallinfo and hak_mallinfo2, uordblks and hblkhd are in use, and
 * arena and hblkhd come from the system. hak_mallinfo cuts each figure to INT_MAX. (glibc) */
void hak_malloc_stats(void);
int hak_malloc_info(int options, FILE *stream);
struct mallinfo hak_mallinfo(void);
struct mallinfo2 hak_mallinfo2(void);

/* Takes the parameters of <malloc.h>, each with the values that glibc takes. The result is 1 if
 * the parameter was taken. It is 0 for another number or value, or if there is no memory. A
 * later call replaces an earlier one. (glibc)
 *   - M_TRIM_THRESHOLD: bytes of freed memory that wait for reuse, rounded up to MiB.
 *     Below 0, there is no limit.
 *   - M_MMAP_MAX of 0 or less, with M_TRIM_THRESHOLD below 0: only hak_malloc_trim returns memory
 *     to the system. Memory that a program has written to once then serves blocks of any size, of
 *     any thread, without a page fault. M_MMAP_MAX by itself has no other effect.
 *   - M_MMAP_THRESHOLD: large blocks (above 52 KiB) of at least so many bytes give their memory
 *     back when they are freed, unless M_MMAP_MAX is 0. Below 0, none does; this is the default.
 *   - M_MXFAST (0 to 160), M_TOP_PAD, M_PERTURB, M_CHECK_ACTION, M_ARENA_TEST, M_ARENA_MAX,
 *     M_NLBLKS, M_GRAIN, M_KEEP: taken, without effect. Blocks are never filled, except in the
 *     audit build. */
int hak_mallopt(int parameter, int value);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
