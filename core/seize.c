#include "core/seize.h"

#include <limits.h>

#include "core/abandoned.h"
#include "core/enter.h"
#include "core/fork_child.h"
#include "core/hooks.h"
#include "core/os_process.h"
#include "core/remote.h"

static struct {
    bool possible;      /* the system has the barrier, and children of fork are seen */
    bool forbidden;     /* they are not */
    uint32_t last_look; /* milliseconds */
} seizing;

/* Which heap has which thread, and which of them are hidden. It is not held while a seized heap is visited: a heap that is
 * hidden is the seizer's, until the seizer gives it back. */
static struct hak_lock *const seizing_lock = &hak_locks[HAK_RANK_SEIZING];

void hak_seize_setup(void) {
    hak_lock_begin(HAK_RANK_SEIZING, NULL);
    seizing.possible = !seizing.forbidden && hak_os_barrier_begin();
}

void hak_seize_forbid(void) {
    __atomic_store_n(&seizing.possible, false, __ATOMIC_RELAXED);
    seizing.forbidden = true;
    hak_fork_children_unseen();
}

/* Under the lock. True if nothing has happened to the heap since the last look. Malloc and free in turns leave no trace; a thread that does
 * no more than that may lose what its bins hold, which costs it some refills. */
static bool is_still(struct hak_heap *heap) {
    uint32_t calls = HAK_HINT_LOAD(&heap->slow_calls);
    uint32_t announced = HAK_HINT_LOAD(&hak_heap_thread_of_seized(heap)->announced);
    bool still = heap->seen_calls == calls && heap->seen_announced == announced;
    heap->seen_calls = calls;
    heap->seen_announced = announced;
    return still;
}

/* Its thread goes on, with the heap that is shown, if it waits for that; a thread that has reported an error meanwhile stays
 * without. Under the lock, or the thread could end before it is woken. */
