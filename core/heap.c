#include "core/heap.h"

#include <pthread.h>

#include "core/abort.h"
#include "core/bigcache.h"
#include "core/refill.h"
#include "core/seize.h"
#include "verify/hooks.h"

const struct hak_heap hak_heap_none;
const struct hak_heap hak_heap_gone;
const struct hak_heap hak_heap_seized;

/* The fast paths read the bins of these and never write them, so the constants may stand here. */
_Thread_local struct hak_thread hak_thread = {.heap = (struct hak_heap *)(uintptr_t)&hak_heap_none};

enum { SETUP_NONE, SETUP_DONE };

struct queue {
    struct hak_heap *first, *last; /* the most recent one, the one that waits for longest */
};

static struct {
    struct queue rich, poor;            /* heaps without a thread that own memory, and others */
    struct queue late;                  /* heaps whose threads nobody will see end */
    _Atomic uint32_t lates;             /* how many those are; changes under the lock */
    uint32_t round;                     /* walks over the rich ones so far */
    _Atomic(struct hak_heap *) all;     /* every heap, through all_next */
    _Atomic(struct hak_heap *) orphans; /* through pool_next; changes under the lock */
    _Atomic int setup;
    _Atomic uint64_t key; /* pthread_key_t + 1; 0: not made yet. Its destructor sees a thread's end */
} heaps;

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

#define TLS_PREWARM_FIRST 1u /* the bins that nearly every thread uses: strides 32 to 80 */
#define TLS_PREWARM_LAST  4u

static void forsaken_retire(void);
static void late_begin(struct hak_heap *heap);
static void late_forget(void);
static void late_link(struct hak_heap *heap);
static void pool_rebuild(void);

void hak_heap_advise(void) {
    const uint32_t thp = hak_policy()->thp;
    if (thp != 0) hak_range_huge_pages(thp == 1);
}

/* Under the heaps' lock. The first thing that any thread does here. */
static bool setup(void) {
    if (atomic_load_explicit(&heaps.setup, memory_order_relaxed) == SETUP_DONE) return true;
    HAK_CHECK(atomic_load_explicit(&heaps.all, memory_order_relaxed) == NULL);
    hak_lock_begin(HAK_RANK_HEAPS, pool_rebuild);
    hak_superslab_cache_begin();
    hak_bigcache_begin();
    if (!hak_range_init()) return false;
    hak_heap_advise();
    hak_seize_setup();
    hak_hook_atomic(&heaps.all, sizeof heaps.all);
    hak_hook_atomic(&heaps.orphans, sizeof heaps.orphans);
    hak_hook_atomic(&heaps.key, sizeof heaps.key);
    atomic_store_explicit(&heaps.setup, SETUP_DONE, memory_order_release);
    return true;
}

/* What other threads read of a heap while its own thread writes it. */
static void atomics_begin(struct hak_heap *heap) {
    hak_hook_atomic(&heap->home.ruler, sizeof heap->home.ruler);
    hak_hook_atomic(&heap->thread_id, sizeof heap->thread_id);
    hak_hook_atomic(&heap->thread, sizeof heap->thread);
    hak_hook_atomic(&heap->room, sizeof heap->room);
    hak_hook_atomic(&heap->moved, sizeof heap->moved);
    hak_hook_atomic(&heap->late_gone, sizeof heap->late_gone);
    hak_hook_atomic(&heap->is_wanted, sizeof heap->is_wanted);
    hak_hook_atomic(&heap->slow_calls, sizeof heap->slow_calls);
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        hak_hook_atomic(&heap->classes[bin].count_shown, sizeof heap->classes[bin].count_shown);
        hak_hook_atomic(&heap->classes[bin].used_shown, sizeof heap->classes[bin].used_shown);
    }
}

