/* The ways into malloc and free and out of them, where a thread says that it is at work on its heap, and waits while another
 * thread has seized it (announced.h, seize.h). */
#ifndef HAK_ENTER_H
#define HAK_ENTER_H

#include "core/announced.h"

/* The way into malloc (change: +1) and free (-1). The bin's free_capacity changes as announced, or the slow path is entered. */
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

/* On a slow path: from here on the thread is at work on large blocks, and leaves its heap alone,
 * or no more. Read in a child of fork alone, which sees what this thread did in its order. */
static inline void hak_slow_large(bool begins) {
    HAK_ASSERT(!begins || HAK_HINT_LOAD(&HAK_THREAD.slow) == HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
    HAK_OWN_STORE(&HAK_THREAD.slow, begins ? HAK_SLOW_LARGE : HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
}

/* The calling thread's heap may be seized from here on, or no longer: the thread ends. On its slow path. */
void hak_seize_register(struct hak_heap *heap);
void hak_seize_unregister(struct hak_heap *heap);

#endif
