/* Entry and exit of malloc and free. At its entry a thread announces that it is at work on its
 * heap. On a slow path it also waits while another thread has seized the heap (announced.h,
 * seize.h). */
#ifndef HAK_ENTER_H
#define HAK_ENTER_H

#include "core/announced.h"
#include "core/words.h"

/* Entry of malloc (change: +1) and free (-1). After it, either the free capacity of a bin
 * changes as announced, or the slow path is entered. */
HAK_INLINE struct hak_heap *hak_enter(uint32_t change) {
    hak_hook_enter();
    hak_word_add(&HAK_THREAD.announced, change);
    /* acquire: this thread sees what a seizer did to the heap */
    struct hak_heap *heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_acquire);
    hak_hook_acquire(&HAK_THREAD.heap);
    return heap;
}

/* Entry of a slow path, which waits for a seized heap, and its exit. `change` was announced at
 * hak_enter and is taken back here. Between entry and exit, each malloc and free is announced
 * when it pops or pushes its block. */
struct hak_heap *hak_slow_enter(uint32_t change);
void hak_slow_leave(void);

/* On a slow path: true when the thread begins to work on large blocks, and leaves its heap
 * alone; false when that ends. Only a child of fork reads the difference. It sees what this
 * thread did in program order, so compiler fences suffice. */
static inline void hak_slow_large(bool begins) {
    HAK_ASSERT(!begins || HAK_HINT_LOAD(&HAK_THREAD.slow) == HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
    HAK_OWN_STORE(&HAK_THREAD.slow, begins ? HAK_SLOW_LARGE : HAK_SLOW_PATH);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Registers the calling thread: its heap may be seized from here on. Unregisters it: the thread
 * ends. On the thread's slow path. */
void hak_seize_register(struct hak_heap *heap);
void hak_seize_unregister(struct hak_heap *heap);

#endif
