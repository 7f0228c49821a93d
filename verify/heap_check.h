/* Proves the equations of core/types.h on the whole heap.
 *
 * Each block must be in exactly one place, each counter must equal what it counts, and each list is
 * walked. The heap must stand still: no other thread may be in an allocation function meanwhile. */
#ifndef HAK_VERIFY_HEAP_CHECK_H
#define HAK_VERIFY_HEAP_CHECK_H

#include "core/types.h"

struct hak_heap_check {
    size_t faults;    /* equations that do not hold; each of the first few has a line on stderr */
    size_t equations; /* equations that were compared */
    size_t slabs;
    size_t superslabs;
    size_t heaps;
    size_t live;  /* live blocks that lie in slabs */
    size_t large; /* live large blocks */
    size_t in_bins, in_freelists, in_remote_lists, uncarved;
};

/* True if there was no fault. Takes its memory from the system and returns it, except for 1 MiB
 * that it keeps for the next check. */
bool hak_check_heap(struct hak_heap_check *result);

#endif
