/* What is rare: aligned and zeroed blocks, realloc, sizes, memory that goes back. Any thread. */
#ifndef HAK_SLOW_H
#define HAK_SLOW_H

#include "core/fast.h"

/* `size` zero bytes. NULL and errno = ENOMEM if there is no memory, here and below. */
void *hak_alloc_zeroed(size_t size);

/* `size` bytes at a multiple of `align`, a power of two. */
void *hak_alloc_aligned(size_t align, size_t size);

/* realloc of a live block to size > 0. */
void *hak_realloc_block(void *user, size_t size);

/* Bytes that may be used at a live block; a message that names `operation` if it is none. */
size_t hak_usable_size(const char *operation, const void *user);

/* The policy keeps memory from here on: that of the calling thread is readied. */
void hak_keep_memory(void);

/* Gives cached memory back to the system, but for so many bytes of large blocks; returns the bytes. */
size_t hak_release_unused(size_t keep_large);

#endif
