#include "core/seize.h"

#include <limits.h>

#include "core/abandoned.h"
#include "core/enter.h"
#include "core/fork_child.h"
#include "core/hooks.h"
#include "core/os_process.h"
#include "core/remote.h"

static struct {
    bool possible;      /* the system has the barrier, and handlers of fork run */
    uint32_t last_look; /* milliseconds */
} seizing;

/* Protects which heap has which thread, and which heaps are hidden. Not held while a seized heap
 * is visited: a hidden heap is the seizer's until the seizer gives it back. */
static struct hak_lock *const seizing_lock = &hak_locks[HAK_RANK_SEIZING];

void hak_seize_init(void) {
    hak_lock_init(HAK_RANK_SEIZING, NULL);
    hak_hook_atomic(&seizing.possible, sizeof seizing.possible);
    seizing.possible = hak_fork_has_handlers() && hak_os_barrier_init();
}

void hak_seize_forbid(void) {
    __atomic_store_n(&seizing.possible, false, __ATOMIC_RELAXED);
    hak_fork_handlers_missing();
}

/* Under the lock. True if nothing has happened to the heap since the last look. A malloc and a
 * free in turn leave no trace in these counters. A thread that does nothing else may lose what
 * its bins hold, which costs it some refills. */
static bool is_still(struct hak_heap *heap) {
    uint32_t calls = HAK_HINT_LOAD(&heap->slow_calls);
    uint32_t announced = HAK_HINT_LOAD(&hak_heap_thread_of_seized(heap)->announced);
    bool still = heap->seen_calls == calls && heap->seen_announced == announced;
    heap->seen_calls = calls;
    heap->seen_announced = announced;
    return still;
}

/* Shows `shown` to the thread of the heap, and wakes the thread if it waits. A thread that has
 * reported an error meanwhile stays without a heap. Under the lock, or the thread could end
 * before it is woken. */
static void heap_return_as(struct hak_heap *heap, const struct hak_heap *shown) {
    struct hak_thread *thread = hak_heap_thread_of_seized(heap);
    struct hak_heap *seized = (struct hak_heap *)(uintptr_t)&hak_heap_seized;
    uint32_t waits = HAK_SLOW_WAITS;
    hak_hook_release(&thread->heap);
    atomic_compare_exchange_strong_explicit(&thread->heap, &seized,
                                            (struct hak_heap *)(uintptr_t)shown,
                                            memory_order_seq_cst, memory_order_seq_cst);
    if (atomic_compare_exchange_strong_explicit(&thread->slow, &waits, HAK_SLOW_PATH,
                                                memory_order_seq_cst, memory_order_seq_cst))
        hak_os_wake(&thread->slow, INT_MAX);
}

static void heap_return(struct hak_heap *heap) {
    if (hak_heap_thread_of_seized(heap) == NULL) {
        hak_heap_orphan(heap);
        return;
    }
    hak_heap_set_state(heap, HAK_HEAP_OWN);
    heap_return_as(heap, heap);
}

/* Under the lock. Hides the heap from its thread, and proves that the thread is not at work; a
 * thread at work has its heap back at once. False: the heap is not the caller's. */
static bool seize(struct hak_heap *heap) {
    struct hak_thread *thread = hak_heap_thread(heap);
    if (thread == NULL || thread == &HAK_THREAD || HAK_HINT_LOAD(&thread->forks) > 0) return false;
    /* release, as in the exchange that gives the heap back. A thread that still reads the former
     * pointer is ordered by the exchange that wrote that pointer. If this exchange fails,
     * another thread has seized the heap, or the heap's thread has reported an error. */
    struct hak_heap *shown = heap;
    if (!atomic_compare_exchange_strong_explicit(&thread->heap, &shown,
                                                 (struct hak_heap *)(uintptr_t)&hak_heap_seized,
                                                 memory_order_release, memory_order_relaxed))
        return false;
    if (!hak_os_barrier() || !hak_heap_is_outside(heap)) {
        heap_return_as(heap, heap);
        return false;
    }
    hak_heap_set_state(heap, HAK_HEAP_SEIZED);
    return true;
}

/* Under the lock. The heap is wanted if nothing has happened to it since the last look, unless
 * the last visit left nothing to give back and no slab has been notified since. Sets *any if so. */
static void look_at(struct hak_heap *heap, void *any) {
    struct hak_thread *thread = hak_heap_thread(heap);
    if (thread == NULL || thread == &HAK_THREAD) return;
    const bool still = is_still(heap);
    if (!still) heap->is_trimmed = false;
    const bool worth_seizing = still && (!heap->is_trimmed || hak_home_is_notified(&heap->home));
    atomic_store_explicit(&heap->is_worth_seizing, worth_seizing, memory_order_relaxed);
    if (worth_seizing) *(bool *)any = true;
}

/* Under the lock. Looks at all heaps if a look is due; true if one of them is wanted. */
static bool look(uint32_t now, uint32_t still_ms) {
    bool any = false;
    if (!hak_is_older(seizing.last_look, now, still_ms)) return false;
    seizing.last_look = now;
    hak_heap_each(look_at, &any);
    return any;
}

#define TRIED_AT_ONCE 16u /* heaps tried under one take of the lock, for each costs a barrier */

/* Under the lock. Seizes the first heap from `heap` on that can be seized, or the first such
 * heap that is wanted; NULL: none is left. */
