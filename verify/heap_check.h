/* Proves the equations of core/types.h on the whole heap.
 *
 * Every block is found in exactly one place, every counter is compared with what it counts, every list is
 * walked. The heap must stand still: no other thread may be in an allocation function meanwhile. */
#ifndef HAK_VERIFY_HEAP_CHECK_H
#define HAK_VERIFY_HEAP_CHECK_H

#include "core/types.h"

struct hak_heap_check {
    size_t faults;    /* equations that do not hold; one line on stderr each, for the first few */
    size_t equations; /* that were compared */
    size_t slabs;
    size_t superslabs;
    size_t heaps;
    size_t live;  /* blocks of bins */
    size_t large; /* live large blocks */
    size_t in_bins, in_freelists, in_remote_lists, uncarved;
};

/* True if there was no fault. Needs no memory but its own, which it takes from the system and returns, but for 1 MiB. */
bool hak_check_heap(struct hak_heap_check *result);

#endif
