/* Our functions for the libc surface and the C++ operators, and whether a public name is ours. */
#ifndef HAK_API_H
#define HAK_API_H

#include "core/hakmem.h"
#include "core/slow.h"

/* Our functions under hidden names, whose addresses nobody replaces; only in libraries with the
 * libc names. */
HAK_HIDDEN void *hak_own_malloc(size_t size) __attribute__((malloc, alloc_size(1)));
HAK_HIDDEN void hak_own_free(void *ptr);
HAK_HIDDEN void *hak_own_aligned_alloc(size_t alignment, size_t size)
    __attribute__((malloc, alloc_align(1), alloc_size(2)));

/* True if the public `name` is ours: neither the program nor another library has put its own
 * before it. This is a comparison with a word that the loader has filled in, and needs no state. */
#define HAK_IS_OURS(name) hak_is_ours((uintptr_t)(name), (uintptr_t)hak_own_##name)

HAK_INLINE bool hak_is_ours(uintptr_t public_name, uintptr_t own_name) {
    /* else a compiler may assume that two functions have two addresses */
    __asm__("" : "+r"(own_name));
    return HAK_LIKELY(public_name == own_name);
}

#endif