static struct hak_heap *seize_next(struct hak_heap *heap, bool only_worth_seizing) {
    unsigned tried = 0;
    for (; heap != NULL; heap = heap->all_next) {
        if (hak_heap_thread(heap) == NULL) continue;
        if (only_worth_seizing &&
            !atomic_load_explicit(&heap->is_worth_seizing, memory_order_relaxed))
            continue;
        if (tried++ == TRIED_AT_ONCE) {
            hak_lock_drop(seizing_lock);
            hak_lock_take(seizing_lock);
            tried = 1;
        }
        atomic_store_explicit(&heap->is_worth_seizing, false, memory_order_relaxed);
        if (seize(heap)) return heap;
    }
    return NULL;
}

/* One heap at a time, without the lock: the thread of a visited heap waits for one visit at
 * most, and other threads do not wait at all. */
void hak_seize_each(uint32_t now, uint32_t still_ms,
                    bool (*visit)(struct hak_heap *heap, void *context),
                    void (*after)(struct hak_heap *heap, void *context), void *context) {
    const bool only_worth_seizing = still_ms > 0;
    if (!__atomic_load_n(&seizing.possible, __ATOMIC_RELAXED) || !hak_policy()->remote_trim) return;
    if (hak_os_process_state() != HAK_PROCESS_KNOWN) return;
    if (!only_worth_seizing)
        hak_lock_take(seizing_lock);
    else if (!hak_lock_try(seizing_lock))
        return; /* another thread is seizing heaps */
    struct hak_heap *heap = NULL;
    if (!only_worth_seizing || look(now, still_ms))
        heap = seize_next(hak_heap_newest(), only_worth_seizing);
    HAK_THREAD.seized_heap = heap;
    hak_lock_drop(seizing_lock);
    while (heap != NULL) {
        hak_hook_event(HAK_EVENT_VISIT_BEGUN, heap);
        bool all_done = visit(heap, context);
        hak_hook_event(HAK_EVENT_VISIT_ENDED, heap);
        hak_lock_take(seizing_lock);
        /* look_at does not see what other threads free to its reclaimed heaps */
        heap->is_trimmed = all_done && heap->next_reclaimed == NULL;
        heap_return(heap);
        HAK_THREAD.seized_heap = NULL;
        hak_lock_drop(seizing_lock);
        if (after != NULL) after(heap, context);
        hak_lock_take(seizing_lock);
        heap = seize_next(heap->all_next, only_worth_seizing);
        HAK_THREAD.seized_heap = heap;
        hak_lock_drop(seizing_lock);
    }
}

/* The visited heap may be in any state. From here on its thread does not use it, and this thread
 * does not use its own. */
void hak_seize_give_up(void) {
    struct hak_heap *own = atomic_exchange_explicit(
        &HAK_THREAD.heap, (struct hak_heap *)(uintptr_t)&hak_heap_gone, memory_order_relaxed);
    if (own != &hak_heap_none && own != &hak_heap_gone)
        hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    if (hak_heap_is_real(own)) {
        /* An untracked heap stays listed. Without a process it counts as one of another process:
         * it is never retired, and leaves the list in a child of fork. */
        if (own->state == HAK_HEAP_UNTRACKED)
            own->untracked_process = 0;
        else
            own->state = HAK_HEAP_LOST; /* from any state, which hak_heap_set_state would refuse */
    }
    HAK_OWN_STORE(&HAK_THREAD.forks, 0);
    struct hak_heap *visited = HAK_THREAD.seized_heap;
    HAK_THREAD.seized_heap = NULL;
    if (visited == NULL || hak_heap_thread_of_seized(visited) == NULL) return;
    hak_hook_event(HAK_EVENT_HEAP_LOST, hak_heap_thread_of_seized(visited));
    visited->state = HAK_HEAP_LOST;
    hak_lock_take(seizing_lock);
    heap_return_as(visited, &hak_heap_gone);
    hak_lock_drop(seizing_lock);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* True if a signal handler runs that has interrupted a slow path of its thread, whose heap nobody
 * can seize, or anything that holds a lock: the seizing lock comes before all others. */
static bool is_in_slow_path(void) {
    return HAK_HINT_LOAD(&HAK_THREAD.slow) != HAK_SLOW_NO || hak_lock_any_is_mine();
}

/* Waits until no thread has seized the calling thread's heap, and keeps it from being seized:
 * the seizer would not exist in the child. Allocations of other handlers of fork do not change
 * that, and `batched` continues to count meanwhile. */
void hak_seize_fork_prepare(void) {
    if (HAK_THREAD.forks > 0) {
        /* A signal handler has interrupted a fork, and forks itself. */
        HAK_OWN_STORE(&HAK_THREAD.forks, HAK_THREAD.forks + 1);
        return;
    }
    while (!is_in_slow_path()) {
        hak_lock_take(seizing_lock);
        struct hak_heap *heap = hak_thread_heap();
        if (heap != &hak_heap_seized) {
            HAK_OWN_STORE(&HAK_THREAD.forks, 1);
            hak_lock_drop(seizing_lock);
            return;
        }
        hak_lock_drop(seizing_lock);
        hak_slow_enter(0); /* waits for the heap */
        hak_slow_leave();
    }
}

void hak_seize_fork_end(void) {
    if (HAK_THREAD.forks > 0) HAK_OWN_STORE(&HAK_THREAD.forks, HAK_THREAD.forks - 1);
}
