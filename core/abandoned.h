/* Heaps whose threads have ended: the pool, and two lists of those that are not in it yet.
 *
 *   pool      nobody rules it: for a new thread, or for one that needs memory
 *   late      of a thread whose end nobody will tell; who needs a heap asks the kernel whether it still exists
 *   orphans   of a thread that does not exist in this child of fork, and was outside of the allocator
 *
 * What is listed changes hands under the heaps' lock. How they get from the lists into the pool: retire.h. */
#ifndef HAK_ABANDONED_H
#define HAK_ABANDONED_H

#include "core/heap.h"

/* Once, before a heap is looked for: the heaps' lock begins. */
void hak_abandoned_begin(void);

/* Into the pool: the calling thread reclaimed the heap, alone, until now. */
void hak_abandoned_put(struct hak_heap *heap);

/* Under the heaps' lock. Any heap of the pool, for the calling thread; NULL: there is none. */
struct hak_heap *hak_abandoned_take(void);

/* One that owns memory, reclaimed by the thread of `heap` from here on; NULL: there is none. */
struct hak_heap *hak_abandoned_reclaim(struct hak_heap *heap);

/* The heap after *link, which `heap`'s thread reclaimed, goes back into the pool. */
void hak_abandoned_put_reclaimed(struct hak_heap *heap, struct hak_heap **link);

/* Puts reclaimed heaps that own nothing any more back into the pool. */
void hak_heap_release_reclaimed(struct hak_heap *heap);

/* The one that owns memory and was looked after the longest ago, if that is at least so long; for the caller alone until it
 * is put back. NULL if there is none. */
struct hak_heap *hak_abandoned_take_idle(uint32_t now, uint32_t older_than_ms);

/* A walk over all that own memory, one at a time, as for the former: a round, and the next that it has not seen. */
uint32_t hak_abandoned_round(void);
struct hak_heap *hak_abandoned_take_unseen(uint32_t round);

/* The calling thread's heap, whose end nobody will tell, is listed. */
void hak_untracked_begin(struct hak_heap *heap);
/* Under the lock: lists one whose thread still existed just now; forgets all. */
void hak_untracked_link(struct hak_heap *heap);
void hak_untracked_forget(void);
/* How many there are; a hint. */
uint32_t hak_untracked_count(void);
/* The one that was looked at the longest ago, in the caller's hands; NULL: there is none. It is put back. */
struct hak_heap *hak_untracked_take(void);
void hak_untracked_put(struct hak_heap *heap);

/* Under the lock: an orphan from here on. */
void hak_orphan_link(struct hak_heap *heap);
/* In such a child: a heap that was seized and is whole; nobody has it, and it may be the pool's. */
void hak_heap_orphan(struct hak_heap *heap);

bool hak_orphans_are_there(void);
/* One of them, in the caller's hands; NULL: there is none. */
struct hak_heap *hak_orphan_take(void);

/* Runs `visit` on each heap that is listed as one of this state. For checks of a heap at rest;
 * takes no lock. */
void hak_heap_each_listed(enum hak_heap_state state,
                          void (*visit)(struct hak_heap *heap, void *context), void *context);

#endif