/* Its ruler is itself from the beginning on: a child of fork takes what has none for the pool's. */
static struct hak_heap *heap_create(void) {
    struct hak_heap *heap = hak_metadata_alloc(sizeof *heap);
    if (heap == NULL) return NULL;
    atomics_begin(heap);
    hak_home_set_ruler(&heap->home, heap);
    const struct hak_policy *policy = hak_policy();
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        hak_bin_set(heap, bin, NULL, 0, policy->bins[bin].cap_min);
        heap->classes[bin].batch = policy->bins[bin].batch_min;
    }
    heap->all_next = atomic_load_explicit(&heaps.all, memory_order_relaxed);
    hak_hook_release(&heaps.all);
    atomic_store_explicit(&heaps.all, heap, memory_order_release); /* release: its contents; under the lock */
    return heap;
}

/* ---- hand-over ----------------------------------------------------------------------------------------- */

#define TO(state) (1u << HAK_HEAP_##state)
static const uint8_t steps[HAK_HEAP_STATES] = {
    [HAK_HEAP_HELD] = TO(OWN) | TO(LATE) | TO(POOL),
    [HAK_HEAP_OWN] = TO(HELD) | TO(SEIZED) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_LATE] = TO(HELD) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_SEIZED] = TO(OWN) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_RULED] = TO(POOL),
    [HAK_HEAP_POOL] = TO(HELD) | TO(RULED),
    [HAK_HEAP_ORPHAN] = TO(HELD),
    [HAK_HEAP_LOST] = 0,
};
_Static_assert(HAK_HEAP_STATES <= 8, "a bit for each state");

void hak_heap_goes_on(struct hak_heap *heap, enum hak_heap_state next) {
    HAK_CHECK((unsigned)heap->state < HAK_HEAP_STATES && (steps[heap->state] >> next & 1) != 0);
    heap->state = next;
}

/* ---- the pool; under the heaps' lock ------------------------------------------------------------------- */

static void queue_link_first(struct queue *queue, struct hak_heap *heap) {
    heap->pool_prev = NULL;
    heap->pool_next = queue->first;
    if (queue->first != NULL)
        queue->first->pool_prev = heap;
    else
        queue->last = heap;
    queue->first = heap;
}

static void queue_unlink(struct queue *queue, struct hak_heap *heap) {
    if (heap->pool_prev != NULL)
        heap->pool_prev->pool_next = heap->pool_next;
    else
        queue->first = heap->pool_next;
    if (heap->pool_next != NULL)
        heap->pool_next->pool_prev = heap->pool_prev;
    else
        queue->last = heap->pool_prev;
    heap->pool_next = heap->pool_prev = NULL;
}

static struct queue *pool_of(const struct hak_heap *heap) {
    return heap->superslabs > 0 ? &heaps.rich : &heaps.poor;
}

/* Takes a heap out of the pool for the thread of `ruler`; NULL: for whoever calls. */
static void pool_take(struct queue *pool, struct hak_heap *heap, struct hak_heap *ruler) {
    HAK_CHECK(heap->ruled == NULL && hak_home_ruled_by(&heap->home, NULL));
    queue_unlink(pool, heap);
    hak_home_set_ruler(&heap->home, ruler != NULL ? ruler : heap);
    hak_heap_goes_on(heap, ruler != NULL ? HAK_HEAP_RULED : HAK_HEAP_HELD);
}

/* Nobody names a heap any more that is in the pool: its next thread works on all heaps that do without a lock. Nor has it a
 * thread that could be seized from: that may have ended. */
static void pool_put(struct hak_heap *heap) {
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    hak_lock_take(heaps_lock);
    HAK_CHECK(heap->ruled == NULL && heap->ruled_near == NULL);
    HAK_CHECK(!hak_home_ruled_by(&heap->home, NULL) && heap->late_process == 0);
    hak_heap_goes_on(heap, HAK_HEAP_POOL);
    hak_home_set_ruler(&heap->home, NULL);
    queue_link_first(pool_of(heap), heap);
    hak_lock_drop(heaps_lock);
}

/* In a child of fork: the heaps of the pool are those without a ruler. Late ones are listed if their
 * threads are of this process. */
static void pool_rebuild_visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    if (heap->state == HAK_HEAP_LATE && heap->late_process == hak_os_process_id()) late_link(heap);
    if (!hak_home_ruled_by(&heap->home, NULL)) return;
    HAK_CHECK(heap->ruled == NULL);
    heap->state = HAK_HEAP_POOL; /* a step of which the fork saw half */
    queue_link_first(pool_of(heap), heap);
}

