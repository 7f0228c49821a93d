/* Each thread announces its mallocs and frees, so that another thread can tell whether it is at
 * work on its heap. Each malloc and free pays one addition to a word in memory for this
 * (docs/decisions/0009-seizing.md).
 *
 *   HAK_THREAD.announced    mallocs - frees that the thread has begun
 *   heap->free_capacity[]   blocks that a bin may still take. malloc adds 1 and free subtracts 1,
 *                           as the last that they write
 *   heap->batched           what batches and new limits have added to the sum of free_capacity
 *
 *   sum of free_capacity = batched + announced
 *
 * The equation does not hold while a malloc or free is at work on the fast path. While a slow path
 * is at work, HAK_THREAD.slow is set. */
#ifndef HAK_ANNOUNCED_H
#define HAK_ANNOUNCED_H

#include "core/heap.h"
#include "core/words.h"

static inline void hak_announce(uint32_t change) {
    hak_word_add(&HAK_THREAD.announced, change);
}

/* The thread that has registered itself for this heap, which may be seized from it; NULL: none. */
static inline struct hak_thread *hak_heap_thread(struct hak_heap *heap) {
    struct hak_thread *thread = atomic_load_explicit(&heap->thread, memory_order_acquire);
    hak_hook_acquire(&heap->thread);
    return thread;
}

/* The thread of a seized heap, which cannot end meanwhile. NULL: a signal handler has forked since,
 * and the thread does not exist in this child. */
static inline struct hak_thread *hak_heap_thread_of_seized(const struct hak_heap *heap) {
    return *(struct hak_thread *const *)(uintptr_t)&heap->thread;
}

/* The sum of free capacity over all bins. No other thread may work on the heap. */
uint32_t hak_heap_free_capacity(const struct hak_heap *heap);

/* The equation, as the heap's own thread sees it; true also for a heap that the calling thread is
 * not registered for. */
bool hak_heap_is_balanced(struct hak_heap *heap);

/* For a heap that the caller has hidden from its thread. True: the thread is outside of the
 * allocator. False: it may have read the pointer before that, and may be at work on the heap. */
bool hak_heap_is_outside(struct hak_heap *heap);

/* True if the thread of a seized heap waits for the heap, which the caller visits. */
bool hak_seize_is_awaited(const struct hak_heap *heap);

#endif
