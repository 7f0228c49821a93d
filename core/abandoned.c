#include "core/abandoned.h"

#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/os_process.h"

struct queue {
    struct hak_heap *first, *last; /* the most recent one, and the one that has waited longest */
};

static struct {
    struct queue with_memory, without_memory; /* abandoned heaps that have SuperSlabs, and others */
    struct queue untracked;                   /* heaps whose threads nobody will see end */
    _Atomic uint32_t untracked_count;         /* number of these; changes under the heaps' lock */
    uint32_t walk; /* number of the last walk over the abandoned heaps with memory */
    _Atomic(struct hak_heap *) orphans; /* linked by list_next; changes under the heaps' lock */
} heaps;

static struct hak_lock *const heaps_lock = &hak_locks[HAK_RANK_HEAPS];

/* ---- queues ---------------------------------------------------------------------------------- */

static void queue_link_first(struct queue *queue, struct hak_heap *heap) {
    heap->list_prev = NULL;
    heap->list_next = queue->first;
    if (queue->first != NULL)
        queue->first->list_prev = heap;
    else
        queue->last = heap;
    queue->first = heap;
}

static void queue_unlink(struct queue *queue, struct hak_heap *heap) {
    if (heap->list_prev != NULL)
        heap->list_prev->list_next = heap->list_next;
    else
        queue->first = heap->list_next;
    if (heap->list_next != NULL)
        heap->list_next->list_prev = heap->list_prev;
    else
        queue->last = heap->list_prev;
    heap->list_next = heap->list_prev = NULL;
}

/* ---- heaps whose threads nobody will see end ------------------------------------------------- */

/* Under the heaps' lock. */
static void untracked_add(uint32_t change) {
    atomic_store_explicit(&heaps.untracked_count, HAK_OWN_LOAD(&heaps.untracked_count) + change,
                          memory_order_relaxed);
}

void hak_untracked_forget(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.untracked = (struct queue){.first = NULL};
    untracked_add(-HAK_OWN_LOAD(&heaps.untracked_count));
}

void hak_untracked_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_owned_by(&heap->home, heap) && heap->state == HAK_HEAP_UNTRACKED);
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    queue_link_first(&heaps.untracked, heap);
    untracked_add(+1);
}

void hak_untracked_put(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    hak_untracked_link(heap);
    hak_lock_drop(heaps_lock);
}

void hak_untracked_begin(struct hak_heap *heap) {
    HAK_CHECK(heap == hak_thread_heap() && heap->untracked_process == 0);
    hak_lock_take(heaps_lock);
    atomic_store_explicit(&heap->untracked_gone, 0, memory_order_relaxed);
    heap->untracked_process = hak_os_process_id();
    hak_heap_set_state(heap, HAK_HEAP_UNTRACKED);
    hak_untracked_link(heap);
    hak_lock_drop(heaps_lock);
}

struct hak_heap *hak_untracked_take(void) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.untracked.last;
    if (heap != NULL) {
        queue_unlink(&heaps.untracked, heap);
        untracked_add(-1u);
    }
    hak_lock_drop(heaps_lock);
    return heap;
}

uint32_t hak_untracked_count(void) {
    return HAK_HINT_LOAD(&heaps.untracked_count);
}

/* ---- orphans --------------------------------------------------------------------------------- */

void hak_orphan_link(struct hak_heap *heap) {
    HAK_CHECK(hak_home_owned_by(&heap->home, heap));
    hak_heap_set_state(heap, HAK_HEAP_ORPHAN);
    heap->list_next = atomic_load_explicit(&heaps.orphans, memory_order_relaxed);
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
    if (heap != NULL) atomic_store_explicit(&heaps.orphans, heap->list_next, memory_order_relaxed);
    hak_lock_drop(heaps_lock);
    if (heap == NULL) return NULL;
    heap->list_next = NULL;
    hak_heap_set_state(heap, HAK_HEAP_HELD);
    return heap;
}

/* ---- abandoned heaps ------------------------------------------------------------------------- */

static struct queue *queue_of(const struct hak_heap *heap) {
    return heap->superslabs > 0 ? &heaps.with_memory : &heaps.without_memory;
}

/* Takes an abandoned heap out of its list. `owner` becomes its owner; NULL: the heap becomes its
 * own owner, held by the calling thread. Under the heaps' lock. */
static void queue_take(struct queue *queue, struct hak_heap *heap, struct hak_heap *owner) {
    HAK_CHECK(heap->next_reclaimed == NULL && hak_home_owned_by(&heap->home, NULL));
    queue_unlink(queue, heap);
    hak_home_set_owner(&heap->home, owner != NULL ? owner : heap);
    hak_heap_set_state(heap, owner != NULL ? HAK_HEAP_RECLAIMED : HAK_HEAP_HELD);
}

/* An abandoned heap owns no other heap, because its next thread would work on that heap without a
 * lock. Nor can it be seized from a thread: that thread may have ended. */
void hak_abandoned_put(struct hak_heap *heap) {
    HAK_CHECK(atomic_load_explicit(&heap->thread, memory_order_relaxed) == NULL);
    hak_lock_take(heaps_lock);
    HAK_CHECK(heap->next_reclaimed == NULL && heap->reclaimed_cursor == NULL);
    HAK_CHECK(!hak_home_owned_by(&heap->home, NULL) && heap->untracked_process == 0);
    hak_heap_set_state(heap, HAK_HEAP_ABANDONED);
    hak_home_set_owner(&heap->home, NULL);
    queue_link_first(queue_of(heap), heap);
    hak_lock_drop(heaps_lock);
}

