#include "core/fork_child.h"

#include "core/abandoned.h"
#include "core/announced.h"
#include "core/hooks.h"

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

static bool has_handlers = true;

void hak_fork_handlers_missing(void) {
    has_handlers = false;
}

bool hak_fork_has_handlers(void) {
    return has_handlers;
}

/* Without a lock, so the heap may get another thread before the mark is written. That thread has
 * another number than the mark. */
static void untracked_mark_gone(struct hak_heap *heap, void *unused) {
    (void)unused;
    int process = (int)HAK_HINT_LOAD(&heap->untracked_process);
    int thread = atomic_load_explicit(&heap->thread_id, memory_order_relaxed);
    if (process == 0 || process != hak_os_process_id() || hak_os_thread_exists(process, thread))
        return;
    atomic_store_explicit(&heap->untracked_gone, thread, memory_order_relaxed);
}

void hak_heap_fork_prepare(void) {
    if (HAK_UNLIKELY(hak_untracked_count() > 0)) hak_heap_each(untracked_mark_gone, NULL);
}

static bool untracked_was_gone(struct hak_heap *heap) {
    if (heap->state != HAK_HEAP_UNTRACKED) return false;
    int thread = atomic_load_explicit(&heap->thread_id, memory_order_relaxed);
    bool gone =
        thread != 0 && atomic_load_explicit(&heap->untracked_gone, memory_order_relaxed) == thread;
    if (gone) heap->untracked_process = 0;
    return gone;
}

/* Sets the bin's free capacity from its list, which is authoritative: a block that is in no list
 * is lost. False: the list itself is damaged. */
static bool bin_mend(struct hak_heap *heap, unsigned bin) {
    struct hak_block *block = hak_bin_first(heap, bin);
    uint32_t limit = heap->classes[bin].limit, count = 0;
    if (block != NULL && hak_range_has(block) && hak_header_of(block) == HAK_CLASS_HEADER(bin))
        hak_header_flip(block);
    for (; block != NULL; block = hak_block_next(block))
        if (!hak_range_has(block) || hak_header_of(block) != HAK_CLASS_HEADER_FREE(bin) ||
            ++count > limit)
            return false;
    HAK_OWN_STORE(&heap->free_capacity[HAK_CLASS_HEADER(bin)], limit - count);
    return true;
}

/* In a child of fork, for a heap whose thread was in the middle of a fast malloc or free. One
 * bin may be wrong: its first block may have the header of a live block, and may not be counted.
 * Here that block becomes a free, counted one. False: more than that is wrong. */
static bool heap_mend(struct hak_heap *heap) {
    HAK_CHECK(hak_home_owned_by(&heap->home, heap) && heap != hak_thread_heap());
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (!bin_mend(heap, bin)) return false;
    return true;
}

/* Not in the audit: its books have another state for the block that is on its way. */
static bool can_be_mended(struct hak_heap *heap, const struct hak_thread *thread) {
    uint32_t slow = atomic_load_explicit(&thread->slow, memory_order_relaxed);
    return !HAK_AUDIT && (slow == HAK_SLOW_NO || slow == HAK_SLOW_LARGE) && heap_mend(heap);
}

/* Unregisters the heap's thread, unless it is the calling thread: the thread does not exist in
 * this process. True if the heap is whole, because that thread was outside of the allocator, on
 * a fast path, or at work on large blocks. The calling thread's own heap is lost if a thread
 * that does not exist here has seized it. */
static bool forget_thread(struct hak_heap *heap) {
    struct hak_thread *thread = hak_heap_thread(heap);
    if (thread == NULL || (thread == &HAK_THREAD && hak_thread_heap() != &hak_heap_seized))
        return false;
    /* `*thread` lies in a stack that libc may have unmapped, for its thread is gone. */
    bool whole = has_handlers && hak_os_is_mapped(thread, sizeof *thread) &&
                 atomic_load_explicit(&thread->heap, memory_order_relaxed) == heap &&
                 (hak_heap_is_outside(heap) || can_be_mended(heap, thread));
    atomic_store_explicit(&heap->thread, NULL, memory_order_relaxed);
    return whole;
}

/* A signal handler of this thread may have interrupted the wait for its heap, and forked. The wait
 * must not begin again. */
static void end_wait(void) {
    uint32_t waits = HAK_SLOW_WAITS;
    atomic_compare_exchange_strong_explicit(&HAK_THREAD.slow, &waits, HAK_SLOW_PATH,
                                            memory_order_relaxed, memory_order_relaxed);
}

/* A thread that does not exist here had hidden the calling thread's heap, to see whether it may
 * seize the heap, or was about to give it back. In the state own nobody else touches the heap, so
 * the calling thread, which may be at work on it, has it again. False: that is not so. */
static bool take_back(struct hak_heap *heap) {
    if (hak_heap_thread(heap) != &HAK_THREAD || hak_thread_heap() != &hak_heap_seized) return false;
    if (heap->state != HAK_HEAP_OWN) return false;
    hak_thread_heap_set(heap);
    atomic_store_explicit(&heap->thread_id, hak_os_thread_id(), memory_order_relaxed);
    end_wait();
    return true;
}

/* After forget_thread for all heaps: if the calling thread has lost its heap, it begins anew. */
static void forget_own(void) {
    if (hak_thread_heap() != &hak_heap_seized) return;
    hak_hook_event(HAK_EVENT_HEAP_LOST, &HAK_THREAD);
    hak_thread_heap_set(&hak_heap_none);
    end_wait();
}

/* A heap in the state held stays held, because which thread holds it is not known. */
static void fork_child_visit(struct hak_heap *heap, void *own) {
    if (heap->state == HAK_HEAP_UNTRACKED && heap->untracked_process == hak_os_process_id()) {
        hak_untracked_link(heap); /* of this thread, or of one that the child has begun */
        return;
    }
    if (heap == own || take_back(heap)) return;
    if (heap == HAK_THREAD.seized_heap) {
        /* a signal handler of this thread forked during its visit, which goes on */
        forget_thread(heap);
        return;
    }
    bool is_whole = forget_thread(heap) || untracked_was_gone(heap);
    if (is_whole)
        hak_orphan_link(heap);
    else if (heap->state == HAK_HEAP_OWN || heap->state == HAK_HEAP_SEIZED ||
             heap->state == HAK_HEAP_UNTRACKED)
        hak_heap_set_state(heap, HAK_HEAP_LOST);
}

/* Does nothing while the calling thread holds a lock (its signal handler has forked), nor in a
 * thread that the child has begun: only the thread that forked knows its own heap. A later call
 * does the work then. */
void hak_heap_fork_child(void) {
    if (hak_os_process_state() == HAK_PROCESS_KNOWN) return;
    if (hak_lock_any_is_mine() || !hak_os_thread_is_first()) return;
    hak_lock_take(heaps_lock);
    struct hak_heap *own = hak_thread_heap();
    if (hak_heap_is_real(own)) {
        atomic_store_explicit(&own->thread_id, hak_os_thread_id(), memory_order_relaxed);
        if (own->state == HAK_HEAP_UNTRACKED) own->untracked_process = hak_os_process_id();
    }
    hak_untracked_forget();
    hak_heap_each(fork_child_visit, own);
    hak_lock_drop(heaps_lock);
    forget_own();
    hak_os_process_set(HAK_PROCESS_LOCKS, HAK_PROCESS_KNOWN);
}
