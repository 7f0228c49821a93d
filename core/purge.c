#include "core/purge.h"

#include "core/abandoned.h"
#include "core/announced.h"
#include "core/cache.h"
#include "core/collect.h"
#include "core/flush.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/retire.h"
#include "core/spans.h"
#include "core/seize.h"

static _Atomic uint32_t trim_requests;

/* ---- ticks ----------------------------------------------------------------------------------- */

#define TICK_CALLS 64u /* slow paths between two looks at the clock */

/* Flushes a bin that no batch came to or left since the last tick. Either nobody used the bin,
 * or the program reuses a few blocks, each of which may keep a slab. Later refills take their
 * blocks from as few slabs as possible. False if the bin is empty. */
static bool idle_bin_flush(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    HAK_ASSERT(heap->classes[bin].batches == 0);
    if (hak_bin_count(heap, bin) == 0) return false;
    hak_flush(heap, bin, 0);
    hak_bin_reset(heap, bin, policy);
    return true;
}

/* Flushes the bin if no batch came to it or left it since the last tick. If the bin is empty and
 * the class has blocks, the program holds all of them now, so the bin is looked at again before
 * the next tick. */
static void bin_tick(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    struct hak_heap_class *class = &heap->classes[bin];
    const bool is_idle_class = class->batches == 0,
               idle = is_idle_class && hak_bin_count(heap, bin) == class->tick_count;
    heap->recheck_bins &= ~((uint64_t)1 << bin);
    if (is_idle_class && !idle_bin_flush(heap, bin, policy) &&
        atomic_load_explicit(&class->used_shown, memory_order_relaxed) > 0)
        heap->recheck_bins |= (uint64_t)1 << bin;
    if (idle) hak_bin_drop_current(heap, bin);
    class->batches = 0;
    class->tick_count = hak_bin_count(heap, bin);
}

/* Rare, and not inlined, as tick below. */
HAK_NOINLINE static void bins_recheck(struct hak_heap *heap, const struct hak_policy *policy) {
    for (uint64_t left = heap->recheck_bins; left != 0; left &= left - 1) {
        unsigned bin = (unsigned)__builtin_ctzll(left);
        if (heap->classes[bin].batches > 0 || idle_bin_flush(heap, bin, policy))
            heap->recheck_bins &= ~((uint64_t)1 << bin);
    }
}

#define ABANDONED_A_TICK 4 /* abandoned heaps that one tick looks after */

/* Takes back what was freed to abandoned heaps, and purges them: no other thread does. */
static void tick_abandoned(uint32_t now, const struct hak_policy *policy) {
    for (int i = 0; i < ABANDONED_A_TICK; i++) {
        struct hak_heap *idle = hak_heap_take_idle(now, policy->purge_delay_ms);
        if (idle == NULL) return;
        idle->last_tick = now;
        hak_collect(idle);
        hak_heap_purge(idle, now, hak_policy_purge_age(policy, policy->purge_delay_ms));
        hak_abandoned_put(idle);
    }
}

/* What a purge of several heaps does, and did. */
struct purge {
    uint32_t age; /* milliseconds: older memory goes back */
    bool pages;   /* also whole free pages between the blocks of slabs */
    size_t bytes; /* that went back */
};

/* Trims a seized heap until its thread waits for it; returns the bytes given back. *all_done: all
 * was done. The thread waits for one step at most: a flush of one bin, a collect of one slab, or
 * a purge of a part of a SuperSlab. */
static size_t trim_seized(struct hak_heap *heap, const struct purge *purge, bool *all_done) {
    const struct hak_policy *policy = hak_policy();
    size_t bytes = 0;
    *all_done = false;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        if (hak_seize_is_awaited(heap)) return bytes;
        hak_bin_trim(heap, bin, policy);
    }
    hak_collect_seized(heap);
    const uint32_t now = hak_os_now_ms();
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed) {
        bytes += hak_heap_purge_until(each, now, purge->age, hak_seize_is_awaited, heap);
        if (purge->pages) bytes += hak_heap_purge_pages(each, hak_seize_is_awaited, heap);
    }
    *all_done = !hak_seize_is_awaited(heap);
    /* Else the thread follows the request to trim itself, when it has its heap again. */
    if (*all_done) heap->trim_seen = atomic_load_explicit(&trim_requests, memory_order_relaxed);
    return bytes;
}

static bool seized_visit(struct hak_heap *heap, void *context) {
    struct purge *purge = context;
    bool all_done;
    purge->bytes += trim_seized(heap, purge, &all_done);
    return all_done;
}

static void seized_after(struct hak_heap *heap, void *context) {
    struct purge *purge = context;
    (void)heap;
    purge->bytes += hak_superslab_destroy_deferred();
}

/* A thread that sleeps does not give back what its bins hold, what is free in its slabs, and
 * what others free to them. All of that has been idle for long enough, so its age does not
 * count. */
static void tick_sleepers(uint32_t now, const struct hak_policy *policy) {
    struct purge purge = {.age = hak_policy_purge_age(policy, 0)};
    hak_seize_each(now, policy->purge_delay_ms / 2 + 1, seized_visit, seized_after, &purge);
}

