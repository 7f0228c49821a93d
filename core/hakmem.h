/* HAKMEM's public interface: the libc allocation surface under prefixed names.
 *
 * libhakmem.so and libhakmem.a have the same functions under their libc names (malloc, free, ...) too, so a program
 * needs this header only where it wants HAKMEM explicitly. libhakmem_prefixed.so and libhakmem_prefixed.a have these
 * names alone, and leave the program's malloc as it is.
 *
 * Common to all functions
 *   - sizes are in bytes; a request above PTRDIFF_MAX always fails;
 *   - every returned pointer is aligned to at least 16 bytes;
 *   - failure is NULL with errno = ENOMEM, unless a function says otherwise; success leaves errno alone;
 *   - every function may be called from any thread at any time, but not from a signal handler;
 *   - a block may be freed by any thread;
 *   - an invalid pointer (freed twice, not from HAKMEM, inside a block, header overwritten) is reported in
 *     one line on stderr, and the process ends by SIGABRT.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is declared here is exported, whatever flags its definition is compiled with. */
#pragma GCC visibility push(default)

struct mallinfo;
struct mallinfo2;

/* A block of at least `size` bytes, contents undefined. `size` 0 gives a unique block. (C11 7.22.3.4) */
void *hak_malloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* Ends a block's life; NULL is ignored; errno is kept. (C11 7.22.3.3, POSIX.1-2024) */
void hak_free(void *ptr);

/* `count * size` bytes, all zero; an overflowing product fails. (C11 7.22.3.2) */
void *hak_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

/* Changes a block's size, keeping min(old, new) bytes. On failure the old block stays. `ptr` NULL allocates;
 * `size` 0 frees the block and returns NULL, as glibc does. (C11 7.22.3.5) */
void *hak_realloc(void *ptr, size_t size) __attribute__((alloc_size(2)));

/* hak_realloc of `count * size` bytes; an overflowing product fails and keeps the block. (glibc, BSD) */
void *hak_reallocarray(void *ptr, size_t count, size_t size) __attribute__((alloc_size(2, 3)));

/* free() by a caller who knows the size last asked for. (C23 7.24.3.4) */
void hak_free_sized(void *ptr, size_t size);

/* free() of an aligned_alloc block by a caller who knows both arguments. (C23 7.24.3.5) */
void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size);

/* A block aligned to `alignment`, a power of two; any other alignment fails with EINVAL. `size` need not be a
 * multiple of it. (C17 7.22.3.1) */
void *hak_aligned_alloc(size_t alignment, size_t size)
    __attribute__((malloc, alloc_align(1), alloc_size(2)));

/* Stores an aligned block in *out and returns 0; else returns EINVAL (alignment not a power of two multiple
 * of sizeof(void *)) or ENOMEM and leaves *out and errno alone. (POSIX) */
int hak_posix_memalign(void **out, size_t alignment, size_t size);

/* aligned_alloc that rounds a bad alignment up to the next power of two; so no compiler may be told to rely on
 * `alignment` itself. (glibc) */
void *hak_memalign(size_t alignment, size_t size) __attribute__((malloc, alloc_size(2)));

/* Page-aligned allocation; hak_pvalloc also rounds the size up to whole pages. (glibc) */
void *hak_valloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *hak_pvalloc(size_t size) __attribute__((malloc));

/* Bytes that may be used at ptr, at least the size asked for; 0 for NULL. (glibc) */
size_t hak_malloc_usable_size(const void *ptr);

/* Returns unused memory to the system, keeping `pad` bytes of cached large blocks; 1 if any was returned,
 * else 0. Also where hak_mallopt has memory kept. Caches of other threads are trimmed at once, those of threads that allocate just now
 * at their next refill or flush. (glibc) */
int hak_malloc_trim(size_t pad);

/* Figures about the heap; other threads' cached blocks are counted as of their last refill or flush. docs/using.md has a table of
 * them. hak_malloc_stats prints lines on stderr, hak_malloc_info writes XML, each with the figures of glibc's beside those of
 * HAKMEM. hak_malloc_info gives 0, or EINVAL where `options` is not 0; errors of the stream are in the stream. Used are uordblks and
 * hblkhd; arena and hblkhd are from the system. hak_mallinfo is cut to INT_MAX. (glibc) */
void hak_malloc_stats(void);
int hak_malloc_info(int options, FILE *stream);
struct mallinfo hak_mallinfo(void);
struct mallinfo2 hak_mallinfo2(void);

/* Takes the parameters of <malloc.h>, each with the values that glibc takes. 1 if taken; 0 for another number or value, or if there
 * is no memory. The later call holds. (glibc)
 *   - M_TRIM_THRESHOLD: bytes of freed large blocks kept for reuse, rounded up to MiB; below 0: without limit.
 *   - M_MMAP_MAX 0, or less, with M_TRIM_THRESHOLD below 0: no memory goes back to the system but by hak_malloc_trim. What a
 *     program has written to once is there for blocks of any size, of any thread, without a page fault. M_MMAP_MAX by itself
 *     has no other effect.
 *   - M_MMAP_THRESHOLD: large blocks (above 52 KiB) of at least so many bytes give their memory back when they are freed, unless
 *     M_MMAP_MAX is 0; below 0: none does, as at first.
 *   - M_MXFAST (0 to 160), M_TOP_PAD, M_PERTURB, M_CHECK_ACTION, M_ARENA_TEST, M_ARENA_MAX, M_NLBLKS, M_GRAIN, M_KEEP: taken,
 *     without effect. Blocks are never filled here; the audit build does. */
int hak_mallopt(int parameter, int value);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
