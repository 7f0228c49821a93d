/* What a program can ask of a build with the audit (audit, asan, valgrind). */
#ifndef HAKMEM_AUDIT_H
#define HAKMEM_AUDIT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Proves the whole heap: every counter, every list, every block. Prints a line on stderr for each of the first
 * equations that do not hold, and returns how many there are: 0 if the heap is sound. No other thread may be in an
 * allocation function meanwhile; not from one of the allocator's own callbacks. Needs about 1/16 of the heap's size
 * while it runs, from the system. Absent from other builds, where its address is NULL. (HAKMEM) */
#pragma GCC visibility push(default) /* exported, as in core/hakmem.h */
size_t hak_heap_check(void) __attribute__((weak));
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
