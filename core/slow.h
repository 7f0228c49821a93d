/* The rare operations: aligned and zeroed blocks, realloc, sizes, and memory that goes back. Any
 * thread. */
#ifndef HAK_SLOW_H
#define HAK_SLOW_H

#include "core/fast.h"
#include "core/purge.h"

/* A block of `size` zero bytes. Here and below, NULL and errno = ENOMEM if there is no memory. */
void *hak_alloc_zeroed(size_t size);

/* A block of `size` bytes at a multiple of `align`, a power of two. */
void *hak_alloc_aligned(size_t align, size_t size);

/* realloc of a live block to size > 0. */
void *hak_realloc_block(void *user, size_t size);

/* The bytes that may be used at a live block. If `user` is none, a message that names
 * `operation` ends the program. */
size_t hak_usable_size(const char *operation, const void *user);

/* hak_purge for the calling thread's heap, if it has one. */
size_t hak_purge_now(enum hak_purge_reason reason, size_t pad);
/* hak_keep, in the same way. */
void hak_keep_now(void);

#endif
