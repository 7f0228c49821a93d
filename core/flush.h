/* Flush: blocks leave the bins, for their slabs or for home. On the heap's own thread. */
#ifndef HAK_FLUSH_H
#define HAK_FLUSH_H

#include "core/heap.h"

/* Sends all blocks of other heaps home and the heap's own ones, but for the `keep` most recent, to their
 * slabs. The result is how many went home to others. */
uint32_t hak_flush(struct hak_heap *heap, unsigned bin, uint32_t keep);

/* What a free does that finds its bin full: a flush, and the limit that suits what was flushed. */
void hak_flush_full(struct hak_heap *heap, unsigned bin);

/* Empties all bins, gives up the current slabs, collects: the heap holds nothing that it need not. */
void hak_flush_all(struct hak_heap *heap);

/* Gives one block home without a heap: for threads that have none any more. */
void hak_free_without_heap(struct hak_block *block, unsigned bin);

/* Steps of a trim. The bin, which is empty, gets its first limit and batch; gives up the slab that it is
 * refilled from; holds nothing that it need not. */
void hak_bin_reset(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);
void hak_bin_drop_current(struct hak_heap *heap, unsigned bin);
void hak_bin_empty(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);

/* While memory is kept, before the range is asked for a run: if it has none with memory, what the heap's bins hold goes home, for
 * one may come of that. */
void hak_keep_gather(struct hak_heap *heap, uint32_t granules, uint32_t align);

#endif