/* In a child of fork: the abandoned heaps are those without an owner, and those that were on their
 * way from or to their list, for no thread uses a heap in that state. An untracked heap is listed
 * if its thread belongs to this process. */
static void queues_rebuild_visit(struct hak_heap *heap, void *unused) {
    (void)unused;
    if (heap->state == HAK_HEAP_UNTRACKED && heap->untracked_process == hak_os_process_id())
        hak_untracked_link(heap);
    if (heap->state != HAK_HEAP_ABANDONED && !hak_home_owned_by(&heap->home, NULL)) return;
    HAK_CHECK(heap->next_reclaimed == NULL);
    heap->state = HAK_HEAP_ABANDONED;
    hak_home_set_owner(&heap->home, NULL);
    queue_link_first(queue_of(heap), heap);
}

static void queues_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    heaps.with_memory = heaps.without_memory = (struct queue){.first = NULL};
    hak_untracked_forget();
    hak_heap_each(queues_rebuild_visit, NULL);
}

void hak_abandoned_init(void) {
    hak_lock_init(HAK_RANK_HEAPS, queues_rebuild);
    hak_hook_atomic(&heaps.orphans, sizeof heaps.orphans);
    hak_hook_atomic(&heaps.untracked_count, sizeof heaps.untracked_count);
}

struct hak_heap *hak_abandoned_take(void) {
    HAK_CHECK(hak_lock_is_mine(heaps_lock));
    struct queue *queue =
        heaps.with_memory.first != NULL ? &heaps.with_memory : &heaps.without_memory;
    struct hak_heap *heap = queue->first;
    if (heap != NULL) queue_take(queue, heap, NULL);
    return heap;
}

struct hak_heap *hak_abandoned_reclaim(struct hak_heap *heap) {
    hak_lock_take(heaps_lock);
    struct hak_heap *reclaimed = heaps.with_memory.first;
    if (reclaimed != NULL) queue_take(&heaps.with_memory, reclaimed, heap);
    hak_lock_drop(heaps_lock);
    if (reclaimed == NULL) return NULL;
    reclaimed->next_reclaimed = heap->next_reclaimed;
    heap->next_reclaimed = reclaimed;
    hak_hook_event(HAK_EVENT_HEAP_RECLAIMED, reclaimed);
    return reclaimed;
}

void hak_abandoned_put_reclaimed(struct hak_heap *heap, struct hak_heap **link) {
    struct hak_heap *reclaimed = *link;
    HAK_CHECK(hak_home_owned_by(&reclaimed->home, heap));
    *link = reclaimed->next_reclaimed;
    if (heap->reclaimed_cursor == reclaimed) heap->reclaimed_cursor = reclaimed->next_reclaimed;
    reclaimed->next_reclaimed = NULL;
    hak_abandoned_put(reclaimed);
}

void hak_heap_drop_reclaimed(struct hak_heap *heap) {
    struct hak_heap **link = &heap->next_reclaimed;
    while (*link != NULL) {
        struct hak_heap *reclaimed = *link;
        HAK_ASSERT(hak_home_owned_by(&reclaimed->home, heap));
        hak_heap_drop_empty(reclaimed);
        if (reclaimed->superslabs == 0)
            hak_abandoned_put_reclaimed(heap, link);
        else
            link = &reclaimed->next_reclaimed;
    }
}

struct hak_heap *hak_abandoned_take_idle(uint32_t now, uint32_t older_than_ms) {
    hak_lock_take(heaps_lock);
    /* A heap that was looked after is put back at the front, so the last one has waited longest. */
    struct hak_heap *heap = heaps.with_memory.last;
    if (heap != NULL &&
        (heap->last_tick == now || !hak_is_older(heap->last_tick, now, older_than_ms)))
        heap = NULL;
    if (heap != NULL) queue_take(&heaps.with_memory, heap, NULL);
    hak_lock_drop(heaps_lock);
    return heap;
}

uint32_t hak_abandoned_walk(void) {
    hak_lock_take(heaps_lock);
    const uint32_t walk = ++heaps.walk;
    hak_lock_drop(heaps_lock);
    return walk;
}

/* Each heap that was taken is put back at the front. So the walk is over when it has seen the last
 * one. */
struct hak_heap *hak_abandoned_take_unseen(uint32_t walk) {
    hak_lock_take(heaps_lock);
    struct hak_heap *heap = heaps.with_memory.last;
    if (heap != NULL && (int32_t)(heap->walk - walk) >= 0)
        heap = NULL; /* this walk has seen it, or a later one */
    if (heap != NULL) {
        heap->walk = walk;
        queue_take(&heaps.with_memory, heap, NULL);
    }
    hak_lock_drop(heaps_lock);
    return heap;
}

/* ---- for checks ------------------------------------------------------------------------------ */

static void each_in(struct hak_heap *first, void (*visit)(struct hak_heap *heap, void *context),
                    void *context) {
    for (struct hak_heap *heap = first; heap != NULL; heap = heap->list_next)
        visit(heap, context);
}

void hak_heap_each_listed(enum hak_heap_state state,
                          void (*visit)(struct hak_heap *heap, void *context), void *context) {
    HAK_CHECK(state == HAK_HEAP_ABANDONED || state == HAK_HEAP_UNTRACKED ||
              state == HAK_HEAP_ORPHAN);
    if (state == HAK_HEAP_UNTRACKED) each_in(heaps.untracked.first, visit, context);
    if (state == HAK_HEAP_ORPHAN) each_in(atomic_load(&heaps.orphans), visit, context);
    if (state != HAK_HEAP_ABANDONED) return;
    each_in(heaps.with_memory.first, visit, context);
    each_in(heaps.without_memory.first, visit, context);
}
