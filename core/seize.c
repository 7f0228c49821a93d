#include "core/seize.h"

#include <limits.h>

#include "verify/hooks.h"

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
    seizing.forbidden = true; /* read in a child */
}

/* ---- the thread's side --------------------------------------------------------------------------------- */

/* The thread that has registered itself for this heap; NULL: none. */
static struct hak_thread *thread_of(struct hak_heap *heap) {
    struct hak_thread *thread = atomic_load_explicit(&heap->thread, memory_order_acquire);
    hak_hook_acquire(&heap->thread);
    return thread;
}

/* What a free may still push, over all bins of a heap that is the caller's. */
static uint32_t own_room(const struct hak_heap *heap) {
    uint32_t room = 0;
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        room += hak_bin_room(heap, HAK_BIN_HEADER(bin));
    return room;
}

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

/* The equation, as the thread itself sees it. */
static bool is_balanced(struct hak_heap *heap) {
    return !hak_heap_is_real(heap) || thread_of(heap) != &HAK_THREAD ||
           own_room(heap) == HAK_OWN_LOAD(&heap->moved) + HAK_OWN_LOAD(&HAK_THREAD.announced);
}

void hak_slow_leave(void) {
    HAK_ASSERT(is_balanced(hak_thread_heap()));
    hak_heap_left(hak_thread_heap());
    hak_hook_release(&HAK_THREAD.slow);
    /* release: a seizer sees all that was done to the heap */
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_NO, memory_order_release);
}

void hak_seize_register(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap());
    slow_begin(); /* again: what the thread allocated to begin was a way out, too */
    if (hak_os_process_state() != HAK_PROCESS_KNOWN) return; /* it might be taken for one of the parent's */
    HAK_OWN_STORE(&heap->moved, own_room(heap) - HAK_OWN_LOAD(&HAK_THREAD.announced));
    hak_heap_goes_on(heap, HAK_HEAP_OWN);
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, &HAK_THREAD, memory_order_release);
}

void hak_seize_unregister(struct hak_heap *heap) {
    hak_lock_take(seizing_lock);
    HAK_CHECK(heap == hak_thread_heap());
    if (thread_of(heap) != NULL)
        hak_heap_goes_on(heap, HAK_HEAP_HELD); /* it may never have been registered */
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    hak_lock_drop(seizing_lock);
}

/* ---- the seizer's side --------------------------------------------------------------------------------- */

/* The thread of a seized heap: it cannot end. NULL: a signal handler has forked meanwhile, and
 * in this child it does not exist. */
static struct hak_thread *thread_of_seized(const struct hak_heap *heap) {
    return *(struct hak_thread *const *)(uintptr_t)&heap->thread;
}

/* Under the lock. True if nothing has happened to the heap since the last look. Malloc and free in turns leave no trace; a thread that does
 * no more than that may lose what its bins hold, which costs it some refills. */
static bool is_still(struct hak_heap *heap) {
    uint32_t calls = HAK_HINT_LOAD(&heap->slow_calls);
    uint32_t announced = HAK_HINT_LOAD(&thread_of_seized(heap)->announced);
    bool still = heap->seen_calls == calls && heap->seen_announced == announced;
    heap->seen_calls = calls;
    heap->seen_announced = announced;
    return still;
}

/* Its thread goes on, with the heap that is shown, if it waits for that; a thread that has reported an error meanwhile stays
 * without. Under the lock, or the thread could end before it is woken. */
static void give_back_as(struct hak_heap *heap, const struct hak_heap *shown) {
    struct hak_thread *thread = thread_of_seized(heap);
    struct hak_heap *seized = (struct hak_heap *)(uintptr_t)&hak_heap_seized;
    uint32_t waits = HAK_SLOW_WAITS;
    hak_hook_release(&thread->heap);
    atomic_compare_exchange_strong_explicit(&thread->heap, &seized, (struct hak_heap *)(uintptr_t)shown,
                                            memory_order_seq_cst, memory_order_seq_cst);
    if (atomic_compare_exchange_strong_explicit(&thread->slow, &waits, HAK_SLOW_PATH, memory_order_seq_cst,
                                                memory_order_seq_cst))
        hak_os_wake(&thread->slow, INT_MAX);
}

static void give_back(struct hak_heap *heap) {
    if (thread_of_seized(heap) == NULL) {
        hak_heap_orphan(heap);
        return;
    }
    hak_heap_goes_on(heap, HAK_HEAP_OWN);
    give_back_as(heap, heap);
}

/* False: the thread may have read the pointer before it was hidden, and be at work. A malloc or free that began has been
 * announced; it is not in the bin's room before its last write to the heap. A slow path that began is in `slow`, and whoever
 * sees what it did since sees that: so it is read last. */
static bool is_outside(struct hak_heap *heap) {
    struct hak_thread *thread = thread_of_seized(heap);
    uint32_t room = 0;
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        room += atomic_load_explicit(&heap->room[HAK_BIN_HEADER(bin)], memory_order_acquire);
    room -= atomic_load_explicit(&heap->moved, memory_order_acquire);
    bool done = room == atomic_load_explicit(&thread->announced, memory_order_acquire);
    uint32_t slow = atomic_load_explicit(&thread->slow, memory_order_acquire);
    hak_hook_acquire(&thread->slow);
    hak_hook_acquire(&heap->room);
    return done && slow == HAK_SLOW_NO;
}