/* The heap may be touched again when memory is kept again. */
static void tick_purge_heap(struct hak_heap *heap, uint32_t now, uint32_t delay) {
    heap->is_populated = false;
    hak_heap_purge(heap, now, delay);
}

static void tick_purge(struct hak_heap *heap, uint32_t now, uint32_t delay) {
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed)
        tick_purge_heap(each, now, delay);
    hak_cache_evict(now, delay, SIZE_MAX);
    /* free spans that hold memory from a time when memory was kept */
    hak_range_purge();
}

/* Runs at each tick, for memory that another thread's heap or a former policy has left in the
 * cache. A flush comes first: in a block that was carved but never used no more than the link
 * was written, so its pages may have no memory. */
static void heap_keep(struct hak_heap *heap) {
    const uint32_t now = hak_os_now_ms();
    if (heap != NULL && !heap->is_populated) hak_flush_all(heap);
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed)
        hak_heap_populate(each);
    hak_cache_evict(now, UINT32_MAX, 0);
}

/* Rare. If it were inlined, each slow path would save more registers. */
HAK_NOINLINE static void tick(struct hak_heap *heap, uint32_t now,
                              const struct hak_policy *policy) {
    heap->last_tick = now;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        bin_tick(heap, bin, policy);
    hak_collect(heap);
    hak_heap_drop_reclaimed(heap);
    if (hak_policy_keeps(policy))
        heap_keep(heap);
    else
        tick_purge(heap, now, policy->purge_delay_ms);
    tick_abandoned(now, policy);
    tick_sleepers(now, policy);
}

static bool is_asked(const struct hak_heap *heap) {
    return heap->trim_seen != atomic_load_explicit(&trim_requests, memory_order_relaxed);
}

/* Rare, and not inlined, as tick above. */
HAK_NOINLINE static void look(struct hak_heap *heap) {
    if (is_asked(heap)) hak_purge(heap, HAK_PURGE_ASKED, 0);
    if (HAK_OWN_LOAD(&heap->slow_calls) % TICK_CALLS != 0) return;
    const struct hak_policy *policy = hak_policy();
    uint32_t now = hak_os_now_ms();
    if (hak_is_older(heap->last_tick, now, policy->purge_delay_ms / 2))
        tick(heap, now, policy);
    else if (heap->recheck_bins != 0)
        bins_recheck(heap, policy);
}

void hak_tick_if_due(struct hak_heap *heap) {
    const uint32_t calls = HAK_OWN_LOAD(&heap->slow_calls) + 1;
    HAK_OWN_STORE(&heap->slow_calls, calls);
    if (HAK_UNLIKELY(calls % TICK_CALLS == 0 || is_asked(heap))) look(heap);
}

/* ---- on request ------------------------------------------------------------------------------ */

/* The heap's bins are emptied, and its free memory goes back that is at least `age` old; with
 * `pages`, whole free pages between the blocks of slabs, too. */
static size_t heap_trim(struct hak_heap *heap, uint32_t age, bool pages) {
    size_t bytes = 0;
    heap->trim_seen = atomic_load_explicit(&trim_requests, memory_order_relaxed);
    hak_flush_all(heap);
    uint32_t now = hak_os_now_ms();
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed) {
        hak_heap_drop_empty(each);
        bytes += hak_heap_purge(each, now, age);
        if (pages) bytes += hak_heap_purge_pages(each, NULL, NULL);
    }
    return bytes;
}

static void trim_visit(struct hak_heap *heap, void *context) {
    struct purge *purge = context;
    purge->bytes += heap_trim(heap, purge->age, purge->pages);
}

/* Two passes: the first sends blocks home, and the second takes back what came there. Then it is
 * known which pages between blocks are free. */
static size_t all_trim(struct hak_heap *heap, uint32_t age, bool pages, size_t pad) {
    struct purge purge = {.age = age};
    for (int pass = 0; pass < 2; pass++) {
        purge.pages = pages && pass == 1;
        if (hak_heap_is_real(heap)) trim_visit(heap, &purge);
        hak_heap_each_abandoned(trim_visit, &purge);
        hak_seize_each(0, 0, seized_visit, seized_after, &purge);
    }
    purge.bytes += hak_cache_evict(hak_os_now_ms(), UINT32_MAX, pad);
    if (age == 0) purge.bytes += hak_range_purge();
    return purge.bytes;
}

size_t hak_purge(struct hak_heap *heap, enum hak_purge_reason reason, size_t pad) {
    HAK_CHECK(pad == 0 || reason == HAK_PURGE_TRIM);
    switch (reason) {
    case HAK_PURGE_TRIM:
        atomic_fetch_add_explicit(&trim_requests, 1, memory_order_relaxed);
        return all_trim(heap, 0, true, pad);
    case HAK_PURGE_NO_MEMORY:
        return all_trim(heap, hak_policy_purge_age(hak_policy(), 0), false, 0);
    case HAK_PURGE_ASKED:
        return heap_trim(heap, 0, true);
    }
    return 0;
}

#define POPULATED_EMPTY                                                                            \
    ((size_t)64 << 20) /* most bytes of free spans without memory that get some */

void hak_keep(struct hak_heap *heap) {
    heap_keep(hak_heap_is_real(heap) ? heap : NULL);
    hak_range_populate(POPULATED_EMPTY);
}
