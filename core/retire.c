#include "core/retire.h"

#include "core/abandoned.h"
#include "core/flush.h"
#include "core/fork_child.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/os_process.h"

/* Reclaimed heaps become abandoned first. As long as a heap names one, the heap itself may not
 * get another thread. */
void hak_heap_retire(struct hak_heap *heap) {
    hak_flush_all(heap);
    hak_hook_event(HAK_EVENT_HEAP_ENDED, heap);
    while (heap->next_reclaimed != NULL) {
        hak_heap_drop_empty(heap->next_reclaimed);
        hak_abandoned_put_reclaimed(heap, &heap->next_reclaimed);
    }
    hak_heap_drop_empty(heap);
    hak_abandoned_put(heap);
}

/* Does what the end of the heap's thread would have done. */
static void retire_for_thread(struct hak_heap *heap) {
    HAK_CHECK(hak_home_owned_by(&heap->home, heap));
    hak_hook_event(HAK_EVENT_VISIT_BEGUN, heap);
    hak_heap_retire(heap);
    hak_hook_event(HAK_EVENT_VISIT_ENDED, heap);
}

static void orphan_retire(void) {
    hak_heap_after_fork();
    if (HAK_LIKELY(!hak_orphans_are_there())) return;
    struct hak_heap *heap = hak_orphan_take();
    if (heap != NULL) retire_for_thread(heap);
}

/* True if the heap's thread is gone. Never true for a heap of another process: the threads of a
 * fork's parent may have been at work on their heaps, and a child of vfork shares the list.
 * Process 0: the heap's thread has found an error. */
static bool untracked_is_over(const struct hak_heap *heap) {
    const int process = heap->untracked_process;
    if (process == 0 || process != hak_os_process_id()) return false;
    return !hak_os_thread_exists(process,
                                 atomic_load_explicit(&heap->thread_id, memory_order_relaxed));
}

static void untracked_retire(void) {
    if (HAK_LIKELY(hak_untracked_count() == 0)) return;
    struct hak_heap *heap = hak_untracked_take();
    if (heap == NULL) return;
    if (!untracked_is_over(heap)) {
        hak_untracked_put(heap);
        return;
    }
    /* acquire: what the thread did before the kernel forgot it */
    atomic_thread_fence(memory_order_acquire);
    (void)atomic_load_explicit(&heap->batched,
                               memory_order_acquire); /* pairs with hak_heap_publish_untracked */
    hak_hook_acquire(&heap->batched);
    heap->untracked_process = 0;
    hak_heap_set_state(heap, HAK_HEAP_HELD);
    retire_for_thread(heap);
}

/* At most one heap of each kind, because each costs a flush of all bins. */
void hak_heap_retire_some(void) {
    orphan_retire();
    untracked_retire();
}

void hak_heap_retire_all_ended(void) {
    do
        orphan_retire();
    while (hak_orphans_are_there());
    for (uint32_t n = hak_untracked_count(); n > 0; n--)
        untracked_retire();
}

struct hak_heap *hak_heap_reclaim(struct hak_heap *heap) {
    hak_heap_retire_some();
    return hak_abandoned_reclaim(heap);
}

struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms) {
    hak_heap_retire_some();
    return hak_abandoned_take_idle(now, older_than_ms);
}

void hak_heap_each_abandoned(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    hak_heap_retire_all_ended();
    const uint32_t walk = hak_abandoned_walk();
    for (struct hak_heap *heap; (heap = hak_abandoned_take_unseen(walk)) != NULL;) {
        visit(heap, context);
        hak_abandoned_put(heap);
    }
}
