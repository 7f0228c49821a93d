/* Memory that goes back, and when: on ticks of slow paths, when the program asks for it, when there is no more, and out of
 * heaps whose threads sleep. */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "core/heap.h"

/* Now and then on slow paths: idle bins are emptied and memory that has been free for long goes back. */
void hak_tick(struct hak_heap *heap);

/* Empties the heap's bins and purges its free memory that is at least so old; the bytes given back. */
size_t hak_trim(struct hak_heap *heap, uint32_t older_than_ms);

/* From here on memory is kept (hak_policy_keeps): what waits in caches goes to the range; and what the heap has not used yet of
 * its slabs gets its memory now, and so does what is free in the range, but for what is large and empty. `heap` may be NULL. */
void hak_keep_begin(struct hak_heap *heap);

/* A wish that all threads trim their heaps at their next slow path, unless somebody does it before. */
void hak_trim_request(void);

/* Gives all that is cached and idle back to the range, and what of it is so old to the system, but for `keep_large` bytes of
 * freed large blocks; returns the bytes. `heap`: the calling thread's, which may be none. */
size_t hak_release_all(struct hak_heap *heap, size_t keep_large, uint32_t older_than_ms);

#endif