static void pool_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.rich = heaps.poor = (struct queue){.first = NULL};
    late_forget();
    hak_heap_each(pool_rebuild_visit, NULL);
}

/* For the calling thread, whose number this is. */
static struct hak_heap *heap_obtain(int thread) {
    forsaken_retire();
    (void)hak_os_page_size(); /* may ask libc the first time, which is not done under a lock */
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = NULL;
    if (setup()) {
        struct queue *pool = heaps.rich.first != NULL ? &heaps.rich : &heaps.poor;
        heap = pool->first;
        if (heap != NULL)
            pool_take(pool, heap, NULL);
        else
            heap = heap_create();
    }
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return NULL;
    atomic_store_explicit(&heap->thread_id, thread, memory_order_relaxed);
    hak_hook_event(HAK_EVENT_HEAP_BEGUN, heap);
    return heap;
}

/* ---- threads ------------------------------------------------------------------------------------------- */

/* The key is made by the first thread that has a heap already, for libc, or who wraps it, may allocate; two may be first. */
static bool thread_end_is_seen(struct hak_heap *heap) {
    uint64_t known = atomic_load_explicit(&heaps.key, memory_order_acquire);
    if (known == 0) {
        pthread_key_t made;
        if (pthread_key_create(&made, hak_heap_end_thread) != 0) return false;
        bool is_first = atomic_compare_exchange_strong_explicit(&heaps.key, &known, (uint64_t)made + 1,
                                                                memory_order_acq_rel, memory_order_acquire);
        if (is_first)
            known = (uint64_t)made + 1;
        else
            pthread_key_delete(made);
    }
    return pthread_setspecific((pthread_key_t)(known - 1), heap) == 0;
}

struct hak_heap *hak_heap_begin_thread(void) {
    HAK_CHECK(hak_thread_heap() == &hak_heap_none);
    const int thread = hak_os_thread_id();
    if (hak_os_thread_ends(thread)) {
        hak_thread_heap_set(&hak_heap_gone);
        return hak_thread_heap();
    }
    struct hak_heap *heap = heap_obtain(thread);
    if (heap == NULL) return NULL;
    hak_hook_atomic(&HAK_THREAD, sizeof HAK_THREAD);
    hak_thread_heap_set(heap);
    /* May allocate, which works from here on. */
    if (thread_end_is_seen(heap))
        hak_seize_register(heap);
    else
        late_begin(heap);
    if (HAK_PREWARM_TLS)
        for (unsigned bin = TLS_PREWARM_FIRST; bin <= TLS_PREWARM_LAST; bin++)
            if (hak_bin_first(heap, bin) == NULL) hak_refill(heap, bin);
    if (HAK_POOL_TLS_PHASE1 && HAK_POOL_TLS_PREWARM && heap->open[1] == NULL && heap->arena.mib == 0)
        hak_heap_grow(heap, HAK_BIN_OF(POOL, 0));
    return heap;
}

/* The first thread of a process exists for the kernel until the process ends. */
struct hak_heap *hak_heap_begin_late(bool *borrowed) {
    HAK_CHECK(hak_thread_heap() == &hak_heap_gone);
    if (HAK_THREAD.failed > 0) hak_abort_recheck();
    const int thread = hak_os_thread_id();
    struct hak_heap *heap = heap_obtain(thread);
    *borrowed = heap != NULL && (HAK_THREAD.failed > 0 || thread == hak_os_process_id());
    if (heap == NULL || *borrowed) return heap;
    hak_thread_heap_set(heap);
    late_begin(heap);
    return heap;
}

/* The heap after *link is ruled no more. */
static void ruled_put(struct hak_heap *heap, struct hak_heap **link) {
    struct hak_heap *ruled = *link;
    HAK_CHECK(hak_home_ruled_by(&ruled->home, heap));
    *link = ruled->ruled;
    if (heap->ruled_near == ruled) heap->ruled_near = ruled->ruled;
    ruled->ruled = NULL;
    pool_put(ruled);
}

/* Returns all that the thread's heaps do not need and puts them into the pool, its own one last: as long as one names it, it
 * may not have another thread. */
