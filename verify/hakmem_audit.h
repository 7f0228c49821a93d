/* What a program can ask of a build with the audit (audit, asan, valgrind). */
#ifndef HAKMEM_AUDIT_H
#define HAKMEM_AUDIT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Proves the whole heap: every counter, every list, every block. Prints a line on stderr for each
 * of the first few equations that do not hold, and returns how many do not hold: 0 if the heap is
 * sound. No other thread may be in an allocation function meanwhile, and no callback of the
 * allocator may call it. While it runs it takes memory of about 1/16 of the heap's size from the
 * system. Other builds lack it: its address is NULL there. (HAKMEM) */
#pragma GCC visibility push(default) /* exported, as in core/hakmem.h */
size_t hak_heap_check(void) __attribute__((weak));
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
