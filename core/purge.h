/* Memory that goes back to the system: on ticks of slow paths, when the program asks for it,
 * when no more memory is left, and out of heaps whose threads sleep. */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "core/heap.h"

/* Called on slow paths. Now and then it empties idle bins, and gives back memory that has been
 * free for long. Also trims the heap if that was requested. */
void hak_tick_if_due(struct hak_heap *heap);

/* Empties the heap's bins, and purges its free memory that is at least `older_than_ms` old;
 * returns the bytes given back. */
size_t hak_trim(struct hak_heap *heap, uint32_t older_than_ms);

/* From here on memory is kept (hak_policy_keeps). What waits in caches goes to the range. What
 * the heap has not used yet of its slabs gets its memory now, and so do free spans of the range,
 * except large empty ones. `heap` may be NULL. */
void hak_keep_begin(struct hak_heap *heap);

/* Requests that all threads trim their heaps at their next slow path. A heap that another thread
 * trims before need not be trimmed again. */
void hak_trim_request(void);

/* Gives all that is cached and idle back to the range, except `keep_large` bytes of freed large
 * blocks. Of that memory, what is at least `older_than_ms` old goes back to the system; returns
 * those bytes. `heap` is the calling thread's, which may be none. */
size_t hak_release_all(struct hak_heap *heap, size_t keep_large, uint32_t older_than_ms);

#endif
