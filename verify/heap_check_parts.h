/* What the files of the heap check share: heap_check.c has bins, slabs and blocks,
 * heap_check_states.c who may touch which heap, heap_check_range.c the granules, free spans,
 * large blocks and caches. */
#ifndef HAK_VERIFY_HEAP_CHECK_PARTS_H
#define HAK_VERIFY_HEAP_CHECK_PARTS_H

#include "verify/heap_check.h"

struct check {
    struct hak_heap_check *result;
    uint8_t *places; /* BLOCKS_A_GRANULE bytes a granule */
    uint32_t top;
    uint32_t partial, current;               /* slabs in such a state */
    uint32_t listed_partial, listed_current; /* in a heap's list of them, in a heap's bin */
    uint32_t owned;                          /* SuperSlabs of heaps */
};

/* Compares and counts the comparison; if it does not hold: a line on stderr for the first few, and false. */
bool hak_check_equal(struct check *check, const char *equation, uint64_t left, uint64_t right,
                     const void *where);
bool hak_check_at_most(struct check *check, const char *equation, uint64_t left, uint64_t right,
                       const void *where);

/* The slots below the top can be read: nothing else may be looked at if not. */
bool hak_check_bounds(struct check *check);

/* The hand-over states of all heaps. */
void hak_check_hand_over(struct check *check);

/* The granules, free spans, large blocks, the BigCache and the cache of SuperSlabs. */
void hak_check_range(struct check *check);

#endif
