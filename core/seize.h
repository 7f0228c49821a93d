/* Seizing: a thread takes another thread's heap for a while, to empty the bins of one that sleeps. The other thread is not
 * asked, and malloc and free pay one instruction each (docs/decisions/0009-seizing.md).
 *
 * The seizer hides the heap: the thread's pointer shows hak_heap_seized, whose bins are empty and full at once, so each
 * malloc and free from then on goes to its slow path and waits there. Those that began before may have read the pointer.
 * Dekker's algorithm with the fence on one side: a malloc announces itself and then reads the pointer; the seizer writes the
 * pointer, has all threads execute a memory barrier (membarrier(2)), and then proves the equation (announced.h). So not both
 * miss what the other wrote. A thread that the equation does not hold for keeps its heap. */
#ifndef HAK_SEIZE_H
#define HAK_SEIZE_H

#include "core/heap.h"

/* Once, before there is a heap. */
void hak_seize_setup(void);

/* From here on no heap is seized: children of fork will not be seen, and what they have of their
 * parent's threads may be gone. Any thread. */
void hak_seize_forbid(void);

/* Visits the heaps of other threads that are outside of the allocator, one at a time.
 * `still_ms`: only those that nothing happened to for so long, which is known after two such
 * calls, and not again those that a visit left with nothing to give: it returns true then.
 * `after`, if it is not NULL, is called when the thread has its heap again. Does nothing where
 * the system has no membarrier(2), or an option forbids it. */
void hak_seize_each(uint32_t now, uint32_t still_ms,
                    bool (*visit)(struct hak_heap *heap, void *context),
                    void (*after)(struct hak_heap *heap, void *context), void *context);

/* The calling thread has found an error: it shows no heap any more, nor does the thread whose heap it visits, which may be in
 * any state. */
void hak_seize_abandon(void);

/* From before a fork until after it, in both processes, nobody seizes the calling thread's heap. */
void hak_seize_fork_prepare(void);
void hak_seize_fork_end(void);

#endif
