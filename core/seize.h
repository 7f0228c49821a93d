/* Seizing: a thread takes another thread's heap for a while, to empty the bins of a thread that
 * sleeps. The other thread takes no part, and malloc and free pay one instruction each
 * (docs/decisions/0009-seizing.md).
 *
 * The seizer hides the heap: the thread's pointer shows hak_heap_seized, whose bins are empty
 * and full at once. So each malloc and free that begins later goes to its slow path and waits
 * there. A call that began earlier may have read the pointer. Dekker's algorithm with the fence
 * on one side finds it: a malloc announces itself and then reads the pointer; the seizer writes
 * the pointer, has all threads execute a memory barrier (membarrier(2)), and then proves the
 * equation (announced.h). So at least one of them sees what the other wrote. If the equation
 * does not hold, the thread keeps its heap. */
#ifndef HAK_SEIZE_H
#define HAK_SEIZE_H

#include "core/heap.h"

/* Once, before there is a heap. */
void hak_seize_init(void);

/* From here on no heap is seized: no handler of fork runs, so the stacks of the parent's threads
 * may be unmapped before a child looks at them. Any thread. */
void hak_seize_forbid(void);

/* Visits the heaps of other threads that are outside of the allocator, one at a time. `visit`
 * returns true if it left nothing to give back. `after`, if it is not NULL, is called when the
 * thread has its heap again.
 * `still_ms`, if it is not 0: visits only heaps to which nothing has happened for that time, as
 * two calls find out. A heap with nothing to give back is not visited again until something
 * happens to it.
 * Does nothing where the system has no membarrier(2), or an option forbids it. `now`:
 * milliseconds. */
void hak_seize_each(uint32_t now, uint32_t still_ms,
                    bool (*visit)(struct hak_heap *heap, void *context),
                    void (*after)(struct hak_heap *heap, void *context), void *context);

/* The calling thread has found an error. It has no heap from here on, nor has the thread whose
 * heap it visits, for that heap may be in any state. */
void hak_seize_give_up(void);

/* Keep other threads from seizing the calling thread's heap, from before a fork until after it,
 * in both processes. */
void hak_seize_fork_prepare(void);
void hak_seize_fork_end(void);

#endif
