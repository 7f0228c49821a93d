#include "core/heap_slabs.h"

#include "core/hooks.h"
#include "core/slab_pages.h"

#define OPEN_TRIED 8 /* SuperSlabs searched for adjacent free units before a new one is taken */

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

static void superslab_end(struct hak_heap *heap, struct hak_superslab *ss) {
    HAK_CHECK(heap->superslabs > 0);
    heap->superslabs--;
    hak_superslab_destroy(ss, hak_policy_cache_bytes(hak_policy()));
}

/* A thread that goes on to allocate soon needs the SuperSlab again. */
static bool is_worth_sparing(const struct hak_heap *heap, const struct hak_superslab *ss) {
    return heap->spare == NULL && heap == hak_thread_heap() && ss->dirty_mask != 0 &&
           hak_superslab_is_all_usable(ss) && !hak_range_keeps() && !hak_range_is_scarce();
}

static void superslab_drop(struct hak_heap *heap, struct hak_superslab *ss) {
    open_remove(heap, ss);
    uint32_t mib = (uint32_t)(hak_superslab_bytes(ss) >> 20);
    HAK_CHECK(!ss->pool || heap->arena.mib >= mib);
    if (ss->pool) heap->arena.mib -= mib;
    if (!is_worth_sparing(heap, ss)) {
        superslab_end(heap, ss);
        return;
    }
    ss->pool = 0;
    heap->spare = ss;
}

static void spare_end(struct hak_heap *heap) {
    struct hak_superslab *spare = heap->spare;
    if (spare == NULL) return;
    HAK_CHECK(spare->home == &heap->home && spare->free_mask == spare->usable_mask);
    heap->spare = NULL;
    superslab_end(heap, spare);
}

void hak_heap_drop_empty(struct hak_heap *heap) {
    for (unsigned pool = 0; pool < 2; pool++) {
        struct hak_superslab *next;
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = next) {
            next = ss->next;
            if (ss->free_mask == ss->usable_mask) superslab_drop(heap, ss);
        }
    }
    spare_end(heap); /* which may be one of these */
}

void hak_heap_partial_push(struct hak_heap *heap, struct hak_slab *slab) {
    HAK_CHECK(slab->home == &heap->home && slab->state != HAK_SLAB_PARTIAL);
    struct hak_slab **list = &heap->classes[slab->class].partial;
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
        heap->classes[slab->class].partial = slab->next;
    if (slab->next != NULL) slab->next->prev = slab->prev;
    slab->next = slab->prev = NULL;
    slab->state = HAK_SLAB_UNLISTED;
}

HAK_INLINE struct hak_slab *slab_in_units(struct hak_heap *heap, unsigned bin, bool dirty) {
    struct hak_superslab *ss = heap->open[hak_tier_of_class(bin) == HAK_TIER_POOL], *next;
    for (int tried = 0; ss != NULL && tried < OPEN_TRIED; tried++, ss = next) {
        next = ss->next;
        const uint32_t units = dirty ? ss->dirty_mask : ss->free_mask;
        if (units == 0) continue;
        struct hak_slab *slab = hak_slab_create(ss, bin, units);
        if (ss->usable_mask == 0)
            superslab_drop(heap, ss); /* a foreign mapping lies in its first unit */
        else if (ss->free_mask == 0)
            open_remove(heap, ss); /* also if a foreign mapping lies in all units that were free */
        if (slab != NULL) return slab;
    }
    return NULL;
}

static void superslab_use(struct hak_heap *heap, struct hak_superslab *ss) {
    HAK_ASSERT(ss->free_mask == ss->usable_mask && ss->active == 0);
    if (ss->pool) heap->arena.mib += (uint32_t)(hak_superslab_bytes(ss) >> 20);
    open_push(heap, ss);
}

static void spare_use(struct hak_heap *heap, bool pool) {
    struct hak_superslab *ss = heap->spare;
    heap->spare = NULL;
    ss->pool = pool;
    superslab_use(heap, ss);
}

/* Units that hold memory come first, because they cost no page fault. */
struct hak_slab *hak_heap_new_slab(struct hak_heap *heap, unsigned bin) {
    struct hak_slab *slab = slab_in_units(heap, bin, true);
    if (slab == NULL && heap->spare != NULL) {
        spare_use(heap, hak_tier_of_class(bin) == HAK_TIER_POOL);
        slab = slab_in_units(heap, bin, true);
    }
    return slab != NULL ? slab : slab_in_units(heap, bin, false);
}

static void superslab_add(struct hak_heap *heap, struct hak_superslab *ss) {
    heap->superslabs++;
    superslab_use(heap, ss);
}

