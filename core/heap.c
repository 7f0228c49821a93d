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

struct pool {
    struct hak_heap *first, *last; /* the most recent one, the one that waits for longest */
};

static struct {
    struct pool rich, poor;             /* heaps without a thread that own memory, and others */
    uint32_t round;                     /* walks over the rich ones so far */
    _Atomic(struct hak_heap *) all;     /* every heap, through all_next */
    _Atomic(struct hak_heap *) orphans; /* through pool_next; changes under the lock */
    _Atomic int setup;
    _Atomic uint64_t key; /* pthread_key_t + 1; 0: not made yet. Its destructor sees a thread's end */
} heaps;

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

#define TLS_PREWARM_FIRST 1u /* the bins that nearly every thread uses: strides 32 to 80 */
#define TLS_PREWARM_LAST  4u
#define OPEN_TRIED        8 /* SuperSlabs looked at for adjacent free units, before a new one is taken */

static void orphan_retire(void);
static void pool_rebuild(void);

/* Under the heaps' lock. The first thing that any thread does here. */
static bool setup(void) {
    if (atomic_load_explicit(&heaps.setup, memory_order_relaxed) == SETUP_DONE) return true;
    HAK_CHECK(atomic_load_explicit(&heaps.all, memory_order_relaxed) == NULL);
    hak_lock_begin(HAK_RANK_HEAPS, pool_rebuild);
    hak_superslab_cache_begin();
    hak_bigcache_begin();
    if (!hak_range_init()) return false;
    hak_os_process_begin();
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

/* ---- the pool; under the heaps' lock ------------------------------------------------------------------- */

static struct pool *pool_of(const struct hak_heap *heap) {
    return heap->superslabs > 0 ? &heaps.rich : &heaps.poor;
}

static void pool_link_first(struct pool *pool, struct hak_heap *heap) {
    heap->pool_prev = NULL;
    heap->pool_next = pool->first;
    if (pool->first != NULL)
        pool->first->pool_prev = heap;
    else
        pool->last = heap;
    pool->first = heap;
}

static void pool_unlink(struct pool *pool, struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, NULL));
    if (heap->pool_prev != NULL)
        heap->pool_prev->pool_next = heap->pool_next;
    else
        pool->first = heap->pool_next;
    if (heap->pool_next != NULL)
        heap->pool_next->pool_prev = heap->pool_prev;
    else
        pool->last = heap->pool_prev;
    heap->pool_next = heap->pool_prev = NULL;
}

/* Takes a heap out of the pool for the thread of `ruler`; NULL: for whoever calls. */
static void pool_take(struct pool *pool, struct hak_heap *heap, struct hak_heap *ruler) {
    HAK_CHECK(heap->ruled == NULL);
    pool_unlink(pool, heap);
    hak_home_set_ruler(&heap->home, ruler != NULL ? ruler : heap);
}

/* Nobody names a heap any more that is in the pool: its next thread works on all heaps that do without a lock. Nor has it a
 * thread that could be seized from: that may have ended. */
static void pool_put(struct hak_heap *heap) {
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    hak_lock_take(heaps_lock);
    HAK_CHECK(heap->ruled == NULL && heap->ruled_near == NULL);
    HAK_CHECK(!hak_home_ruled_by(&heap->home, NULL));
    hak_home_set_ruler(&heap->home, NULL);
    pool_link_first(pool_of(heap), heap);
    hak_lock_drop(heaps_lock);
}

/* In a child of fork: the heaps of the pool are those without a ruler. */
static void pool_rebuild_visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    if (!hak_home_ruled_by(&heap->home, NULL)) return;
    HAK_CHECK(heap->ruled == NULL);
    pool_link_first(pool_of(heap), heap);
}

static void pool_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.rich = heaps.poor = (struct pool){.first = NULL};
    hak_heap_each(pool_rebuild_visit, NULL);
}

static struct hak_heap *heap_obtain(void) {
    orphan_retire();
    (void)hak_os_page_size(); /* may ask libc the first time, which is not done under a lock */
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = NULL;
    if (setup()) {
        struct pool *pool = heaps.rich.first != NULL ? &heaps.rich : &heaps.poor;
        heap = pool->first;
        if (heap != NULL)
            pool_take(pool, heap, NULL);
        else
            heap = heap_create();
    }
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return NULL;
    atomic_store_explicit(&heap->thread_id, hak_os_thread_id(), memory_order_relaxed);
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
    if (hak_os_thread_ends()) return (struct hak_heap *)(uintptr_t)&hak_heap_gone;
    struct hak_heap *heap = heap_obtain();
    if (heap == NULL) return NULL;
    hak_hook_atomic(&HAK_THREAD, sizeof HAK_THREAD);
    hak_thread_heap_set(heap);
    /* May allocate, which works from here on. If it fails, the thread's end goes unseen: its heap stays its own, and
     * nobody may look for the thread. */
    if (thread_end_is_seen(heap)) hak_seize_register(heap);
    if (HAK_PREWARM_TLS)
        for (unsigned bin = TLS_PREWARM_FIRST; bin <= TLS_PREWARM_LAST; bin++)
            if (hak_bin_first(heap, bin) == NULL) hak_refill(heap, bin);
    if (HAK_POOL_TLS_PHASE1 && HAK_POOL_TLS_PREWARM && heap->open[1] == NULL && heap->arena.mib == 0)
        hak_heap_grow(heap, HAK_BIN_OF(POOL, 0));
    return heap;
}

