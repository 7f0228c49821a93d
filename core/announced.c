#include "core/announced.h"

#include "core/hooks.h"

uint32_t hak_heap_free_capacity(const struct hak_heap *heap) {
    uint32_t free_capacity = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        free_capacity += hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin));
    return free_capacity;
}

bool hak_heap_is_balanced(struct hak_heap *heap) {
    return !hak_heap_is_real(heap) || hak_heap_thread(heap) != &HAK_THREAD ||
           hak_heap_free_capacity(heap) ==
               HAK_OWN_LOAD(&heap->batched) + HAK_OWN_LOAD(&HAK_THREAD.announced);
}

/* A malloc or free first announces itself, and changes the bin's free capacity with its last write
 * to the heap: in between the equation does not hold. A slow path sets `slow` before it writes to
 * the heap, and a thread that sees these writes also sees `slow`. So `slow` is read last. */
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
