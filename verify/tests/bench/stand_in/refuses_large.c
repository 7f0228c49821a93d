/* The malloc of libc, but it aborts at the first block of 60000 bytes or more. */
#include <stddef.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);

void *malloc(size_t size) {
    if (size >= 60000) abort();
    return __libc_malloc(size);
}
