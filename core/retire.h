/* The end of a heap's use: the blocks of its bins go home, and the heap becomes abandoned
 * (abandoned.h). This happens when a thread ends in order. If nothing reported a thread's end,
 * it happens later, when another thread looks for memory and finds that the thread is gone. */
#ifndef HAK_RETIRE_H
#define HAK_RETIRE_H

#include "core/heap.h"

/* Gives up all memory that the caller's heap, and the heaps that it reclaimed, do not need. Then
 * they are abandoned. */
void hak_heap_retire(struct hak_heap *heap);

/* Retires all heaps of threads that are gone, but whose end nothing reported: orphans and
 * untracked heaps. */
void hak_heap_retire_all_ended(void);

/* Retires at most two of these: for a thread that looks for a heap. */
void hak_heap_retire_some(void);

/* Reclaims an abandoned heap that has memory, for `heap`'s thread; NULL: there is none. */
struct hak_heap *hak_heap_reclaim(struct hak_heap *heap);

/* Takes the abandoned heap that has memory and was looked after the longest ago, if that was at
 * least `older_than_ms` before `now`. The heap is the caller's until
 * hak_abandoned_put. NULL: there is none. */
struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms);

/* Visits each abandoned heap that has memory, as its owner. All others stay abandoned
 * meanwhile. */
void hak_heap_each_abandoned(void (*visit)(struct hak_heap *heap, void *context), void *context);

#endif
