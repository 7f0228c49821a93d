/* A thread's first heap, its end, and what comes after that. */
#ifndef HAK_THREAD_H
#define HAK_THREAD_H

#include "core/heap.h"

/* Advises the system about huge pages, as the options say; once there is a range, and again when they are read. */
void hak_heap_advise(void);

/* The calling thread's first heap; sets HAKMEM up if nobody did. NULL: no memory; hak_heap_gone,
 * also from here on: the thread's end is too far for that. */
struct hak_heap *hak_heap_begin_thread(void);

/* The destructor of the thread-specific key: the calling thread ends, whose heap this is. */
void hak_heap_end_thread(void *heap);

/* A heap for a thread that has none any more and allocates: its own from here on, or, where
 * *borrowed, for this operation, after which it is returned. NULL: no memory. */
struct hak_heap *hak_heap_begin_untracked(bool *borrowed);
void hak_heap_return(struct hak_heap *heap);

#endif
