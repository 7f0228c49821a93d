#include "core/enter.h"

#include "core/fork_child.h"
#include "core/hooks.h"
#include "core/os_process.h"

static struct hak_lock *const seizing_lock = &hak_locks[HAK_RANK_SEIZING];

/* A thread that sees the slow path's writes to the heap also sees this flag. */
static void slow_begin(void) {
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_PATH, memory_order_relaxed);
    hak_hook_release(&HAK_THREAD.slow);
    atomic_thread_fence(memory_order_release);
}

/* Dekker's algorithm again: the thread writes that it waits, and then reads the pointer. The
 * seizer writes the pointer, and then reads whether the thread waits. At least one of them sees
 * what the other wrote. */
static HAK_NOINLINE struct hak_heap *own_heap_wait(void) {
    struct hak_heap *heap;
    for (;;) {
        atomic_exchange_explicit(&HAK_THREAD.slow, HAK_SLOW_WAITS, memory_order_seq_cst);
        heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_seq_cst);
        if (heap != &hak_heap_seized) break;
        hak_heap_after_fork(); /* in a child of fork the seizer may not exist */
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
    hak_heap_publish_untracked(hak_thread_heap());
    hak_hook_release(&HAK_THREAD.slow);
    /* release: a seizer that reads this also sees all that was done to the heap */
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_NO, memory_order_release);
}

void hak_seize_register(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap());
    /* again: libc may have allocated for the thread's key, and that call has left the slow path */
    slow_begin();
    /* not registered: hak_heap_fork_child would take this heap for one of the parent's threads */
    if (hak_os_process_state() != HAK_PROCESS_KNOWN) return;
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
        hak_heap_set_state(heap, HAK_HEAP_HELD); /* else it was never registered, and is held */
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    hak_lock_drop(seizing_lock);
}
