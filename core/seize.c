#include "core/seize.h"

#include "verify/hooks.h"

/* The heaps that are seized just now, through seized_next. */
struct round {
    struct hak_heap *seized;
    bool only_still; /* those that nothing happened to since the last look */
};

/* One thread at a time seizes. */
static struct {
    struct hak_lock lock;
    bool possible;       /* the system has the barrier; written before the first heap is there */
    uint32_t last_look;  /* milliseconds */
    struct round *round; /* that is under way */
} seizing = {.lock = HAK_LOCK_INITIALIZER(HAK_RANK_SEIZING)};

void hak_seize_setup(void) {
    seizing.possible = hak_os_barrier_begin();
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
    do {
        atomic_exchange_explicit(&HAK_THREAD.slow, HAK_SLOW_WAITS, memory_order_seq_cst);
        heap = atomic_load_explicit(&HAK_THREAD.heap, memory_order_seq_cst);
        if (heap == &hak_heap_seized) hak_os_wait(&HAK_THREAD.slow, HAK_SLOW_WAITS);
    } while (heap == &hak_heap_seized);
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
    hak_hook_release(&HAK_THREAD.slow);
    /* release: a seizer sees all that was done to the heap */
    atomic_store_explicit(&HAK_THREAD.slow, HAK_SLOW_NO, memory_order_release);
}

void hak_seize_register(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap());
    slow_begin(); /* again: what the thread allocated to begin was a way out, too */
    HAK_OWN_STORE(&heap->moved, own_room(heap) - HAK_OWN_LOAD(&HAK_THREAD.announced));
    hak_hook_release(&heap->thread);
    atomic_store_explicit(&heap->thread, &HAK_THREAD, memory_order_release);
}

void hak_seize_unregister(struct hak_heap *heap) {
    hak_lock_take(&seizing.lock);
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    HAK_CHECK(heap == hak_thread_heap());
    hak_thread_heap_set(&hak_heap_gone);
    hak_lock_drop(&seizing.lock);
}

/* ---- the seizer's side; under the lock ----------------------------------------------------------------- */

/* The thread of a seized heap: it cannot end. */
static struct hak_thread *thread_of_seized(const struct hak_heap *heap) {
    return *(struct hak_thread *const *)(uintptr_t)&heap->thread;
}

/* True if nothing has happened to the heap since the last look. Malloc and free in turns leave no trace; a thread that does
 * no more than that may lose what its bins hold, which costs it some refills. */
static bool is_still(struct hak_heap *heap) {
    uint32_t calls = HAK_HINT_LOAD(&heap->slow_calls);
    uint32_t announced = HAK_HINT_LOAD(&thread_of_seized(heap)->announced);
    bool still = heap->seen_calls == calls && heap->seen_announced == announced;
    heap->seen_calls = calls;
    heap->seen_announced = announced;
    return still;
}

/* Threads that are at work keep their heaps all along. */
static void hide(struct hak_heap *heap, void *context) {
    struct round *round = context;
    struct hak_thread *thread = thread_of(heap);
    if (thread == NULL || thread == &HAK_THREAD || (round->only_still && !is_still(heap))) return;
    struct hak_heap *shown = heap;
    /* release: as when it comes back; a thread that reads the one before this one has that order */
    if (!atomic_compare_exchange_strong_explicit(&thread->heap, &shown,
                                                 (struct hak_heap *)(uintptr_t)&hak_heap_seized,
                                                 memory_order_release, memory_order_relaxed)) {
        HAK_ASSERT(shown == &hak_heap_gone); /* the thread has reported an error */
        return;
    }
    heap->seized_next = round->seized;
    round->seized = heap;
}

