#include "core/refill.h"

#include "core/abandoned.h"
#include "core/batch_log.h"
#include "core/collect.h"
#include "core/flush.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/retire.h"
#include "core/slab_pages.h"

static struct hak_slab *partial_take(struct hak_heap *heap, unsigned bin) {
    struct hak_slab *slab = heap->classes[bin].partial;
    if (slab != NULL) hak_heap_partial_remove(heap, slab);
    return slab;
}

#define RECLAIMED_TRIED                                                                            \
    8u /* reclaimed heaps looked at for each slab, in turn: a thread may own hundreds */

/* A slab with free blocks or, if there is none, a new slab; in the thread's own heap, or in one
 * of the next few heaps that it reclaimed. */
static struct hak_slab *near_slab(struct hak_heap *heap, unsigned bin,
                                  const struct hak_policy *policy) {
    struct hak_heap *first =
        heap->reclaimed_cursor != NULL ? heap->reclaimed_cursor : heap->next_reclaimed;
    struct hak_heap *each = heap, *next = first;
    for (unsigned tried = 0; each != NULL && tried <= RECLAIMED_TRIED; tried++) {
        HAK_ASSERT(hak_home_owned_by(&each->home, heap));
        if (!policy->p0_no_drain) hak_collect_home(each, policy);
        struct hak_slab *slab = partial_take(each, bin);
        if (slab != NULL) return slab;
        each = next;
        if (next != NULL) next = next->next_reclaimed;
    }
    heap->reclaimed_cursor = each;
    struct hak_slab *slab = hak_heap_new_slab(heap, bin);
    for (next = first; slab == NULL && next != each; next = next->next_reclaimed)
        slab = hak_heap_new_slab(next, bin);
    return slab;
}

static struct hak_slab *slab_of(struct hak_heap *heap, unsigned bin,
                                const struct hak_policy *policy) {
    hak_collect_home(heap, policy);
    struct hak_slab *slab = partial_take(heap, bin);
    return slab != NULL ? slab : hak_heap_new_slab(heap, bin);
}

/* A slab of a heap that the thread reclaims now; it reclaims at most `most` heaps. */
static struct hak_slab *reclaim_slab(struct hak_heap *heap, unsigned bin, uint32_t most,
                                     const struct hak_policy *policy) {
    struct hak_slab *slab = NULL;
    for (uint32_t tried = 0; slab == NULL && tried < most; tried++) {
        struct hak_heap *reclaimed = hak_heap_reclaim(heap);
        if (reclaimed == NULL) return NULL;
        slab = slab_of(reclaimed, bin, policy);
    }
    return slab;
}

/* A slab of any heap that the thread owns. */
HAK_COLD static struct hak_slab *slab_of_owned_heaps(struct hak_heap *heap, unsigned bin,
                                                     const struct hak_policy *policy) {
    struct hak_slab *slab = NULL;
    for (struct hak_heap *each = heap; each != NULL && slab == NULL; each = each->next_reclaimed)
        slab = slab_of(each, bin, policy);
    return slab;
}

/* While memory is kept: a slab out of what the other bins hold, before more memory is taken. The
 * bin that asks is empty and has no current slab. */
HAK_COLD static struct hak_slab *gathered_slab(struct hak_heap *heap, unsigned bin,
                                               const struct hak_policy *policy) {
    const uint32_t units = 1u << (HAK_SUPERSLAB_SHIFT - HAK_GRANULE_SHIFT);
    hak_flush_for_kept_span(heap, units, units);
    return near_slab(heap, bin, policy);
}

/* New SuperSlabs tried: there may be no memory for any unit of one, or other mappings where the
 * units should be. */
#define GROWN_TRIED 3

