/* The lists of heaps whose threads have ended, or will end unnoticed:
 *
 *   abandoned   no heap owns it: for a new thread, or for a thread that needs memory
 *   untracked   nobody will tell its thread's end: a thread that needs a heap asks the kernel
 *               whether that thread still exists
 *   orphans     its thread does not exist in this child of fork, and left the heap whole
 *
 * Heaps enter and leave the lists under the heaps' lock, which these functions take unless they say
 * that the caller holds it. retire.h says how untracked heaps and orphans become abandoned. */
#ifndef HAK_ABANDONED_H
#define HAK_ABANDONED_H

#include "core/heap.h"

/* Once, before a heap is looked for: sets up the heaps' lock. */
void hak_abandoned_init(void);

/* Abandons a heap that only the calling thread may touch, and that owns no other heap. */
void hak_abandoned_put(struct hak_heap *heap);

/* The caller holds the heaps' lock. Takes an abandoned heap for the calling thread, if possible one
 * that has memory; NULL: there is none. */
struct hak_heap *hak_abandoned_take(void);

/* The calling thread, whose heap is `heap`, reclaims an abandoned heap that has memory; NULL: there
 * is none. */
struct hak_heap *hak_abandoned_reclaim(struct hak_heap *heap);

/* Abandons the heap *link again, which the thread of `heap` had reclaimed. `link` is the pointer to
 * it in the list of reclaimed heaps. */
void hak_abandoned_put_reclaimed(struct hak_heap *heap, struct hak_heap **link);

/* Gives up empty SuperSlabs of the heaps that the thread of `heap` has reclaimed, and abandons
 * those that have no SuperSlab left. */
void hak_heap_drop_reclaimed(struct hak_heap *heap);

/* Takes the abandoned heap with memory that was looked after the longest ago, if that is at least
 * `older_than_ms` ago; NULL: there is none. The caller alone works on it until it abandons it
 * again. */
struct hak_heap *hak_abandoned_take_idle(uint32_t now, uint32_t older_than_ms);

/* A walk over all abandoned heaps with memory, one at a time. hak_abandoned_walk begins a walk and
 * returns its number. hak_abandoned_take_unseen takes the next heap that this walk has not seen, as
 * hak_abandoned_take_idle does; NULL: the walk is over. */
uint32_t hak_abandoned_walk(void);
struct hak_heap *hak_abandoned_take_unseen(uint32_t walk);

/* The calling thread's heap becomes untracked: nobody will tell the thread's end. */
void hak_untracked_begin(struct hak_heap *heap);
/* The caller holds the heaps' lock. Lists an untracked heap whose thread still existed just now;
 * empties the list. */
void hak_untracked_link(struct hak_heap *heap);
void hak_untracked_forget(void);
/* Number of listed untracked heaps; a hint, read without the lock. */
uint32_t hak_untracked_count(void);
/* Takes the untracked heap that was looked at the longest ago, for the caller alone; NULL: there is
 * none. If its thread still exists, the caller puts it back. */
struct hak_heap *hak_untracked_take(void);
void hak_untracked_put(struct hak_heap *heap);

/* The caller holds the heaps' lock. The heap becomes an orphan. */
void hak_orphan_link(struct hak_heap *heap);
/* In a child of fork: a heap that the calling thread had seized, and whose thread does not exist
 * here, becomes an orphan. It is whole. */
void hak_heap_orphan(struct hak_heap *heap);

/* A hint, read without the lock. */
bool hak_orphans_are_there(void);
/* Takes an orphan, for the caller alone; NULL: there is none. */
struct hak_heap *hak_orphan_take(void);

/* Calls `visit` for each heap in the list of this state: abandoned, untracked or orphan. Takes no
 * lock: for checks, while no other thread is in an allocation function. */
void hak_heap_each_listed(enum hak_heap_state state,
                          void (*visit)(struct hak_heap *heap, void *context), void *context);

#endif
