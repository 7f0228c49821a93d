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

/* Now and then on slow paths: idle bins are emptied and memory that has been free for long goes back. */
void hak_tick(struct hak_heap *heap);

/* Empties the heap's bins and purges all its free memory; the bytes given back. */
size_t hak_trim(struct hak_heap *heap);

/* The same for a heap that the caller has seized; ends early if the heap's thread waits for it: *whole is false then. */
size_t hak_trim_seized(struct hak_heap *heap, bool *whole);

/* A wish that all threads trim their heaps at their next slow path, unless somebody does it before. */
void hak_trim_request(void);

#endif
