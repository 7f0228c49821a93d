/* What the libc surface and the C++ operators are made of. */
#ifndef HAK_API_H
#define HAK_API_H

#include "core/hakmem.h"
#include "core/slow.h"

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

#endif
