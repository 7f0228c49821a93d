/* P0 refill: a batch of blocks moves from a slab into an empty bin. Only in the heap's own
 * thread. */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "core/heap.h"

/* Moves a batch of blocks from a slab into the heap's empty bin; false: no memory, and nothing
 * has changed. */
bool hak_refill(struct hak_heap *heap, unsigned bin);

#endif