static void heap_retire(struct hak_heap *heap) {
    hak_flush_all(heap);
    hak_hook_event(HAK_EVENT_HEAP_ENDED, heap);
    while (heap->ruled != NULL) {
        hak_heap_release_empty(heap->ruled);
        ruled_put(heap, &heap->ruled);
    }
    hak_heap_release_empty(heap);
    pool_put(heap);
}

void hak_heap_end_thread(void *value) {
    struct hak_heap *heap = value;
    if (HAK_THREAD.failed > 0) {
        hak_abort_finish();
        return; /* in a child that the handler of SIGABRT forked */
    }
    hak_hook_enter();
    struct hak_heap *own = hak_slow_enter(0); /* waits for who has seized it */
    HAK_CHECK(own == heap ||
              own == &hak_heap_none); /* none: lost with a fork, while another thread had seized it */
    if (own == heap) hak_seize_unregister(heap);
    hak_thread_heap_set(&hak_heap_gone);
    if (own == heap) heap_retire(heap);
    hak_slow_leave();
    hak_hook_leave();
}

/* ---- heaps whose threads are gone without a word ------------------------------------------------------------ */

/* What the end of its thread would have done. */
static void retire_for_thread(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap));
    hak_hook_event(HAK_EVENT_HEAP_SEIZED, heap);
    heap_retire(heap);
    hak_hook_event(HAK_EVENT_HEAP_RETURNED, heap);
}

static void orphan_retire(void) {
    hak_heap_after_fork();
    if (HAK_LIKELY(atomic_load_explicit(&heaps.orphans, memory_order_relaxed) == NULL)) return;
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    if (heap != NULL) atomic_store_explicit(&heaps.orphans, heap->pool_next, memory_order_relaxed);
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return;
    heap->pool_next = NULL;
    hak_heap_goes_on(heap, HAK_HEAP_HELD);
    retire_for_thread(heap);
}

/* Under the heaps' lock. */
static void lates_add(uint32_t change) {
    atomic_store_explicit(&heaps.lates, HAK_OWN_LOAD(&heaps.lates) + change, memory_order_relaxed);
}

static void late_forget(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.late = (struct queue){.first = NULL};
    lates_add(-HAK_OWN_LOAD(&heaps.lates));
}

/* Under the heaps' lock. Its thread still existed just now. */
static void late_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap) && heap->state == HAK_HEAP_LATE);
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    queue_link_first(&heaps.late, heap);
    lates_add(+1);
}

static void late_put(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    late_link(heap);
    hak_lock_drop(heaps_lock);
}

/* The calling thread's heap, whose end nobody will tell. */
static void late_begin(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap() && heap->late_process == 0);
    hak_lock_take(heaps_lock);
    atomic_store_explicit(&heap->late_gone, 0, memory_order_relaxed);
    heap->late_process = hak_os_process_id();
    hak_heap_goes_on(heap, HAK_HEAP_LATE);
    late_link(heap);
    hak_lock_drop(heaps_lock);
}

/* The one that was looked at the longest ago; NULL: there is none. */
static struct hak_heap *late_take(void) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.late.last;
    if (heap != NULL) {
        queue_unlink(&heaps.late, heap);
        lates_add(-1u);
    }
    hak_lock_drop(heaps_lock);
    return heap;
}

/* Of those of a fork's parent nothing is known, whose threads may have been at work; and a child
 * of vfork shares the list. 0: its thread has found an error. */
static bool late_is_over(const struct hak_heap *heap) {
    const int process = heap->late_process;
    if (process == 0 || process != hak_os_process_id()) return false;
    return !hak_os_thread_exists(process, atomic_load_explicit(&heap->thread_id, memory_order_relaxed));
}

static void late_retire(void) {
    if (HAK_LIKELY(HAK_HINT_LOAD(&heaps.lates) == 0)) return;
    struct hak_heap *heap = late_take();
    if (heap == NULL) return;
    if (!late_is_over(heap)) {
        late_put(heap);
        return;
    }
    atomic_thread_fence(memory_order_acquire); /* what the thread did before the kernel forgot it */
    (void)atomic_load_explicit(&heap->moved, memory_order_acquire); /* hak_heap_left */
    hak_hook_acquire(&heap->moved);
    heap->late_process = 0;
    hak_heap_goes_on(heap, HAK_HEAP_HELD);
    retire_for_thread(heap);
}

