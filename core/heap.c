#include "core/heap.h"

#include "core/hooks.h"

const struct hak_heap hak_heap_none;
const struct hak_heap hak_heap_gone;
const struct hak_heap hak_heap_seized;

/* The fast paths only read the bins of such a heap, so the pointer may show a constant. */
_Thread_local struct hak_thread hak_thread = {.heap = (struct hak_heap *)(uintptr_t)&hak_heap_none};

/* The heap that was made last; all_next links the others. */
static _Atomic(struct hak_heap *) all;

/* The fields that other threads read while the heap's own thread writes them. */
static void atomics_begin(struct hak_heap *heap) {
    hak_hook_atomic(&heap->home.owner, sizeof heap->home.owner);
    hak_hook_atomic(&heap->thread_id, sizeof heap->thread_id);
    hak_hook_atomic(&heap->thread, sizeof heap->thread);
    hak_hook_atomic(&heap->free_capacity, sizeof heap->free_capacity);
    hak_hook_atomic(&heap->batched, sizeof heap->batched);
    hak_hook_atomic(&heap->untracked_gone, sizeof heap->untracked_gone);
    hak_hook_atomic(&heap->is_worth_seizing, sizeof heap->is_worth_seizing);
    hak_hook_atomic(&heap->slow_calls, sizeof heap->slow_calls);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        hak_hook_atomic(&heap->classes[bin].count_shown, sizeof heap->classes[bin].count_shown);
        hak_hook_atomic(&heap->classes[bin].used_shown, sizeof heap->classes[bin].used_shown);
    }
}

/* The heap owns itself from the beginning: a child of fork takes each heap without an owner for an
 * abandoned one. */
struct hak_heap *hak_heap_create(void) {
    struct hak_heap *heap = hak_metadata_alloc(sizeof *heap);
    if (heap == NULL) return NULL;
    atomics_begin(heap);
    hak_home_set_owner(&heap->home, heap);
    const struct hak_policy *policy = hak_policy();
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        hak_bin_set(heap, bin, NULL, 0, policy->bins[bin].limit_min);
        heap->classes[bin].carve_next = policy->bins[bin].carve_min;
    }
    heap->all_next = atomic_load_explicit(&all, memory_order_relaxed);
    hak_hook_release(&all);
    /* release: readers of `all` see the heap's contents. The heaps' lock excludes other writers. */
    atomic_store_explicit(&all, heap, memory_order_release);
    return heap;
}

void hak_heaps_init(void) {
    HAK_CHECK(atomic_load_explicit(&all, memory_order_relaxed) == NULL);
    hak_hook_atomic(&all, sizeof all);
}

/* ---- hand-over ------------------------------------------------------------------------------- */

#define TO(state) (1u << HAK_HEAP_##state)
static const uint8_t steps[HAK_HEAP_STATES] = {
    [HAK_HEAP_HELD] = TO(OWN) | TO(UNTRACKED) | TO(ABANDONED),
    [HAK_HEAP_OWN] = TO(HELD) | TO(SEIZED) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_UNTRACKED] = TO(HELD) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_SEIZED] = TO(OWN) | TO(ORPHAN) | TO(LOST),
    [HAK_HEAP_RECLAIMED] = TO(ABANDONED),
    [HAK_HEAP_ABANDONED] = TO(HELD) | TO(RECLAIMED),
    [HAK_HEAP_ORPHAN] = TO(HELD),
    [HAK_HEAP_LOST] = 0,
};
_Static_assert(HAK_HEAP_STATES <= 8, "a bit for each state");

void hak_heap_set_state(struct hak_heap *heap, enum hak_heap_state next) {
    HAK_CHECK((unsigned)heap->state < HAK_HEAP_STATES && (steps[heap->state] >> next & 1) != 0);
    heap->state = next;
}

/* ---- all heaps ------------------------------------------------------------------------------- */

struct hak_heap *hak_heap_newest(void) {
    struct hak_heap *heap = atomic_load_explicit(&all, memory_order_acquire);
    hak_hook_acquire(&all);
    return heap;
}

void hak_heap_each(void (*visit)(struct hak_heap *heap, void *context), void *context) {
    for (struct hak_heap *heap = hak_heap_newest(); heap != NULL; heap = heap->all_next)
        visit(heap, context);
}