static void give_back_as(struct hak_heap *heap, const struct hak_heap *shown) {
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

static void give_back(struct hak_heap *heap) {
    if (hak_heap_thread_of_seized(heap) == NULL) {
        hak_heap_orphan(heap);
        return;
    }
    hak_heap_set_state(heap, HAK_HEAP_OWN);
    give_back_as(heap, heap);
}

/* Under the lock. Hides the heap from its thread, unless that is at work. Threads that are keep their heaps all along. False: it
 * is not the caller's. */
static bool seize(struct hak_heap *heap) {
    struct hak_thread *thread = hak_heap_thread(heap);
    if (thread == NULL || thread == &HAK_THREAD || HAK_HINT_LOAD(&thread->forks) > 0) return false;
    /* release: as when it comes back; a thread that reads the one before this one has that order. If the exchange fails, another
     * thread has seized the heap, or its own has reported an error. */
    struct hak_heap *shown = heap;
    if (!atomic_compare_exchange_strong_explicit(&thread->heap, &shown,
                                                 (struct hak_heap *)(uintptr_t)&hak_heap_seized,
                                                 memory_order_release, memory_order_relaxed))
        return false;
    if (!hak_os_barrier() || !hak_heap_is_outside(heap)) {
        give_back_as(heap, heap);
        return false;
    }
    hak_heap_set_state(heap, HAK_HEAP_SEIZED);
    return true;
}

/* Under the lock. What nothing has happened to since the last look is visited, unless there is nothing to give back. */
static void look_at(struct hak_heap *heap, void *any) {
    struct hak_thread *thread = hak_heap_thread(heap);
    if (thread == NULL || thread == &HAK_THREAD) return;
    const bool still = is_still(heap);
    if (!still) heap->is_trimmed = false;
    const bool wanted = still && (!heap->is_trimmed || hak_home_is_notified(&heap->home));
    atomic_store_explicit(&heap->is_wanted, wanted, memory_order_relaxed);
    if (wanted) *(bool *)any = true;
}

/* Under the lock. True if a look is due, and finds something. */
static bool look(uint32_t now, uint32_t still_ms) {
    bool any = false;
    if (!hak_is_older(seizing.last_look, now, still_ms)) return false;
    seizing.last_look = now;
    hak_heap_each(look_at, &any);
    return any;
}

#define TRIED_AT_ONCE 16u /* threads at work under one take of the lock, for each costs a barrier */

/* Under the lock. Seizes the first of these heaps that can be, or is wanted; NULL: none is left. */
static struct hak_heap *seize_next(struct hak_heap *heap, bool only_wanted) {
    unsigned tried = 0;
    for (; heap != NULL; heap = heap->all_next) {
        if (hak_heap_thread(heap) == NULL) continue;
        if (only_wanted && !atomic_load_explicit(&heap->is_wanted, memory_order_relaxed)) continue;
        if (tried++ == TRIED_AT_ONCE) {
            hak_lock_drop(seizing_lock);
            hak_lock_take(seizing_lock);
            tried = 1;
        }
        atomic_store_explicit(&heap->is_wanted, false, memory_order_relaxed);
        if (seize(heap)) return heap;
    }
    return NULL;
}

/* One heap at a time, and not under the lock: its thread waits for one visit at most, and those of the others not at all. */
void hak_seize_each(uint32_t now, uint32_t still_ms,
                    bool (*visit)(struct hak_heap *heap, void *context),
                    void (*after)(struct hak_heap *heap, void *context), void *context) {
    const bool only_wanted = still_ms > 0;
    if (!__atomic_load_n(&seizing.possible, __ATOMIC_RELAXED) || !hak_policy()->remote_trim) return;
    if (hak_os_process_state() != HAK_PROCESS_KNOWN) return;
    if (!only_wanted)
        hak_lock_take(seizing_lock);
    else if (!hak_lock_try(seizing_lock))
        return; /* another thread is at it */
    struct hak_heap *heap = NULL;
    if (!only_wanted || look(now, still_ms)) heap = seize_next(hak_heap_newest(), only_wanted);
    HAK_THREAD.visited = heap;
    hak_lock_drop(seizing_lock);
    while (heap != NULL) {
        hak_hook_event(HAK_EVENT_HEAP_SEIZED, heap);
        bool whole = visit(heap, context);
        hak_hook_event(HAK_EVENT_HEAP_RETURNED, heap);
        hak_lock_take(seizing_lock);
        heap->is_trimmed =
            whole && heap->next_reclaimed == NULL; /* others may free to heaps that it rules */
        give_back(heap);
        HAK_THREAD.visited = NULL;
        hak_lock_drop(seizing_lock);
        if (after != NULL) after(heap, context);
        hak_lock_take(seizing_lock);
        heap = seize_next(heap->all_next, only_wanted);
        HAK_THREAD.visited = heap;
        hak_lock_drop(seizing_lock);
    }
}

/* The heap that was visited may be in any state, so its thread shall use it no more than this thread its own. */
void hak_seize_abandon(void) {
    struct hak_heap *own = atomic_exchange_explicit(
        &HAK_THREAD.heap, (struct hak_heap *)(uintptr_t)&hak_heap_gone, memory_order_relaxed);
    if (own != &hak_heap_none && own != &hak_heap_gone)
        hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    if (hak_heap_is_real(own)) {
        /* A late one is still listed, and leaves that list as one of another process. */
        if (own->state == HAK_HEAP_UNTRACKED)
            own->untracked_process = 0;
        else
            own->state = HAK_HEAP_LOST; /* whatever it was before */
    }
    HAK_OWN_STORE(&HAK_THREAD.forks, 0);
    struct hak_heap *visited = HAK_THREAD.visited;
    HAK_THREAD.visited = NULL;
    if (visited == NULL || hak_heap_thread_of_seized(visited) == NULL) return;
    hak_hook_event(HAK_EVENT_HEAP_LOST, hak_heap_thread_of_seized(visited));
    visited->state = HAK_HEAP_LOST;
    hak_lock_take(seizing_lock);
    give_back_as(visited, &hak_heap_gone);
    hak_lock_drop(seizing_lock);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* A signal handler may fork amidst of a malloc or free of its thread, which nobody seizes then. */
static bool is_amidst(void) {
    return HAK_HINT_LOAD(&HAK_THREAD.slow) != HAK_SLOW_NO || hak_lock_is_mine(seizing_lock);
}

/* The seizer would not exist in the child. What other handlers of fork allocate changes nothing of that. `moved` goes on to count
 * meanwhile. */
void hak_seize_fork_prepare(void) {
    if (HAK_THREAD.forks > 0) {
        /* A signal handler interrupted a fork, and forks itself. */
        HAK_OWN_STORE(&HAK_THREAD.forks, HAK_THREAD.forks + 1);
        return;
    }
    while (!is_amidst()) {
        hak_lock_take(seizing_lock);
        struct hak_heap *heap = hak_thread_heap();
        if (heap != &hak_heap_seized) {
            HAK_OWN_STORE(&HAK_THREAD.forks, 1);
            hak_lock_drop(seizing_lock);
            return;
        }
        hak_lock_drop(seizing_lock);
        hak_slow_enter(0); /* waits */
        hak_slow_leave();
    }
}

void hak_seize_fork_end(void) {
    if (HAK_THREAD.forks > 0) HAK_OWN_STORE(&HAK_THREAD.forks, HAK_THREAD.forks - 1);
}
