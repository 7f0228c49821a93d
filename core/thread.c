#include "core/thread.h"

#include "core/abandoned.h"
#include "core/abort.h"
#include "core/cache.h"
#include "core/enter.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/os_process.h"
#include "core/range_child.h"
#include "core/refill.h"
#include "core/retire.h"
#include "core/seize.h"
#include "core/thread_key.h"

#define TLS_PREWARM_FIRST 1u /* the bins that nearly every thread uses: strides 32 to 80 */
#define TLS_PREWARM_LAST  4u

static _Atomic bool is_set_up; /* changes under the heaps' lock */

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

void hak_heap_advise(void) {
    const uint32_t thp = hak_policy()->thp;
    if (thp != 0) hak_range_huge_pages(thp == 1);
}

/* Under the heaps' lock. Sets HAKMEM up, once; false: no memory. */
static bool setup(void) {
    if (atomic_load_explicit(&is_set_up, memory_order_relaxed)) return true;
    hak_heaps_init();
    hak_abandoned_init();
    hak_cache_init();
    hak_range_child_init();
    if (!hak_range_init()) return false;
    hak_heap_advise();
    hak_seize_init();
    hak_thread_key_init();
    hak_hook_atomic(&is_set_up, sizeof is_set_up);
    atomic_store_explicit(&is_set_up, true, memory_order_release);
    return true;
}

/* A heap for the calling thread, whose number is `thread`; NULL: no memory. */
static struct hak_heap *heap_obtain(int thread) {
    hak_heap_retire_some();
    /* the first call may ask libc, which is not done under a lock */
    (void)hak_os_page_size();
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = NULL;
    if (setup()) {
        heap = hak_abandoned_take();
        if (heap == NULL) heap = hak_heap_create();
    }
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return NULL;
    atomic_store_explicit(&heap->thread_id, thread, memory_order_relaxed);
    hak_hook_event(HAK_EVENT_HEAP_BEGUN, heap);
    return heap;
}

void hak_heap_end_thread(void *value) {
    struct hak_heap *heap = value;
    if (HAK_THREAD.failed > 0) {
        hak_abort_finish();
        return; /* in a child that the handler of SIGABRT forked */
    }
    hak_hook_enter();
    struct hak_heap *own = hak_slow_enter(0); /* waits while the heap is seized */
    /* none: the heap was lost in a fork, because another thread had seized it */
    HAK_CHECK(own == heap || own == &hak_heap_none);
    if (own == heap) hak_seize_unregister(heap);
    hak_thread_heap_set(&hak_heap_gone);
    if (own == heap) hak_heap_retire(heap);
    hak_slow_leave();
    hak_hook_leave();
}

struct hak_heap *hak_heap_begin_thread(void) {
    HAK_CHECK(hak_thread_heap() == &hak_heap_none);
    const int thread = hak_os_thread_id();
    if (hak_os_thread_is_past_destructors(thread)) {
        hak_thread_heap_set(&hak_heap_gone);
        return hak_thread_heap();
    }
    struct hak_heap *heap = heap_obtain(thread);
    if (heap == NULL) return NULL;
    hak_hook_atomic(&HAK_THREAD, sizeof HAK_THREAD);
    hak_thread_heap_set(heap);
    /* The call may allocate, which works from here on. */
    if (hak_thread_key_set(heap, hak_heap_end_thread))
        hak_seize_register(heap);
    else
        hak_untracked_begin(heap);
    if (HAK_PREWARM_TLS)
        for (unsigned bin = TLS_PREWARM_FIRST; bin <= TLS_PREWARM_LAST; bin++)
            if (hak_bin_first(heap, bin) == NULL) hak_refill(heap, bin);
    if (HAK_POOL_TLS_PHASE1 && HAK_POOL_TLS_PREWARM && heap->open[1] == NULL &&
        heap->arena.mib == 0)
        hak_heap_grow(heap, HAK_CLASS_OF(POOL, 0));
    return heap;
}

/* The first thread of a process exists for the kernel until the process ends, so nobody could
 * find out that it is gone. It borrows a heap, and so does a thread that has found an error. */
struct hak_heap *hak_heap_begin_after_end(bool *borrowed) {
    HAK_CHECK(hak_thread_heap() == &hak_heap_gone);
    if (HAK_THREAD.failed > 0) hak_abort_look_again();
    const int thread = hak_os_thread_id();
    struct hak_heap *heap = heap_obtain(thread);
    *borrowed = heap != NULL && (HAK_THREAD.failed > 0 || thread == hak_os_process_id());
    if (heap == NULL || *borrowed) return heap;
    hak_thread_heap_set(heap);
    hak_untracked_begin(heap);
    return heap;
}