/* Under the lock. Hides the heap from its thread, unless that is at work. Threads that are keep their heaps all along. False: it
 * is not the caller's. */
static bool seize(struct hak_heap *heap) {
    struct hak_thread *thread = thread_of(heap);
    if (thread == NULL || thread == &HAK_THREAD || HAK_HINT_LOAD(&thread->forks) > 0) return false;
    /* release: as when it comes back; a thread that reads the one before this one has that order. If the exchange fails, another
     * thread has seized the heap, or its own has reported an error. */
    struct hak_heap *shown = heap;
    if (!atomic_compare_exchange_strong_explicit(&thread->heap, &shown,
                                                 (struct hak_heap *)(uintptr_t)&hak_heap_seized,
                                                 memory_order_release, memory_order_relaxed))
        return false;
    if (!hak_os_barrier() || !is_outside(heap)) {
        give_back_as(heap, heap);
        return false;
    }
    hak_heap_goes_on(heap, HAK_HEAP_SEIZED);
    return true;
}

bool hak_seize_is_awaited(const struct hak_heap *heap) {
    const struct hak_thread *thread = thread_of_seized(heap);
    return thread != NULL && HAK_HINT_LOAD(&thread->slow) != HAK_SLOW_NO;
}

/* Under the lock. What nothing has happened to since the last look is visited, unless there is nothing to give back. */
static void look_at(struct hak_heap *heap, void *any) {
    struct hak_thread *thread = thread_of(heap);
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
        if (thread_of(heap) == NULL) continue;
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
void hak_seize_each(uint32_t now, uint32_t still_ms, bool (*visit)(struct hak_heap *heap, void *context),
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
        heap->is_trimmed = whole && heap->ruled == NULL; /* others may free to heaps that it rules */
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
    if (own != &hak_heap_none && own != &hak_heap_gone) hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    if (hak_heap_is_real(own)) {
        /* A late one is still listed, and leaves that list as one of another process. */
        if (own->state == HAK_HEAP_LATE)
            own->late_process = 0;
        else
            own->state = HAK_HEAP_LOST; /* whatever it was before */
    }
    HAK_OWN_STORE(&HAK_THREAD.forks, 0);
    struct hak_heap *visited = HAK_THREAD.visited;
    HAK_THREAD.visited = NULL;
    if (visited == NULL || thread_of_seized(visited) == NULL) return;
    hak_hook_event(HAK_EVENT_HEAP_LOST, thread_of_seized(visited));
    visited->state = HAK_HEAP_LOST;
    hak_lock_take(seizing_lock);
    give_back_as(visited, &hak_heap_gone);
    hak_lock_drop(seizing_lock);
}

/* ---- fork ---------------------------------------------------------------------------------------------- */

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

/* The bin's list is the truth; a block that is in none is lost. */
static bool bin_mend(struct hak_heap *heap, unsigned bin) {
    struct hak_block *block = hak_bin_first(heap, bin);
    uint32_t cap = heap->classes[bin].cap, count = 0;
    if (block != NULL && hak_range_has(block) && hak_header_of(block) == HAK_BIN_HEADER(bin))
        hak_header_flip(block);
    for (; block != NULL; block = hak_block_next(block))
        if (!hak_range_has(block) || hak_header_of(block) != HAK_BIN_HEADER_FREE(bin) || ++count > cap)
            return false;
    HAK_OWN_STORE(&heap->room[HAK_BIN_HEADER(bin)], cap - count);
    return true;
}

/* In a child of fork, for a heap whose thread was in the middle of a fast malloc or free. One
 * bin may be wrong: its first block says live or free, and may be counted or not. That block
 * becomes a free, counted one. false: more than that is wrong. */
static bool heap_mend(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap) && heap != hak_thread_heap());
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        if (!bin_mend(heap, bin)) return false;
    return true;
}

/* The audit's books know the block that is on its way by another state. */
static bool can_be_mended(struct hak_heap *heap, const struct hak_thread *thread) {
    uint32_t slow = atomic_load_explicit(&thread->slow, memory_order_relaxed);
    return !HAK_AUDIT && (slow == HAK_SLOW_NO || slow == HAK_SLOW_LARGE) && heap_mend(heap);
}

bool hak_seize_forget_thread(struct hak_heap *heap) {
    struct hak_thread *thread = thread_of(heap);
    if (thread == NULL || (thread == &HAK_THREAD && hak_thread_heap() != &hak_heap_seized)) return false;
    /* Libc may have given up stacks of threads that are gone, in which these words lie. */
    bool whole = !seizing.forbidden && hak_os_is_mapped(thread, sizeof *thread) &&
                 atomic_load_explicit(&thread->heap, memory_order_relaxed) == heap &&
                 (is_outside(heap) || can_be_mended(heap, thread));
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    return whole;
}

void hak_seize_forget_own(void) {
    uint32_t waits = HAK_SLOW_WAITS;
    if (hak_thread_heap() != &hak_heap_seized) return;
    hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    hak_thread_heap_set(&hak_heap_none);
    /* A signal handler may have interrupted the wait, which must not begin again. */
    atomic_compare_exchange_strong_explicit(&HAK_THREAD.slow, &waits, HAK_SLOW_PATH, memory_order_relaxed,
                                            memory_order_relaxed);
}
