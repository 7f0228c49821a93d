// Two more public functions of libhakmem_prefixed (watched.c). MemorySanitizer must be told that a
// result in the caller's memory is initialised. Only a C++ compiler builds the variable there.
#include <malloc.h>

#include "core/hakmem.h"

extern "C" {
__attribute__((weak)) void __msan_unpoison(const volatile void *start, size_t bytes);
__attribute__((visibility("hidden"))) struct mallinfo hak_unwatched_mallinfo(void);
__attribute__((visibility("hidden"))) struct mallinfo2 hak_unwatched_mallinfo2(void);
}

struct mallinfo hak_mallinfo(void) {
    struct mallinfo info = hak_unwatched_mallinfo();
    if (__msan_unpoison != nullptr) __msan_unpoison(&info, sizeof info);
    return info;
}

struct mallinfo2 hak_mallinfo2(void) {
    struct mallinfo2 info = hak_unwatched_mallinfo2();
    if (__msan_unpoison != nullptr) __msan_unpoison(&info, sizeof info);
    return info;
}
