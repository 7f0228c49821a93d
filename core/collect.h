/* Collect: a heap takes back what other threads freed. On the heap's own thread. */
#ifndef HAK_COLLECT_H
#define HAK_COLLECT_H

#include "core/heap.h"

/* Takes back what other threads freed, for all heaps that this thread rules. */
void hak_collect(struct hak_heap *heap);

/* The same for one heap of these. */
void hak_collect_home(struct hak_heap *heap, const struct hak_policy *policy);

/* As hak_collect, for a heap that the caller has seized, until its thread waits for it: what is not
 * collected by then is notified again. */
void hak_collect_seized(struct hak_heap *heap);

#endif
