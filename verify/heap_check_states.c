/* Proves the table of heap states (core/heap.h) heap by heap and list by list. */
#include "core/abandoned.h"
#include "core/heap.h"
#include "verify/heap_check_parts.h"

#define equal hak_check_equal

/* counted: heaps by state. listed: heaps in lists, by the state that the list stands for. */
struct states {
    struct check *check;
    size_t counted[HAK_HEAP_STATES], listed[HAK_HEAP_STATES];
    enum hak_heap_state list; /* the list that is walked */
};

static bool has_itself_as_owner(enum hak_heap_state state) {
    return state != HAK_HEAP_ABANDONED && state != HAK_HEAP_RECLAIMED;
}

static void check_listed(struct hak_heap *heap, void *context) {
    struct states *states = context;
    states->listed[states->list]++;
    equal(states->check, "state of a listed heap", heap->state, states->list, heap);
}

static void check_list(struct states *states, enum hak_heap_state list) {
    states->list = list;
    hak_heap_each_listed(list, check_listed, states);
}

static void check_reclaimed(struct states *states, const struct hak_heap *owner) {
    states->list = HAK_HEAP_RECLAIMED;
    for (struct hak_heap *heap = owner->next_reclaimed; heap != NULL; heap = heap->next_reclaimed) {
        check_listed(heap, states);
        if (!equal(states->check, "owner of a reclaimed heap",
                   hak_home_owned_by(&heap->home, owner), true, heap))
            return;
    }
}

/* What the pointer of the heap's thread shows; NULL if the heap has no thread to seize from. */
static const struct hak_heap *shown(struct hak_heap *heap) {
    struct hak_thread *thread = atomic_load_explicit(&heap->thread, memory_order_relaxed);
    return thread == NULL ? NULL : atomic_load_explicit(&thread->heap, memory_order_relaxed);
}

static void check_thread(struct check *check, struct hak_heap *heap) {
    const struct hak_heap *wanted = heap->state == HAK_HEAP_OWN      ? heap
                                    : heap->state == HAK_HEAP_SEIZED ? &hak_heap_seized
                                                                     : NULL;
    equal(check, "what the heap's thread shows", (uintptr_t)shown(heap), (uintptr_t)wanted, heap);
    equal(check, "a heap is untracked if it has its thread's process", heap->untracked_process != 0,
          heap->state == HAK_HEAP_UNTRACKED, heap);
}

/* True for a lost heap and for the heaps that it has reclaimed, whose state stays reclaimed. */
static bool is_lost(const struct hak_heap *heap) {
    if (heap->state != HAK_HEAP_RECLAIMED) return heap->state == HAK_HEAP_LOST;
    const struct hak_heap *owner = hak_home_owner(&heap->home);
    return owner != NULL && owner->state == HAK_HEAP_LOST;
}

static void check_state(struct hak_heap *heap, void *context) {
    struct states *states = context;
    if (!equal(states->check, "state of a heap", heap->state < HAK_HEAP_STATES, true, heap)) return;
    if (is_lost(heap)) return;
    states->counted[heap->state]++;
    equal(states->check, "a heap owns itself", hak_home_owned_by(&heap->home, heap),
          has_itself_as_owner(heap->state), heap);
    equal(states->check, "an abandoned heap has no owner", hak_home_owned_by(&heap->home, NULL),
          heap->state == HAK_HEAP_ABANDONED, heap);
    check_thread(states->check, heap);
    if (has_itself_as_owner(heap->state))
        check_reclaimed(states, heap);
    else if (heap->state == HAK_HEAP_ABANDONED)
        equal(states->check, "an abandoned heap owns no other", heap->next_reclaimed == NULL, true,
              heap);
}

void hak_check_hand_over(struct check *check) {
    static const enum hak_heap_state lists[] = {HAK_HEAP_ABANDONED, HAK_HEAP_UNTRACKED,
                                                HAK_HEAP_ORPHAN, HAK_HEAP_RECLAIMED};
    struct states states = {.check = check};
    hak_heap_each(check_state, &states);
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i] != HAK_HEAP_RECLAIMED) check_list(&states, lists[i]);
        equal(check, "heaps of a state = heaps in its list", states.counted[lists[i]],
              states.listed[lists[i]], NULL);
    }
}
