/* The end of a heap's use: what its bins hold goes home, and the heap into the pool (abandoned.h). So it is when a thread ends
 * in order, and later, where one that looks for memory finds that a thread has ended without a word. */
#ifndef HAK_RETIRE_H
#define HAK_RETIRE_H

#include "core/heap.h"

/* Returns all that the caller's heap, and those that it rules, do not need, and puts them into the pool. */
void hak_heap_retire(struct hak_heap *heap);

/* The heaps of threads that ended without a word go to the pool: what their bins held is free. */
void hak_heap_retire_all_ended(void);

/* One of them, or a few: for who looks for a heap. */
void hak_heap_retire_some(void);

/* One more heap with memory from the pool for `heap`'s thread; NULL if there is none. */
struct hak_heap *hak_heap_reclaim(struct hak_heap *heap);

/* The heap of the pool that owns memory and was looked after the longest ago, if that is at least so long; for the caller alone
 * until it is put back. NULL if there is none. */
struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms);
void hak_heap_put_idle(struct hak_heap *heap);

/* Visits each heap of the pool that owns memory, as its owner. All others stay in the pool meanwhile. */
void hak_heap_each_idle(void (*visit)(struct hak_heap *heap, void *context), void *context);

#endif
