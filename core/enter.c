#include "core/enter.h"

#include "core/fork_child.h"
#include "core/hooks.h"
#include "core/os_process.h"

static struct hak_lock *const seizing_lock = &hak_locks[HAK_RANK_SEIZING];

/* Whoever sees what the slow path does to the heap sees that, too. */
static void slow_begin(void) {
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_PATH, memory_order_relaxed);
    hak_hook_release(&HAK_THREAD.slow);
    atomic_thread_fence(memory_order_release);
}

/* Dekker's algorithm again: the thread says that it waits, and then looks at the pointer; the seizer writes the pointer, and
 * then looks whether anybody waits for it. */
static HAK_NOINLINE struct hak_heap *own_heap_wait(void) {
    struct hak_heap *heap;
    for (;;) {
        atomic_exchange_explicit(&HAK_THREAD.slow, HAK_SLOW_WAITS, memory_order_seq_cst);
        heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_seq_cst);
        if (heap != &hak_heap_seized) break;
        hak_heap_after_fork(); /* or the seizer does not exist */
        if (hak_thread_heap() == &hak_heap_seized) hak_os_wait(&HAK_THREAD.slow, HAK_SLOW_WAITS);
    }
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_PATH, memory_order_relaxed);
    return heap;
}

struct hak_heap *hak_slow_enter(uint32_t change) {
    slow_begin();
    hak_announce(-change);
    struct hak_heap *heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_acquire);
    if (HAK_UNLIKELY(heap == &hak_heap_seized)) heap = own_heap_wait();
    hak_hook_acquire(&HAK_THREAD.heap);
    return heap;
}

void hak_slow_leave(void) {
    HAK_ASSERT(hak_heap_is_balanced(hak_thread_heap()));
    hak_heap_left(hak_thread_heap());
    hak_hook_release(&HAK_THREAD.slow);
    /* release: a seizer sees all that was done to the heap */
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_NO, memory_order_release);
}

void hak_seize_register(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap());
    slow_begin(); /* again: what the thread allocated to begin was a way out, too */
    if (hak_os_process_state() != HAK_PROCESS_KNOWN)
        return; /* it might be taken for one of the parent's */
    HAK_OWN_STORE(&heap->batched,
                  hak_heap_free_capacity(heap) - HAK_OWN_LOAD(&HAK_THREAD.announced));
    hak_heap_set_state(heap, HAK_HEAP_OWN);
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, &HAK_THREAD, memory_order_release);
}

void hak_seize_unregister(struct hak_heap *heap) {
    hak_lock_take(seizing_lock);
    HAK_CHECK(heap == hak_thread_heap());
    if (hak_heap_thread(heap) != NULL)
        hak_heap_set_state(heap, HAK_HEAP_HELD); /* it may never have been registered */
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    hak_lock_drop(seizing_lock);
}