static struct hak_slab *find_slab(struct hak_heap *heap, unsigned bin,
                                  const struct hak_policy *policy) {
    struct hak_slab *slab = near_slab(heap, bin, policy);
    if (slab == NULL && policy->p0_no_drain) slab = slab_of_owned_heaps(heap, bin, policy);
    if (slab != NULL) return slab;
    hak_heap_drop_reclaimed(heap);
    slab = reclaim_slab(heap, bin, RECLAIMED_TRIED, policy);
    if (slab != NULL) return slab;
    if (hak_range_keeps()) slab = gathered_slab(heap, bin, policy);
    if (slab != NULL) return slab;
    for (int tried = 0; tried < GROWN_TRIED && hak_heap_grow(heap, bin); tried++) {
        slab = hak_heap_new_slab(heap, bin);
        if (slab != NULL) return slab;
        hak_heap_drop_empty(heap); /* the new SuperSlab */
    }
    slab = slab_of_owned_heaps(heap, bin, policy); /* the system has no more memory */
    return slab != NULL ? slab : reclaim_slab(heap, bin, UINT32_MAX, policy);
}

/* Makes another slab with free blocks the bin's current slab; false: no memory. The former one
 * is exhausted: a flush or a collect makes it a partial slab. */
static bool switch_slab(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    struct hak_heap_class *class = &heap->classes[bin];
    if (class->current != NULL) {
        HAK_ASSERT(class->current->used == class->current->capacity);
        class->current->state = HAK_SLAB_UNLISTED;
        class->current = NULL;
    }
    struct hak_slab *slab = find_slab(heap, bin, policy);
    if (slab == NULL) return false;
    slab->state = HAK_SLAB_CURRENT;
    class->current = slab;
    hak_hook_event(HAK_EVENT_SLAB_SWITCHED, slab);
    return true;
}

/* A batch has arrived. The limit must allow as many blocks again, or the next free would flush
 * the bin. */
static void bin_fill(struct hak_heap *heap, unsigned bin, struct hak_block *head, uint32_t count,
                     const struct hak_bin_bounds *bounds) {
    struct hak_heap_class *class = &heap->classes[bin];
    uint32_t limit =
        class->limit < 2 * count ? hak_min_u32(2 * count, bounds->limit_max) : class->limit;
    hak_bin_set(heap, bin, head, count, limit);
    class->carve_next = hak_min_u32(class->carve_next * 2, bounds->carve_max);
    class->batches++;
    atomic_store_explicit(&class->count_shown, count, memory_order_relaxed);
}

bool hak_refill(struct hak_heap *heap, unsigned bin) {
    const struct hak_policy *policy = hak_policy();
    const struct hak_bin_bounds *bounds = &policy->bins[bin];
    struct hak_heap_class *class = &heap->classes[bin];
    HAK_CHECK(hak_bin_first(heap, bin) == NULL && hak_bin_count(heap, bin) == 0);
    uint32_t carve_max = policy->p0_enable ? hak_min_u32(class->carve_next, bounds->carve_max) : 1;
    uint32_t take_max = policy->p0_enable ? bounds->limit_max / 2u : 1;
    for (;;) {
        struct hak_slab *slab = class->current; /* read again after each switch */
        if (slab != NULL) {
            struct hak_block *head;
            struct hak_counters before = hak_counters_of(slab);
            enum hak_batch batch = HAK_BATCH_TAKE;
            uint32_t count = hak_slab_take(slab, take_max, &head);
            if (HAK_UNLIKELY(slab->has_purged_pages) && count == 0 && hak_slab_pages_carve(slab))
                count = hak_slab_take(slab, take_max, &head);
            if (count == 0) {
                count = hak_slab_carve(slab, carve_max, &head);
                batch = HAK_BATCH_CARVE;
            }
            if (count > 0) {
                hak_used_shown_add(slab, count);
                if (HAK_UNLIKELY(policy->p0_log))
                    hak_log_batch(batch == HAK_BATCH_TAKE ? "take" : "carve", slab, count, before);
                hak_hook_batch(batch, slab, head, count);
                bin_fill(heap, bin, head, count, bounds);
                hak_hook_bin(heap, bin);
                return true;
            }
        }
        if (!switch_slab(heap, bin, policy)) return false;
    }
}