static struct hak_superslab *grow_by(struct hak_heap *heap, bool pool, unsigned shift) {
    struct hak_superslab *ss = hak_superslab_create(&heap->home, shift, pool);
    /* A SuperSlab of the other size may still be available. */
    if (ss == NULL)
        ss = hak_superslab_create(&heap->home,
                                  HAK_SUPERSLAB_SHIFT + HAK_SUPERSLAB_SHIFT_MIN - shift, pool);
    if (ss != NULL) superslab_add(heap, ss);
    return ss;
}

/* The heap takes the rest of its chunk, too, unless there is memory to be used first, or addresses
 * are scarce. */
static bool arena_grow(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    uint32_t mib = hak_pool_arena_next(&heap->arena, policy->arena_mb_init, policy->arena_mb_max,
                                       policy->arena_levels);
    HAK_ASSERT(hak_is_power_of_two(mib));
    struct hak_superslab *ss =
        grow_by(heap, true, mib == 1 ? HAK_SUPERSLAB_SHIFT_MIN : HAK_SUPERSLAB_SHIFT);
    if (ss == NULL) return false;
    if (ss->dirty_mask != 0 || hak_policy_keeps(policy) || hak_range_is_scarce()) return true;
    for (; mib > 2; mib -= 2) {
        ss = hak_superslab_create_from_range(&heap->home, HAK_SUPERSLAB_SHIFT, true);
        if (ss == NULL) break;
        superslab_add(heap, ss);
    }
    return true;
}

bool hak_heap_grow(struct hak_heap *heap, unsigned bin) {
    if (hak_tier_of_class(bin) == HAK_TIER_POOL) return arena_grow(heap);
    return grow_by(heap, false, HAK_SUPERSLAB_SHIFT) != NULL;
}

void hak_heap_drop_slab(struct hak_heap *heap, struct hak_slab *slab, uint32_t now) {
    HAK_CHECK(slab->home == &heap->home && slab->used == 0 && slab->state == HAK_SLAB_UNLISTED);
    struct hak_superslab *ss = hak_superslab_of(slab);
    bool was_open = ss->free_mask != 0;
    hak_slab_destroy(slab, now);
    if (!was_open) open_push(heap, ss);
    if (ss->free_mask == ss->usable_mask) superslab_drop(heap, ss);
}

/* Has the system give memory to the uncarved parts of a slab. */
static void slab_populate(struct hak_slab *slab) {
    if (slab == NULL) return;
    uintptr_t page = hak_os_page_size(),
              end = hak_slab_start(slab) + ((size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT);
    hak_slab_pages_populate(slab);
    uintptr_t from = hak_round_up((uintptr_t)hak_slab_block(slab, hak_slab_carved_end(slab)), page);
    if (from < end) hak_os_populate((void *)from, end - from);
}

void hak_heap_populate(struct hak_heap *heap) {
    spare_end(heap);
    if (heap->is_populated) return;
    heap->is_populated = true;
    for (unsigned pool = 0; pool < 2; pool++)
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next)
            hak_superslab_populate(ss, ss->usable_mask);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        slab_populate(heap->classes[bin].current);
        for (struct hak_slab *slab = heap->classes[bin].partial; slab != NULL; slab = slab->next)
            slab_populate(slab);
    }
}

size_t hak_heap_purge_until(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms,
                            bool (*should_stop)(const struct hak_heap *of),
                            const struct hak_heap *of) {
    size_t bytes = 0;
    if (heap->spare != NULL) {
        bytes = hak_superslab_purge(heap->spare, now, older_than_ms, should_stop, of);
        if (heap->spare->dirty_mask == 0) spare_end(heap);
    }
    for (unsigned pool = 0; pool < 2; pool++)
        for (struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next) {
            if (ss->dirty_mask != 0)
                bytes += hak_superslab_purge(ss, now, older_than_ms, should_stop, of);
            if (should_stop != NULL && should_stop(of)) return bytes;
        }
    return bytes;
}

size_t hak_heap_purge_pages(struct hak_heap *heap, bool (*should_stop)(const struct hak_heap *of),
                            const struct hak_heap *of) {
    size_t bytes = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        for (struct hak_slab *slab = heap->classes[bin].partial; slab != NULL; slab = slab->next) {
            if (should_stop != NULL && should_stop(of)) return bytes;
            bytes += hak_slab_pages_purge(slab);
        }
    return bytes;
}

size_t hak_heap_purge(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms) {
    return hak_heap_purge_until(heap, now, older_than_ms, NULL, NULL);
}
