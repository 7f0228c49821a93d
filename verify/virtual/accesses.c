/* The functions that the compiler calls before each plain access of core/ (-fsanitize=thread), in
 * the place of ThreadSanitizer's runtime. */
#include "verify/virtual/yields.h"

#define ACCESSES(name, bytes)                                                                      \
    void __tsan_read##name(void *address);                                                         \
    void __tsan_read##name(void *address) {                                                        \
        if (explore_access_hook != NULL) explore_access_hook(address, (bytes), false);             \
    }                                                                                              \
    void __tsan_write##name(void *address);                                                        \
    void __tsan_write##name(void *address) {                                                       \
        if (explore_access_hook != NULL) explore_access_hook(address, (bytes), true);              \
    }                                                                                              \
    void __tsan_unaligned_read##name(void *address);                                               \
    void __tsan_unaligned_read##name(void *address) {                                              \
        __tsan_read##name(address);                                                                \
    }                                                                                              \
    void __tsan_unaligned_write##name(void *address);                                              \
    void __tsan_unaligned_write##name(void *address) {                                             \
        __tsan_write##name(address);                                                               \
    }

ACCESSES(1, 1)
ACCESSES(2, 2)
ACCESSES(4, 4)
ACCESSES(8, 8)
ACCESSES(16, 16)

void __tsan_init(void);
void __tsan_init(void) {}
