/* The rare operations: aligned and zeroed blocks, realloc, sizes, and memory that goes back. Any
 * thread. */
#ifndef HAK_SLOW_H
#define HAK_SLOW_H

#include "core/fast.h"

/* A block of `size` zero bytes. Here and below, NULL and errno = ENOMEM if there is no memory. */
void *hak_alloc_zeroed(size_t size);

/* A block of `size` bytes at a multiple of `align`, a power of two. */
void *hak_alloc_aligned(size_t align, size_t size);

/* realloc of a live block to size > 0. */
void *hak_realloc_block(void *user, size_t size);

/* The bytes that may be used at a live block. If `user` is none, a message that names
 * `operation` ends the program. */
size_t hak_usable_size(const char *operation, const void *user);

/* Called when the policy begins to keep memory: hak_keep_begin for the calling thread's heap. */
void hak_keep_memory(void);

/* Gives cached memory back to the system, except `keep_large` bytes of large blocks; returns the
 * bytes. */
size_t hak_release_unused(size_t keep_large);

#endif