static void open_push(struct hak_heap *heap, struct hak_superslab *ss) {
    struct hak_superslab **list = &heap->open[ss->pool];
    ss->prev = NULL;
    ss->next = *list;
    if (*list != NULL) (*list)->prev = ss;
    *list = ss;
}

static void open_remove(struct hak_heap *heap, struct hak_superslab *ss) {
    if (ss->prev != NULL)
        ss->prev->next = ss->next;
    else
        heap->open[ss->pool] = ss->next;
    if (ss->next != NULL) ss->next->prev = ss->prev;
    ss->next = ss->prev = NULL;
}

static void superslab_drop(struct hak_heap *heap, struct hak_superslab *ss) {
    open_remove(heap, ss);
    uint32_t mib = (uint32_t)(hak_superslab_bytes(ss) >> 20);
    HAK_CHECK(heap->superslabs > 0 && (!ss->pool || heap->arena.mib >= mib));
    heap->superslabs--;
    if (ss->pool) heap->arena.mib -= mib;
    hak_superslab_retire(ss);
}

/* Gives up SuperSlabs in which there is no slab, such as the pool arena's first that every heap begins with. */
static void release_empty(struct hak_heap *heap) {
    for (unsigned pool = 0; pool < 2; pool++) {
        struct hak_superslab *next;
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = next) {
            next = ss->next;
            if (ss->free_mask == ss->all_mask) superslab_drop(heap, ss);
        }
    }
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
        release_empty(heap->ruled);
        ruled_put(heap, &heap->ruled);
    }
    release_empty(heap);
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
    HAK_CHECK(own == heap);
    hak_seize_unregister(heap);
    hak_thread_heap_set(&hak_heap_gone);
    heap_retire(heap);
    hak_slow_leave();
    hak_hook_leave();
}

/* What the end of its thread would have done. One at a time: each is a flush of all bins. */
static void orphan_retire(void) {
    if (HAK_LIKELY(atomic_load_explicit(&heaps.orphans, memory_order_relaxed) == NULL)) return;
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    if (heap != NULL) atomic_store_explicit(&heaps.orphans, heap->pool_next, memory_order_relaxed);
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return;
    heap->pool_next = NULL;
    hak_hook_event(HAK_EVENT_HEAP_SEIZED, heap);
    heap_retire(heap);
    hak_hook_event(HAK_EVENT_HEAP_RETURNED, heap);
}

struct hak_heap *hak_heap_borrow(void) {
    if (HAK_THREAD.failed > 0) hak_abort_recheck();
    return heap_obtain();
}
void hak_heap_return(struct hak_heap *heap) {
    heap_retire(heap);
}

/* The key's destructor shall see the thread's end, even if the thread has had no heap. */
void hak_heap_abandon(void) {
    bool is_seen = hak_heap_is_real(hak_thread_heap());
    hak_locks_abandon();
    hak_seize_abandon();
    uint64_t key = atomic_load_explicit(&heaps.key, memory_order_acquire);
    if (!is_seen && key != 0) pthread_setspecific((pthread_key_t)(key - 1), &heaps);
}

struct hak_heap *hak_heap_adopt(struct hak_heap *heap) {
    orphan_retire();
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
        release_empty(ruled);
        if (ruled->superslabs == 0)
            ruled_put(heap, link);
        else
            link = &ruled->ruled;
    }
}

/* ---- slabs and SuperSlabs ---------------------------------------------------------------------------- */

void hak_heap_partial_push(struct hak_heap *heap, struct hak_slab *slab) {
    HAK_CHECK(slab->home == &heap->home && slab->state != HAK_SLAB_PARTIAL);
    struct hak_slab **list = &heap->classes[slab->bin].partial;
    slab->state = HAK_SLAB_PARTIAL;
    slab->prev = NULL;
    slab->next = *list;
    if (*list != NULL) (*list)->prev = slab;
    *list = slab;
}

void hak_heap_partial_remove(struct hak_heap *heap, struct hak_slab *slab) {
    HAK_CHECK(slab->home == &heap->home && slab->state == HAK_SLAB_PARTIAL);
    if (slab->prev != NULL)
        slab->prev->next = slab->next;
    else
        heap->classes[slab->bin].partial = slab->next;
    if (slab->next != NULL) slab->next->prev = slab->prev;
    slab->next = slab->prev = NULL;
    slab->state = HAK_SLAB_FULL;
}

