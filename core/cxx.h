/* What the C++ operators do when there is no memory. */
#ifndef HAK_CXX_H
#define HAK_CXX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calls the new-handler until there is memory; throws what it throws, or std::bad_alloc if there is none. */
void *hak_new_slow(size_t size, size_t align);

/* The same for the nothrow forms: NULL where that throws. */
void *hak_new_slow_nothrow(size_t size, size_t align);

#ifdef __cplusplus
}
#endif

#endif
