/* P0: refill, flush, collect. All of these run on the heap's own thread. */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "core/heap.h"

/* Moves a batch of blocks from slabs into the heap's empty bin; false: no memory, nothing changed. */
bool hak_refill(struct hak_heap *heap, unsigned bin);

/* Sends all blocks of other heaps home and the heap's own ones, but for the `keep` most recent, to their
 * slabs. The result is how many went home to others. */
uint32_t hak_flush(struct hak_heap *heap, unsigned bin, uint32_t keep);

/* What a free does that finds its bin full: a flush, and the cap that suits what was flushed. */
void hak_flush_full(struct hak_heap *heap, unsigned bin);

/* Empties all bins, gives up the current slabs, collects: the heap holds nothing that it need not. */
void hak_flush_all(struct hak_heap *heap);

/* Takes back what other threads freed, for all heaps that this thread rules. */
void hak_collect(struct hak_heap *heap);

/* Gives one block home without a heap: for threads that have none any more. */
void hak_free_without_heap(struct hak_block *block, unsigned bin);

/* Steps of a trim. The bin, which is empty, gets its first cap and batch; gives up the slab that it is
 * refilled from; holds nothing that it need not. */
void hak_bin_reset(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);
void hak_bin_drop_current(struct hak_heap *heap, unsigned bin);
void hak_bin_empty(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);

/* As hak_collect, for a heap that the caller has seized, until its thread waits for it: what is not
 * collected by then is notified again. */
void hak_collect_seized(struct hak_heap *heap);

#endif