static struct hak_slab *slab_in_units(struct hak_heap *heap, unsigned bin, bool dirty) {
    struct hak_superslab *ss = heap->open[hak_tier_of_bin(bin) == HAK_TIER_POOL];
    for (int tried = 0; ss != NULL && tried < OPEN_TRIED; tried++, ss = ss->next) {
        struct hak_slab *slab = hak_slab_create(ss, bin, dirty ? ss->dirty_mask : ss->free_mask);
        if (slab == NULL) continue;
        if (ss->free_mask == 0) open_remove(heap, ss);
        return slab;
    }
    return NULL;
}

struct hak_slab *hak_heap_new_slab(struct hak_heap *heap, unsigned bin) {
    /* Units that hold memory first: they cost no page fault. */
    struct hak_slab *slab = slab_in_units(heap, bin, true);
    return slab != NULL ? slab : slab_in_units(heap, bin, false);
}

static struct hak_superslab *grow_by(struct hak_heap *heap, bool pool, unsigned shift) {
    struct hak_superslab *ss = hak_superslab_acquire(&heap->home, shift, pool);
    /* One size may not be had where the other still is. */
    if (ss == NULL)
        ss = hak_superslab_acquire(&heap->home, HAK_SUPERSLAB_SHIFT + HAK_SUPERSLAB_SHIFT_MIN - shift, pool);
    if (ss == NULL) return NULL;
    heap->superslabs++;
    if (pool) heap->arena.mib += (uint32_t)(hak_superslab_bytes(ss) >> 20);
    open_push(heap, ss);
    return ss;
}

static bool arena_grow(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    uint32_t mib =
        hak_pool_arena_next(&heap->arena, policy->arena_mb_init, policy->arena_mb_max, policy->arena_levels);
    HAK_ASSERT(hak_is_power_of_two(mib));
    struct hak_superslab *ss = grow_by(heap, true, mib == 1 ? HAK_SUPERSLAB_SHIFT_MIN : HAK_SUPERSLAB_SHIFT);
    if (ss == NULL) return false;
    if (mib > 2 && ss->dirty_mask == 0) hak_superslab_stock(mib / 2 - 1);
    return true;
}

bool hak_heap_grow(struct hak_heap *heap, unsigned bin) {
    if (hak_tier_of_bin(bin) == HAK_TIER_POOL) return arena_grow(heap);
    return grow_by(heap, false, HAK_SUPERSLAB_SHIFT) != NULL;
}

void hak_heap_drop_slab(struct hak_heap *heap, struct hak_slab *slab, uint32_t now) {
    HAK_CHECK(slab->home == &heap->home && slab->used == 0 && slab->state == HAK_SLAB_FULL);
    struct hak_superslab *ss = hak_superslab_of(slab);
    bool was_open = ss->free_mask != 0;
    hak_slab_destroy(slab, now);
    if (!was_open) open_push(heap, ss);
    if (ss->free_mask == ss->all_mask) superslab_drop(heap, ss);
}

size_t hak_heap_purge_while(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms,
                            bool (*ends)(const struct hak_heap *of), const struct hak_heap *of) {
    size_t bytes = 0;
    for (unsigned pool = 0; pool < 2; pool++)
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next) {
            if (ss->dirty_mask != 0) bytes += hak_superslab_purge(ss, now, older_than_ms);
            if (ends(of)) return bytes;
        }
    return bytes;
}

static bool never(const struct hak_heap *of) {
    (void)of;
    return false;
}

size_t hak_heap_purge(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms) {
    return hak_heap_purge_while(heap, now, older_than_ms, never, NULL);
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

struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms) {
    orphan_retire();
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
    while (atomic_load_explicit(&heaps.orphans, memory_order_relaxed) != NULL)
        orphan_retire();
    hak_lock_take(heaps_lock);
    const uint32_t round = ++heaps.round;
    hak_lock_drop(heaps_lock);
    for (struct hak_heap *heap = take_unseen(round); heap != NULL; heap = take_unseen(round)) {
        visit(heap, context);
        pool_put(heap);
    }
}

/* ---- a child of fork --------------------------------------------------------------------------------- */

static void fork_child_visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    bool is_whole = hak_seize_forget_thread(heap);
    if (!is_whole) return;
    heap->pool_next = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    atomic_store_explicit(&heaps.orphans, heap, memory_order_relaxed);
}

void hak_heap_fork_child(void) {
    if (!hak_lock_is_mine(heaps_lock)) { /* or a signal handler forks amidst of that: the heaps are lost */
        hak_lock_take(heaps_lock);
        hak_heap_each(fork_child_visit, NULL);
        hak_lock_drop(heaps_lock);
    }
    struct hak_heap *heap = hak_thread_heap();
    if (hak_heap_is_real(heap))
        atomic_store_explicit(&heap->thread_id, hak_os_thread_id(), memory_order_relaxed);
}