/* One of each kind: each is a flush of all bins. */
static void forsaken_retire(void) {
    orphan_retire();
    late_retire();
}

void hak_heap_retire_forsaken(void) {
    do
        orphan_retire();
    while (atomic_load_explicit(&heaps.orphans, memory_order_relaxed) != NULL);
    for (uint32_t n = HAK_HINT_LOAD(&heaps.lates); n > 0; n--)
        late_retire();
}

void hak_heap_return(struct hak_heap *heap) {
    heap_retire(heap);
}

/* The key's destructor shall see the thread's end, even if the thread has had no heap. */
void hak_heap_abandon(void) {
    const struct hak_heap *own = hak_thread_heap();
    bool is_seen = hak_heap_is_real(own) && own->state != HAK_HEAP_LATE;
    hak_locks_abandon();
    hak_seize_abandon();
    uint64_t key = atomic_load_explicit(&heaps.key, memory_order_acquire);
    if (!is_seen && key != 0) pthread_setspecific((pthread_key_t)(key - 1), &heaps);
}

struct hak_heap *hak_heap_adopt(struct hak_heap *heap) {
    forsaken_retire();
    hak_lock_take(heaps_lock);
    struct hak_heap *adopted = heaps.rich.first;
    if (adopted != NULL) pool_take(&heaps.rich, adopted, heap);
    hak_lock_drop(heaps_lock);
    if (adopted == NULL) return NULL;
    adopted->ruled = heap->ruled;
    heap->ruled = adopted;
    hak_hook_event(HAK_EVENT_HEAP_ADOPTED, adopted);
    return adopted;
}

void hak_heap_release_ruled(struct hak_heap *heap) {
    struct hak_heap **link = &heap->ruled;
    while (*link != NULL) {
        struct hak_heap *ruled = *link;
        HAK_ASSERT(hak_home_ruled_by(&ruled->home, heap));
        hak_heap_release_empty(ruled);
        if (ruled->superslabs == 0)
            ruled_put(heap, link);
        else
            link = &ruled->ruled;
    }
}

/* ---- all heaps --------------------------------------------------------------------------------------- */

struct hak_heap *hak_heap_newest(void) {
    struct hak_heap *heap = atomic_load_explicit(&heaps.all, memory_order_acquire);
    hak_hook_acquire(&heaps.all);
    return heap;
}

void hak_heap_each(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    for (struct hak_heap *heap = hak_heap_newest(); heap != NULL; heap = heap->all_next)
        visit(heap, context);
}

static void each_in(struct hak_heap *first, void (*visit)(struct hak_heap *heap, void *context),
                    void *context) {
    for (struct hak_heap *heap = first; heap != NULL; heap = heap->pool_next)
        visit(heap, context);
}

void hak_heap_each_listed(enum hak_heap_state state, void (*visit)(struct hak_heap *heap, void *context),
                          void *context) {
    HAK_CHECK(state == HAK_HEAP_POOL || state == HAK_HEAP_LATE || state == HAK_HEAP_ORPHAN);
    if (state == HAK_HEAP_LATE) each_in(heaps.late.first, visit, context);
    if (state == HAK_HEAP_ORPHAN) each_in(atomic_load(&heaps.orphans), visit, context);
    if (state != HAK_HEAP_POOL) return;
    each_in(heaps.rich.first, visit, context);
    each_in(heaps.poor.first, visit, context);
}

struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms) {
    forsaken_retire();
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.rich.last; /* each that was looked after comes first again */
    if (heap != NULL && (heap->last_tick == now || !hak_is_older(heap->last_tick, now, older_than_ms)))
        heap = NULL;
    if (heap != NULL) pool_take(&heaps.rich, heap, NULL);
    hak_lock_drop(heaps_lock);
    return heap;
}

void hak_heap_put_idle(struct hak_heap *heap) {
    pool_put(heap);
}

