/* What a thread says of its mallocs and frees, so that another one can tell whether it is at work on its heap: one addition
 * of memory each (docs/decisions/0009-seizing.md).
 *
 *   HAK_THREAD.announced   mallocs - frees that the thread has begun
 *   heap->free_capacity[]           what a free may still push, by bin; malloc adds 1, free takes 1: the last that they write
 *   heap->batched            what batches and new limits have added to the sum of free_capacity
 *
 *   sum of free_capacity = batched + announced     unless a malloc or free is at work; slow paths say so in HAK_THREAD.slow */
#ifndef HAK_ANNOUNCED_H
#define HAK_ANNOUNCED_H

#include "core/heap.h"

static inline void hak_announce(uint32_t change) {
    hak_word_add(&HAK_THREAD.announced, change);
}

/* The thread that has registered itself for this heap; NULL: none. */
static inline struct hak_thread *hak_heap_thread(struct hak_heap *heap) {
    struct hak_thread *thread = atomic_load_explicit(&heap->thread, memory_order_acquire);
    hak_hook_acquire(&heap->thread);
    return thread;
}

/* The thread of a seized heap: it cannot end. NULL: a signal handler has forked meanwhile, and
 * in this child it does not exist. */
static inline struct hak_thread *hak_heap_thread_of_seized(const struct hak_heap *heap) {
    return *(struct hak_thread *const *)(uintptr_t)&heap->thread;
}

/* What a free may still push, over all bins of a heap that is the caller's. */
uint32_t hak_heap_free_capacity(const struct hak_heap *heap);

/* The equation, as the thread itself sees it. */
bool hak_heap_is_balanced(struct hak_heap *heap);

/* For a heap that the caller has hidden from its thread. False: the thread may have read the pointer before, and be at work. */
bool hak_heap_is_outside(struct hak_heap *heap);

/* True if the thread of a heap that the caller visits waits for it. */
bool hak_seize_is_awaited(const struct hak_heap *heap);

#endif