/* Its thread goes on, if it waits for that. It cannot end before the lock is dropped. */
static void give_back_as(struct hak_heap *heap, const struct hak_heap *shown) {
    struct hak_thread *thread = thread_of_seized(heap);
    struct hak_heap *seized = (struct hak_heap *)(uintptr_t)&hak_heap_seized;
    uint32_t waits = HAK_SLOW_WAITS;
    hak_hook_release(&thread->heap);
    atomic_compare_exchange_strong_explicit(&thread->heap, &seized, (struct hak_heap *)(uintptr_t)shown,
                                            memory_order_seq_cst, memory_order_seq_cst);
    if (atomic_compare_exchange_strong_explicit(&thread->slow, &waits, HAK_SLOW_PATH, memory_order_seq_cst,
                                                memory_order_seq_cst))
        hak_os_wake(&thread->slow);
}

static void give_back(struct hak_heap *heap) {
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

/* Gives those back whose thread is at work. */
static void give_back_busy(struct round *round, bool barrier) {
    struct hak_heap **link = &round->seized;
    while (*link != NULL) {
        struct hak_heap *heap = *link;
        if (barrier && is_outside(heap)) {
            link = &heap->seized_next;
        } else {
            *link = heap->seized_next;
            give_back(heap);
        }
    }
}

bool hak_seize_is_awaited(const struct hak_heap *heap) {
    return HAK_HINT_LOAD(&thread_of_seized(heap)->slow) != HAK_SLOW_NO;
}

void hak_seize_each(bool wait, uint32_t now, uint32_t still_ms,
                    void (*visit)(struct hak_heap *heap, void *context), void *context) {
    if (!seizing.possible || !hak_lock_try(&seizing.lock, wait)) return;
    if (still_ms == 0 || now - seizing.last_look >= still_ms) {
        struct round round = {.seized = NULL, .only_still = still_ms > 0};
        seizing.round = &round;
        if (still_ms > 0) seizing.last_look = now;
        hak_heap_each(hide, &round);
        if (round.seized != NULL) give_back_busy(&round, hak_os_barrier());
        for (struct hak_heap *heap; (heap = round.seized) != NULL; round.seized = heap->seized_next) {
            hak_hook_event(HAK_EVENT_HEAP_SEIZED, heap);
            visit(heap, context);
            hak_hook_event(HAK_EVENT_HEAP_RETURNED, heap);
            give_back(heap);
        }
        seizing.round = NULL;
    }
    hak_lock_drop(&seizing.lock);
}

/* The heap that was visited may be in any state, so its thread shall use it no more than this thread its own. */
void hak_seize_abandon(void) {
    struct hak_heap *own =
        __atomic_exchange_n((struct hak_heap **)(void *)&HAK_THREAD.heap,
                            (struct hak_heap *)(uintptr_t)&hak_heap_gone, __ATOMIC_RELAXED);
    if (own != &hak_heap_none && own != &hak_heap_gone) hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    if (!hak_lock_is_held(&seizing.lock)) return;
    struct hak_heap *heap = seizing.round == NULL ? NULL : seizing.round->seized;
    if (heap != NULL) {
        hak_hook_event(HAK_EVENT_HEAP_LOST, thread_of_seized(heap));
        give_back_as(heap, &hak_heap_gone);
        for (heap = heap->seized_next; heap != NULL; heap = heap->seized_next)
            give_back(heap);
    }
    seizing.round = NULL;
    hak_lock_abandon(&seizing.lock);
}

/* ---- fork: no heap is seized meanwhile ------------------------------------------------------------------ */

void hak_seize_fork_prepare(void) {
    hak_lock_take(&seizing.lock);
}

void hak_seize_fork_parent(void) {
    hak_lock_drop(&seizing.lock);
}

/* The parent's other threads do not exist here, and their memory may become another's. */
static void forget_thread(struct hak_heap *heap, void *unused) {
    (void)unused;
    if (heap != hak_thread_heap()) atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
}

void hak_seize_fork_child(void) {
    hak_heap_each(forget_thread, NULL);
    hak_lock_drop(&seizing.lock);
}
