/* P0 refill: a batch of blocks from slabs into an empty bin. On the heap's own thread. */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "core/heap.h"

/* Moves a batch of blocks from slabs into the heap's empty bin; false: no memory, nothing changed. */
bool hak_refill(struct hak_heap *heap, unsigned bin);

#endif
