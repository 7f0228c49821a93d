/* Flush: blocks leave the bins, for the freelists of own slabs or for the remote lists of
 * others. Only in the thread that works on the heap: its own, or one that has seized it. */
#ifndef HAK_FLUSH_H
#define HAK_FLUSH_H

#include "core/heap.h"

/* Sends all blocks of other heaps home, and the heap's own blocks to their slabs, except the
 * `keep` most recent ones. Returns the number of blocks that went home to other heaps. */
uint32_t hak_flush(struct hak_heap *heap, unsigned bin, uint32_t keep);

/* For a free that finds its bin full: a flush, and the limit that suits the blocks that were
 * flushed. */
void hak_flush_full(struct hak_heap *heap, unsigned bin);

/* Empties all bins, gives up the current slabs, and collects. Afterwards the heap holds nothing
 * that it does not need. */
void hak_flush_all(struct hak_heap *heap);

/* Sends one block home without a heap, for a thread that has none any more. */
void hak_free_without_heap(struct hak_block *block, unsigned bin);

/* Steps of a trim, for one bin. reset: gives an empty bin its first limit and carve.
 * drop_current: gives up the current slab. trim: a flush of all blocks, then both. */
void hak_bin_reset(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);
void hak_bin_drop_current(struct hak_heap *heap, unsigned bin);
void hak_bin_trim(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy);

/* While memory is kept, before the range is asked for a span of `granules` at a multiple of
 * `align` granules: if the range has no such span with memory, the blocks of all bins go home,
 * for that may make one. */
void hak_flush_for_kept_span(struct hak_heap *heap, uint32_t granules, uint32_t align);

#endif
