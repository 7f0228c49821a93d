/* Memory that goes back to the system: on ticks of slow paths, when the program asks for it,
 * when no more memory is left, and out of heaps whose threads sleep. */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "core/heap.h"

/* Called on slow paths. Now and then it empties idle bins, and gives back memory that has been
 * free for long. Also trims the heap if that was requested. */
void hak_tick_if_due(struct hak_heap *heap);

/* Why memory is to go back now, and what goes:
 *
 * | reason    | heaps         | their free memory | the cache       | free spans that hold memory |
 * |-----------|---------------|-------------------|-----------------|-----------------------------|
 * | TRIM      | all           | goes              | all but `pad`   | go                          |
 * | NO_MEMORY | all           | goes, unless kept | all             | stay                        |
 * | ASKED     | the caller's  | goes              | nothing         | stay                        |
 *
 * TRIM and ASKED also give back whole free pages between the blocks of slabs (slab_pages.h), which
 * takes time in proportion to the free blocks.
 *
 * In each case the bins of these heaps are emptied. What leaves the cache goes to the range, which
 * purges it unless memory is kept. The heaps of other threads are those that can be seized. */
enum hak_purge_reason {
    HAK_PURGE_TRIM,      /* the program has called malloc_trim; the other threads are asked */
    HAK_PURGE_NO_MEMORY, /* the system has no memory for a block */
    HAK_PURGE_ASKED      /* another thread has called malloc_trim since this heap's last purge */
};

/* Gives memory back; returns the bytes. `heap` is the calling thread's, or one that it holds; it
 * may be none, except for ASKED. `pad`: bytes. */
size_t hak_purge(struct hak_heap *heap, enum hak_purge_reason reason, size_t pad);

/* From here on memory is kept (hak_policy_keeps). What waits in the bins of the heap goes home, and
 * what waits in the cache goes to the range. What the heap has not used yet of its slabs gets its
 * memory now, and so do free spans of the range, except large empty ones. `heap`: as above. */
void hak_keep(struct hak_heap *heap);

#endif
