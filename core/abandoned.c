#include "core/abandoned.h"

#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/os_process.h"

struct queue {
    struct hak_heap *first, *last; /* the most recent one, the one that waits for longest */
};

static struct {
    struct queue rich, poor;            /* heaps without a thread that own memory, and others */
    struct queue late;                  /* heaps whose threads nobody will see end */
    _Atomic uint32_t lates;             /* how many those are; changes under the lock */
    uint32_t round;                     /* walks over the rich ones so far */
    _Atomic(struct hak_heap *) orphans; /* through pool_next; changes under the lock */
} heaps;

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

/* ---- queues -------------------------------------------------------------------------------------------- */

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

/* ---- heaps whose threads nobody will see end ------------------------------------------------------------ */

/* Under the heaps' lock. */
static void lates_add(uint32_t change) {
    atomic_store_explicit(&heaps.lates, HAK_OWN_LOAD(&heaps.lates) + change, memory_order_relaxed);
}

void hak_late_forget(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.late = (struct queue){.first = NULL};
    lates_add(-HAK_OWN_LOAD(&heaps.lates));
}

/* Under the heaps' lock. Its thread still existed just now. */
void hak_late_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap) && heap->state == HAK_HEAP_LATE);
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    queue_link_first(&heaps.late, heap);
    lates_add(+1);
}

void hak_late_put(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    hak_late_link(heap);
    hak_lock_drop(heaps_lock);
}

/* The calling thread's heap, whose end nobody will tell. */
void hak_late_begin(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap() && heap->late_process == 0);
    hak_lock_take(heaps_lock);
    atomic_store_explicit(&heap->late_gone, 0, memory_order_relaxed);
    heap->late_process = hak_os_process_id();
    hak_heap_goes_on(heap, HAK_HEAP_LATE);
    hak_late_link(heap);
    hak_lock_drop(heaps_lock);
}

/* The one that was looked at the longest ago; NULL: there is none. */
struct hak_heap *hak_late_take(void) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.late.last;
    if (heap != NULL) {
        queue_unlink(&heaps.late, heap);
        lates_add(-1u);
    }
    hak_lock_drop(heaps_lock);
    return heap;
}

uint32_t hak_lates(void) {
    return HAK_HINT_LOAD(&heaps.lates);
}

/* ---- orphans ------------------------------------------------------------------------------------------- */

/* Under the heaps' lock. */
void hak_orphan_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_ruled_by(&heap->home, heap));
    hak_heap_goes_on(heap, HAK_HEAP_ORPHAN);
    heap->pool_next = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    atomic_store_explicit(&heaps.orphans, heap, memory_order_relaxed);
}

void hak_heap_orphan(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    hak_orphan_link(heap);
    hak_lock_drop(heaps_lock);
}

bool hak_orphans_are_there(void) {
    return atomic_load_explicit(&heaps.orphans, memory_order_relaxed) != NULL;
}

struct hak_heap *hak_orphan_take(void) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
    if (heap != NULL) atomic_store_explicit(&heaps.orphans, heap->pool_next, memory_order_relaxed);
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return NULL;
    heap->pool_next = NULL;
    hak_heap_goes_on(heap, HAK_HEAP_HELD);
    return heap;
}

/* ---- the pool ------------------------------------------------------------------------------------------ */

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
void hak_abandoned_put(struct hak_heap *heap) {
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
    if (heap->state == HAK_HEAP_LATE && heap->late_process == hak_os_process_id()) hak_late_link(heap);
    if (!hak_home_ruled_by(&heap->home, NULL)) return;
    HAK_CHECK(heap->ruled == NULL);
    heap->state = HAK_HEAP_POOL; /* a step of which the fork saw half */
    queue_link_first(pool_of(heap), heap);
}

static void pool_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.rich = heaps.poor = (struct queue){.first = NULL};
    hak_late_forget();
    hak_heap_each(pool_rebuild_visit, NULL);
}

void hak_abandoned_begin(void) {
    hak_lock_begin(HAK_RANK_HEAPS, pool_rebuild);
    hak_hook_atomic(&heaps.orphans, sizeof heaps.orphans);
}

struct hak_heap *hak_abandoned_take(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    struct queue *pool = heaps.rich.first != NULL ? &heaps.rich : &heaps.poor;
    struct hak_heap *heap = pool->first;
    if (heap != NULL) pool_take(pool, heap, NULL);
    return heap;
}

struct hak_heap *hak_abandoned_adopt(struct hak_heap *heap) {
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

/* The heap after *link is ruled no more. */
void hak_abandoned_put_ruled(struct hak_heap *heap, struct hak_heap **link) {
    struct hak_heap *ruled = *link;
    HAK_CHECK(hak_home_ruled_by(&ruled->home, heap));
    *link = ruled->ruled;
    if (heap->ruled_near == ruled) heap->ruled_near = ruled->ruled;
    ruled->ruled = NULL;
    hak_abandoned_put(ruled);
}

void hak_heap_release_ruled(struct hak_heap *heap) {
    struct hak_heap **link = &heap->ruled;
    while (*link != NULL) {
        struct hak_heap *ruled = *link;
        HAK_ASSERT(hak_home_ruled_by(&ruled->home, heap));
        hak_heap_release_empty(ruled);
        if (ruled->superslabs == 0)
            hak_abandoned_put_ruled(heap, link);
        else
            link = &ruled->ruled;
    }
}

struct hak_heap *hak_abandoned_take_idle(uint32_t now, uint32_t older_than_ms) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.rich.last; /* each that was looked after comes first again */
    if (heap != NULL && (heap->last_tick == now || !hak_is_older(heap->last_tick, now, older_than_ms)))
        heap = NULL;
    if (heap != NULL) pool_take(&heaps.rich, heap, NULL);
    hak_lock_drop(heaps_lock);
    return heap;
}

uint32_t hak_abandoned_round(void) {
    hak_lock_take(heaps_lock);
    const uint32_t round = ++heaps.round;
    hak_lock_drop(heaps_lock);
    return round;
}

/* The heap of the pool that waits for longest, unless this round has seen it. */
struct hak_heap *hak_abandoned_take_unseen(uint32_t round) {
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

/* ---- for checks ---------------------------------------------------------------------------------------- */

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
