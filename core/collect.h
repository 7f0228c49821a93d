/* Collect: a heap takes back what other threads freed. Only in the thread that works on the
 * heap: its owner's, or one that has seized it. */
#ifndef HAK_COLLECT_H
#define HAK_COLLECT_H

#include "core/heap.h"

/* Takes back what other threads freed to `heap`, and to the heaps that its thread reclaimed. */
void hak_collect(struct hak_heap *heap);

/* The same for one of these heaps. */
void hak_collect_home(struct hak_heap *heap, const struct hak_policy *policy);

/* As hak_collect, for a heap that the caller has seized, until the heap's thread waits for it.
 * Slabs that are not collected by then are notified again. */
void hak_collect_seized(struct hak_heap *heap);

#endif
