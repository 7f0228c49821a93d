#include "core/heap.h"

#include <string.h>

#include "core/abort.h"
#include "core/refill.h"
#include "core/seize.h"
#include "verify/hooks.h"

const struct hak_heap hak_heap_none;
const struct hak_heap hak_heap_gone;
const struct hak_heap hak_heap_seized;

/* The fast paths read the bins of these and never write them, so the constants may stand here. */
_Thread_local struct hak_thread hak_thread = {.heap = (struct hak_heap *)(uintptr_t)&hak_heap_none};

enum { SETUP_NONE, SETUP_DONE };

static struct {
    struct hak_lock lock;
    struct hak_heap *pool;          /* heaps without a thread, through pool_next */
    _Atomic(struct hak_heap *) all; /* every heap, through all_next */
    _Atomic int setup;
    pthread_key_t key; /* its destructor sees a thread's end */
} heaps = {.lock = HAK_LOCK_INITIALIZER(HAK_RANK_HEAPS)};

#define TLS_PREWARM_FIRST 1u /* the bins that nearly every thread uses: strides 32 to 80 */
#define TLS_PREWARM_LAST  4u
#define OPEN_TRIED        8 /* SuperSlabs looked at for adjacent free units, before a new one is taken */

static void end_thread(void *value);

/* Under the heaps' lock. The first thing that any thread does here. */
static bool setup(void) {
    if (atomic_load_explicit(&heaps.setup, memory_order_relaxed) == SETUP_DONE) return true;
    if (!hak_range_init()) return false;
    int bad = pthread_key_create(&heaps.key, end_thread);
    HAK_CHECK(bad == 0);
    hak_seize_setup();
    hak_hook_atomic(&heaps.all, sizeof heaps.all);
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
    hak_hook_atomic(&heap->slow_calls, sizeof heap->slow_calls);
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        hak_hook_atomic(&heap->classes[bin].count_shown, sizeof heap->classes[bin].count_shown);
        hak_hook_atomic(&heap->classes[bin].used_shown, sizeof heap->classes[bin].used_shown);
    }
}