/* The heap of the pool that waits for longest, unless this round has seen it. */
static struct hak_heap *take_unseen(uint32_t round) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.rich.last;
    if (heap != NULL && (int32_t)(heap->round - round) >= 0) heap = NULL; /* by this walk, or a later one */
    if (heap != NULL) {
        heap->round = round;
        pool_take(&heaps.rich, heap, NULL);
    }
    hak_lock_drop(heaps_lock);
    return heap;
}

void hak_heap_each_idle(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    hak_heap_retire_forsaken();
    hak_lock_take(heaps_lock);
    const uint32_t round = ++heaps.round;
    hak_lock_drop(heaps_lock);
    for (struct hak_heap *heap = take_unseen(round); heap != NULL; heap = take_unseen(round)) {
        visit(heap, context);
        pool_put(heap);
    }
}

/* ---- fork ---------------------------------------------------------------------------------------------- */

/* Without a lock: by the time that this is written, the heap may have another thread, which has
 * another number. */
static void late_mark(struct hak_heap *heap, void *unused) {
    (void)unused;
    int process = (int)HAK_HINT_LOAD(&heap->late_process);
    int thread = atomic_load_explicit(&heap->thread_id, memory_order_relaxed);
    if (process == 0 || process != hak_os_process_id() || hak_os_thread_exists(process, thread)) return;
    atomic_store_explicit(&heap->late_gone, thread, memory_order_relaxed);
}

void hak_heap_fork_prepare(void) {
    if (HAK_UNLIKELY(HAK_HINT_LOAD(&heaps.lates) > 0)) hak_heap_each(late_mark, NULL);
}

/* Under the heaps' lock. */
static void orphan_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap));
    hak_heap_goes_on(heap, HAK_HEAP_ORPHAN);
    heap->pool_next = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    atomic_store_explicit(&heaps.orphans, heap, memory_order_relaxed);
}

void hak_heap_orphan(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    orphan_link(heap);
    hak_lock_drop(heaps_lock);
}

static bool late_was_gone(struct hak_heap *heap) {
    if (heap->state != HAK_HEAP_LATE) return false;
    int thread = atomic_load_explicit(&heap->thread_id, memory_order_relaxed);
    bool gone = thread != 0 && atomic_load_explicit(&heap->late_gone, memory_order_relaxed) == thread;
    if (gone) heap->late_process = 0;
    return gone;
}

/* What other threads had in their hands stays so: whose hands is not known. */
static void fork_child_visit(struct hak_heap *heap, void *own) {
    if (heap->state == HAK_HEAP_LATE && heap->late_process == hak_os_process_id()) {
        late_link(heap); /* this thread's, or of one that the child has begun */
        return;
    }
    if (heap == own) return;
    if (heap == HAK_THREAD.visited) {
        hak_seize_forget_thread(heap); /* a signal handler forked during the visit, which goes on */
        return;
    }
    bool is_whole = hak_seize_forget_thread(heap) || late_was_gone(heap);
    if (is_whole)
        orphan_link(heap);
    else if (heap->state == HAK_HEAP_OWN || heap->state == HAK_HEAP_SEIZED || heap->state == HAK_HEAP_LATE)
        hak_heap_goes_on(heap, HAK_HEAP_LOST);
}

/* A signal handler may have forked while its thread held a lock: then it is done later. So it is
 * where a thread that the child has begun comes first, for only the one that forked knows its
 * own heap. */
void hak_heap_fork_child(void) {
    if (hak_os_process_state() == HAK_PROCESS_KNOWN) return;
    if (hak_lock_any_is_mine() || !hak_os_thread_is_first()) return;
    hak_lock_take(heaps_lock);
    struct hak_heap *own = hak_thread_heap();
    if (hak_heap_is_real(own)) {
        atomic_store_explicit(&own->thread_id, hak_os_thread_id(), memory_order_relaxed);
        if (own->state == HAK_HEAP_LATE) own->late_process = hak_os_process_id();
    }
    late_forget();
    hak_heap_each(fork_child_visit, own);
    hak_lock_drop(heaps_lock);
    hak_seize_forget_own();
    hak_os_process_set(HAK_PROCESS_LOCKS, HAK_PROCESS_KNOWN);
}
