/* What goes back, and when: on ticks of slow paths, by a trim, and out of heaps whose threads sleep. */
#ifndef HAK_TRIM_H
#define HAK_TRIM_H

#include "core/heap.h"

/* Now and then on slow paths: idle bins are emptied and memory that has been free for long goes back. */
void hak_tick(struct hak_heap *heap);

/* Empties the heap's bins and purges all its free memory; the bytes given back. */
size_t hak_trim(struct hak_heap *heap);

/* The same for a heap that the caller has seized; ends early if the heap's thread waits for it: *whole is false then. */
size_t hak_trim_seized(struct hak_heap *heap, bool *whole);

/* A wish that all threads trim their heaps at their next slow path, unless somebody does it before. */
void hak_trim_request(void);

#endif
