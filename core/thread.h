/* A thread's first heap, the thread's end, and what it allocates after that. */
#ifndef HAK_THREAD_H
#define HAK_THREAD_H

#include "core/heap.h"

/* Advises the system about huge pages, as the options say. Called once there is a range, and
 * again when the options are read. */
void hak_heap_advise(void);

/* Gives the calling thread its first heap; sets HAKMEM up if no thread has done so. NULL: no
 * memory. hak_heap_gone: the thread is so far in its end that it gets no heap, now or later. */
struct hak_heap *hak_heap_begin_thread(void);

/* The destructor of the thread-specific key: the calling thread, whose heap this is, ends. */
void hak_heap_end_thread(void *heap);

/* A heap for a thread that has none any more and allocates; NULL: no memory. The thread keeps it
 * from here on. If *borrowed, it is for this operation alone, and the thread gives it up
 * by hak_heap_retire. */
struct hak_heap *hak_heap_begin_after_end(bool *borrowed);

#endif
