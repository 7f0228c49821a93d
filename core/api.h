/* What the libc surface and the C++ operators are made of. */
#ifndef HAK_API_H
#define HAK_API_H

#include "core/fast.h"
#include "core/hakmem.h"

/* Ours, at their own addresses; only where the library has the libc names. */
HAK_HIDDEN void *hak_own_malloc(size_t size) __attribute__((malloc, alloc_size(1)));
HAK_HIDDEN void hak_own_free(void *ptr);
HAK_HIDDEN void *hak_own_aligned_alloc(size_t alignment, size_t size)
    __attribute__((malloc, alloc_align(1), alloc_size(2)));

/* True if everybody's `name` is ours, and neither the program nor another library has put its own before it: a
 * compare with a word of the loader's, and no state. */
#define HAK_IS_OURS(name) hak_is_ours((uintptr_t)(name), (uintptr_t)hak_own_##name)

HAK_INLINE bool hak_is_ours(uintptr_t public_name, uintptr_t own_name) {
    __asm__("" : "+r"(own_name)); /* or a compiler may say that two names are two functions */
    return HAK_LIKELY(public_name == own_name);
}

/* `size` zero bytes. NULL and errno = ENOMEM if there is no memory, here and below. */
void *hak_alloc_zeroed(size_t size);

/* `size` bytes at a multiple of `align`, a power of two. */
void *hak_alloc_aligned(size_t align, size_t size);

/* realloc of a live block to size > 0. */
void *hak_alloc_again(void *user, size_t size);

/* Bytes that may be used at a live block; a message that names `operation` if it is none. */
size_t hak_usable_size(const char *operation, const void *user);

/* The policy keeps memory from here on: that of the calling thread is readied. */
void hak_keep_memory(void);

/* Gives cached memory back to the system, but for so many bytes of large blocks; returns the bytes. */
size_t hak_release_unused(size_t keep_large);

#endif
