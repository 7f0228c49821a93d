/* Shared by the files of the heap check. heap_check.c checks bins, slabs and blocks;
 * heap_check_states.c checks the states of heaps; heap_check_range.c checks granules, free spans,
 * large blocks and the cache. */
#ifndef HAK_VERIFY_HEAP_CHECK_PARTS_H
#define HAK_VERIFY_HEAP_CHECK_PARTS_H

#include "verify/heap_check.h"

struct check {
    struct hak_heap_check *result;
    uint8_t *places; /* BLOCKS_A_GRANULE bytes a granule */
    uint32_t top;
    uint32_t partial, current; /* slabs whose state says so */
    /* slabs in the heaps' lists of partial slabs; current slabs of the heaps' bins */
    uint32_t listed_partial, listed_current;
    uint32_t owned; /* SuperSlabs that a heap has */
};

/* Compare, and count the comparison. If it does not hold, they return false, and print a line on
 * stderr for the first few faults. */
bool hak_check_equal(struct check *check, const char *equation, uint64_t left, uint64_t right,
                     const void *where);
bool hak_check_at_most(struct check *check, const char *equation, uint64_t left, uint64_t right,
                       const void *where);

/* Proves that the page map entries below the top can be read. If false, nothing else may be
 * checked. */
bool hak_check_bounds(struct check *check);

/* Checks the states of all heaps, and the lists that go with the states. */
void hak_check_hand_over(struct check *check);

/* Checks granules, free spans, large blocks, SuperSlabs and the cache. */
void hak_check_range(struct check *check);

#endif
