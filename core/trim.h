/* What goes back, and when: on ticks of slow paths, by a trim, and out of heaps whose threads sleep. */
#ifndef HAK_TRIM_H
#define HAK_TRIM_H

#include "core/heap.h"

/* Now and then on slow paths: idle bins are emptied and memory that has been free for long goes back. */
void hak_tick(struct hak_heap *heap);

/* Empties the heap's bins and purges its free memory that is at least so old; the bytes given back. */
size_t hak_trim(struct hak_heap *heap, uint32_t older_than_ms);

/* The same for a heap that the caller has seized; ends early if the heap's thread waits for it: *whole is false then. */
size_t hak_trim_seized(struct hak_heap *heap, uint32_t older_than_ms, bool *whole);

/* From here on memory is kept (hak_policy_keeps): what waits in caches goes to the range; and what the heap has not used yet of
 * its slabs gets its memory now, and so does what is free in the range, but for what is large and empty. `heap` may be NULL. */
void hak_keep_begin(struct hak_heap *heap);

/* While memory is kept, before the range is asked for a run: if it has none with memory, what the heap's bins hold goes home, for
 * one may come of that. */
void hak_keep_gather(struct hak_heap *heap, uint32_t granules, uint32_t align);

/* A wish that all threads trim their heaps at their next slow path, unless somebody does it before. */
void hak_trim_request(void);

#endif
