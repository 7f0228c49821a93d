#include "core/announced.h"

#include "core/hooks.h"

/* What a free may still push, over all bins of a heap that is the caller's. */
uint32_t hak_heap_free_capacity(const struct hak_heap *heap) {
    uint32_t free_capacity = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        free_capacity += hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin));
    return free_capacity;
}

/* The equation, as the thread itself sees it. */
bool hak_heap_is_balanced(struct hak_heap *heap) {
    return !hak_heap_is_real(heap) || hak_heap_thread(heap) != &HAK_THREAD ||
           hak_heap_free_capacity(heap) ==
               HAK_OWN_LOAD(&heap->batched) + HAK_OWN_LOAD(&HAK_THREAD.announced);
}

/* False: the thread may have read the pointer before it was hidden, and be at work. A malloc or free that began has been
 * announced; it is not in the bin's free_capacity before its last write to the heap. A slow path that began is in `slow`, and whoever
 * sees what it did since sees that: so it is read last. */
bool hak_heap_is_outside(struct hak_heap *heap) {
    struct hak_thread *thread = hak_heap_thread_of_seized(heap);
    uint32_t free_capacity = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        free_capacity +=
            atomic_load_explicit(&heap->free_capacity[HAK_CLASS_HEADER(bin)], memory_order_acquire);
    free_capacity -= atomic_load_explicit(&heap->batched, memory_order_acquire);
    bool done = free_capacity == atomic_load_explicit(&thread->announced, memory_order_acquire);
    uint32_t slow = atomic_load_explicit(&thread->slow, memory_order_acquire);
    hak_hook_acquire(&thread->slow);
    hak_hook_acquire(&heap->free_capacity);
    return done && slow == HAK_SLOW_NO;
}

bool hak_seize_is_awaited(const struct hak_heap *heap) {
    const struct hak_thread *thread = hak_heap_thread_of_seized(heap);
    return thread != NULL && HAK_HINT_LOAD(&thread->slow) != HAK_SLOW_NO;
}
