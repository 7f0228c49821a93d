/* Breaks the states of heaps (the table in core/heap.h). */
#ifndef HAK_VERIFY_BREAK_STATES_H
#define HAK_VERIFY_BREAK_STATES_H

#include "whole_heap.h"

#include "core/retire.h"

static void heap_in_no_state(void) {
    idle->state = HAK_HEAP_STATES;
}

static void abandoned_heap_says_held(void) {
    idle->state = HAK_HEAP_HELD;
}

static void abandoned_heap_says_reclaimed(void) {
    idle->state = HAK_HEAP_RECLAIMED;
}

static void abandoned_heap_owns_another(void) {
    idle->next_reclaimed = idle;
}

static void own_heap_says_held(void) {
    hak_thread_heap()->state = HAK_HEAP_HELD;
}

static void own_heap_with_another_thread(void) {
    static struct hak_thread other;
    atomic_store(&hak_thread_heap()->thread, &other);
}

static void own_heap_of_an_untracked_thread(void) {
    hak_thread_heap()->untracked_process = 1;
}

static void *leave_one(void *unused) {
    hak_malloc(SIZE);
    return unused;
}

static void reclaim_idle(void) {
    in_a_thread(leave_one, NULL);
    idle = hak_heap_reclaim(hak_thread_heap());
    CHECK(idle != NULL, "no heap to reclaim");
}

static void reclaimed_heap_says_lost(void) {
    reclaim_idle();
    idle->state = HAK_HEAP_LOST;
}

static void reclaimed_heap_of_another_owner(void) {
    reclaim_idle();
    hak_home_set_owner(&idle->home, (struct hak_heap *)(uintptr_t)&hak_heap_none);
}

static void reclaimed_heap_lost(void) {
    reclaim_idle();
    hak_thread_heap()->next_reclaimed = NULL;
}

#endif
