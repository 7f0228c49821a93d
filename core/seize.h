/* Seizing: a thread takes another thread's heap for a while, to empty the bins of one that sleeps. The other thread is not
 * asked, and malloc and free pay one instruction each (docs/decisions/0009-seizing.md).
 *
 *   HAK_THREAD.announced   mallocs - frees that the thread has begun
 *   heap->room[]           what a free may still push, by bin; malloc adds 1, free takes 1: the last that they write
 *   heap->moved            what batches and new caps have added to the sum of room
 *
 *   sum of room = moved + announced     unless a malloc or free is at work; slow paths say so in HAK_THREAD.slow
 *
 * The seizer hides the heap: the thread's pointer shows hak_heap_seized, whose bins are empty and full at once, so each
 * malloc and free from then on goes to its slow path and waits there. Those that began before may have read the pointer.
 * Dekker's algorithm with the fence on one side: a malloc announces itself and then reads the pointer; the seizer writes the
 * pointer, has all threads execute a memory barrier (membarrier(2)), and then proves the equation. So not both miss what the
 * other wrote. A thread that the equation does not hold for keeps its heap. */
#ifndef HAK_SEIZE_H
#define HAK_SEIZE_H

#include "core/heap.h"

/* The way into malloc (change: +1) and free (-1). The bin's room changes as announced, or the slow path is entered. */
HAK_INLINE struct hak_heap *hak_enter(uint32_t change) {
    hak_hook_enter();
    hak_word_add(&HAK_THREAD.announced, change);
    /* acquire: what a seizer did to the heap */
    struct hak_heap *heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_acquire);
    hak_hook_acquire(&HAK_THREAD.heap);
    return heap;
}

/* The way into a slow path, which waits for a seized heap, and the way out of it. `change`: what was announced and is not to
 * be done. In between each malloc and free announces itself when its turn comes. */
struct hak_heap *hak_slow_enter(uint32_t change);
void hak_slow_leave(void);

static inline void hak_announce(uint32_t change) {
    hak_word_add(&HAK_THREAD.announced, change);
}

/* Once, before there is a heap. */
void hak_seize_setup(void);

/* From here on no heap is seized: children of fork will not be seen, and what they have of their
 * parent's threads may be gone. Any thread. */
void hak_seize_forbid(void);

/* The calling thread's heap may be seized from here on, or no longer: the thread ends. On its slow path. */
void hak_seize_register(struct hak_heap *heap);
void hak_seize_unregister(struct hak_heap *heap);

/* Visits the heaps of other threads that are outside of the allocator, one at a time.
 * `still_ms`: only those that nothing happened to for so long, which is known after two such
 * calls, and not again those that a visit left with nothing to give: it returns true then.
 * `after`, if it is not NULL, is called when the thread has its heap again. Does nothing where
 * the system has no membarrier(2), or an option forbids it. */
void hak_seize_each(uint32_t now, uint32_t still_ms, bool (*visit)(struct hak_heap *heap, void *context),
                    void (*after)(struct hak_heap *heap, void *context), void *context);

/* True if the thread of a heap that the caller visits waits for it. */
bool hak_seize_is_awaited(const struct hak_heap *heap);

/* The calling thread has found an error: it shows no heap any more, nor does the thread whose heap it visits, which may be in
 * any state. */
void hak_seize_abandon(void);

/* From before a fork until after it, in both processes, nobody seizes the calling thread's heap. */
void hak_seize_fork_prepare(void);
void hak_seize_fork_end(void);

/* On a slow path: from here on the thread is at work on large blocks, and leaves its heap alone,
 * or no more. Read in a child of fork alone, which sees what this thread did in its order. */
static inline void hak_slow_large(bool begins) {
    HAK_ASSERT(!begins || HAK_HINT_LOAD(&HAK_THREAD.slow) == HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
    HAK_OWN_STORE(&HAK_THREAD.slow, begins ? HAK_SLOW_LARGE : HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
}

/* In a child of fork: the heap's thread, if it is another one, does not exist. True if it had
 * one that was outside of the allocator, on a fast path, or at work on large blocks, so that the
 * heap is whole. The calling thread's own heap is lost if one that does not exist has seized it. */
bool hak_seize_forget_thread(struct hak_heap *heap);
/* After that for all heaps: the calling thread begins anew if its heap is lost. */
void hak_seize_forget_own(void);

#endif