static struct hak_heap *heap_create(void) {
    struct hak_heap *heap = hak_metadata_alloc(sizeof *heap);
    if (heap == NULL) return NULL;
    atomics_begin(heap);
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

/* Takes the heap that *link leads to out of the pool. Under the heaps' lock. */
static struct hak_heap *pool_unlink(struct hak_heap **link) {
    struct hak_heap *heap = *link;
    if (heap == NULL) return NULL;
    *link = heap->pool_next;
    heap->pool_next = NULL;
    HAK_CHECK(hak_home_ruled_by(&heap->home, NULL) && heap->ruled == NULL);
    return heap;
}

/* A heap that owns memory; NULL if the pool has none. Under the heaps' lock. */
static struct hak_heap *pool_take_rich(void) {
    struct hak_heap **link = &heaps.pool;
    while (*link != NULL && (*link)->superslabs == 0)
        link = &(*link)->pool_next;
    return pool_unlink(link);
}

static void pool_put(struct hak_heap *heap) {
    hak_home_set_ruler(&heap->home, NULL);
    heap->ruled = heap->ruled_near = NULL;
    hak_lock_take(&heaps.lock);
    heap->pool_next = heaps.pool;
    heaps.pool = heap;
    hak_lock_drop(&heaps.lock);
}

static struct hak_heap *heap_obtain(void) {
    hak_lock_take(&heaps.lock);
    struct hak_heap *heap = NULL;
    if (setup()) {
        heap = pool_take_rich();
        if (heap == NULL) heap = pool_unlink(&heaps.pool);
        if (heap == NULL) heap = heap_create();
    }
    hak_lock_drop(&heaps.lock);
    if (heap == NULL) return NULL;
    hak_home_set_ruler(&heap->home, heap);
    atomic_store_explicit(&heap->thread_id, hak_os_thread_id(), memory_order_relaxed);
    hak_hook_event(HAK_EVENT_HEAP_BEGUN, heap);
    return heap;
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
    bool end_is_seen = pthread_setspecific(heaps.key, heap) == 0;
    if (end_is_seen) hak_seize_register(heap);
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

/* Returns all that the thread's heaps do not need and puts them into the pool. */
static void heap_retire(struct hak_heap *heap) {
    hak_flush_all(heap);
    hak_hook_event(HAK_EVENT_HEAP_ENDED, heap);
    while (heap != NULL) {
        struct hak_heap *next = heap->ruled;
        release_empty(heap);
        pool_put(heap);
        heap = next;
    }
}

static void end_thread(void *value) {
    struct hak_heap *heap = value;
    if (HAK_THREAD.failed > 0) {
        hak_abort_finish();
        return; /* in a child that the handler of SIGABRT forked */
    }
    hak_hook_enter();
    hak_seize_unregister(heap);
    heap_retire(heap);
    hak_hook_leave();
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
    hak_seize_abandon();
    hak_lock_abandon(&heaps.lock);
    hak_lock_fork_abandon();
    if (!is_seen && atomic_load_explicit(&heaps.setup, memory_order_relaxed) == SETUP_DONE)
        pthread_setspecific(heaps.key, &heaps);
}

struct hak_heap *hak_heap_adopt(struct hak_heap *heap) {
    hak_lock_take(&heaps.lock);
    struct hak_heap *adopted = pool_take_rich();
    hak_lock_drop(&heaps.lock);
    if (adopted == NULL) return NULL;
    hak_home_set_ruler(&adopted->home, heap);
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
        if (ruled->superslabs == 0) {
            *link = ruled->ruled;
            if (heap->ruled_near == ruled) heap->ruled_near = ruled->ruled;
            pool_put(ruled);
        } else {
            link = &ruled->ruled;
        }
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

size_t hak_heap_purge(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms) {
    size_t bytes = 0;
    for (unsigned pool = 0; pool < 2; pool++)
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next)
            if (ss->dirty_mask != 0) bytes += hak_superslab_purge(ss, now, older_than_ms);
    return bytes;
}

/* ---- all heaps --------------------------------------------------------------------------------------- */

void hak_heap_each(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    struct hak_heap *heap = atomic_load_explicit(&heaps.all, memory_order_acquire);
    hak_hook_acquire(&heaps.all);
    for (; heap != NULL; heap = heap->all_next)
        visit(heap, context);
}

struct hak_heap *hak_heap_take_idle(uint32_t now, uint32_t older_than_ms) {
    hak_lock_take(&heaps.lock);
    struct hak_heap **link = &heaps.pool;
    while (*link != NULL && ((*link)->superslabs == 0 || (*link)->last_tick == now ||
                             !hak_is_older((*link)->last_tick, now, older_than_ms)))
        link = &(*link)->pool_next;
    struct hak_heap *heap = pool_unlink(link);
    hak_lock_drop(&heaps.lock);
    if (heap != NULL) hak_home_set_ruler(&heap->home, heap);
    return heap;
}

void hak_heap_put_idle(struct hak_heap *heap) {
    pool_put(heap);
}

void hak_heap_each_idle(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    struct hak_heap *rest;
    struct hak_heap *seen = NULL;
    hak_lock_take(&heaps.lock);
    rest = heaps.pool;
    heaps.pool = NULL;
    hak_lock_drop(&heaps.lock);
    while (rest != NULL) {
        struct hak_heap *heap = rest;
        rest = heap->pool_next;
        heap->pool_next = seen;
        seen = heap;
        hak_home_set_ruler(&heap->home, heap);
        visit(heap, context);
        HAK_CHECK(heap->ruled == NULL);
    }
    while (seen != NULL) {
        struct hak_heap *heap = seen;
        seen = heap->pool_next;
        pool_put(heap);
    }
}

void hak_heap_fork_prepare(void) {
    hak_lock_take(&heaps.lock);
}
void hak_heap_fork_parent(void) {
    hak_lock_drop(&heaps.lock);
}

/* The parent's other threads do not exist here; what they were doing to their heaps is unknown. Those heaps
 * stay as they are: their blocks can be freed, into remote lists that nobody collects. */
void hak_heap_fork_child(void) {
    hak_lock_drop(&heaps.lock);
    struct hak_heap *heap = hak_thread_heap();
    if (hak_heap_is_real(heap))
        atomic_store_explicit(&heap->thread_id, hak_os_thread_id(), memory_order_relaxed);
}
