#include "core/slab.h"

#include "core/hooks.h"

struct hak_slab *hak_slab_create(struct hak_superslab *ss, unsigned bin, uint32_t units) {
    uint32_t granules = hak_classes[bin].units;
    HAK_CHECK(ss->pool == (hak_tier_of_class(bin) == HAK_TIER_POOL));
    int unit = hak_superslab_find_units(ss, units, granules);
    if (unit < 0) return NULL;
    uint32_t mask = ((1u << granules) - 1) << unit;
    uint32_t first = ss->first + (uint32_t)unit;
    HAK_CHECK((ss->free_mask & mask) == mask);
    ss->free_mask &= ~mask;
    ss->dirty_mask &= ~mask;
    ss->waits_mask &= ~mask;
    HAK_ASSERT((ss->dirty_mask & ~ss->free_mask) == 0);
    if (ss->free_mask == 0) hak_range_used(ss->first, ss->units);
    struct hak_slab *slab = hak_map_entry(first);
    HAK_ASSERT(hak_kind_of(first) == HAK_KIND_NONE);
    slab->home = ss->home;
    slab->freelist = NULL;
    slab->next = slab->prev = NULL;
    slab->superslab_first = ss->first;
    slab->used = slab->carved = 0;
    slab->capacity = (uint16_t)hak_slab_capacity(bin, (size_t)granules << HAK_GRANULE_SHIFT);
    slab->class = (uint8_t)bin;
    slab->state = HAK_SLAB_UNLISTED;
    slab->granules_to_first = 0;
    slab->unit = (uint8_t)unit;
    slab->has_purged_pages = false;
    hak_hook_atomic(&slab->remote, sizeof slab->remote);
    atomic_store_explicit(&slab->remote, 0, memory_order_relaxed);
    for (uint32_t i = 1; i < granules; i++) {
        ((struct hak_slab *)hak_map_entry(first + i))->granules_to_first = (uint8_t)i;
        hak_kind_set(first + i, HAK_KIND_SLAB_TAIL);
    }
    hak_hook_release(&slab->kind);
    hak_kind_set(first, HAK_KIND_SLAB);
    hak_hook_event(HAK_EVENT_SLAB_CREATED, slab);
    return slab;
}

/* The blocks on purged pages cease to exist, or are uncarved as all others. */
static void purged_pages_forget(struct hak_slab *slab) {
    if (HAK_LIKELY(!slab->has_purged_pages)) return;
    for (uint32_t unit = 0; unit < hak_slab_granules(slab); unit++)
        hak_superslab_of(slab)->purged_pages[slab->unit + unit] = 0;
    slab->has_purged_pages = false;
}

void hak_slab_destroy(struct hak_slab *slab, uint32_t now) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(slab->used == 0 && hak_remote_count(slab) == 0);
    hak_hook_event(HAK_EVENT_SLAB_DESTROYED, slab);
    const uint32_t granules = hak_slab_granules(slab);
    uint32_t mask = ((1u << granules) - 1) << slab->unit;
    HAK_CHECK((ss->free_mask & mask) == 0);
    uint32_t first = hak_slab_first_granule(slab);
    for (uint32_t i = 0; i < granules; i++)
        hak_kind_set(first + i, HAK_KIND_NONE);
    slab->freelist = NULL;
    purged_pages_forget(slab);
    ss->free_mask |= mask;
    ss->dirty_mask |= mask;
    HAK_ASSERT((ss->dirty_mask & ~ss->free_mask) == 0);
    ss->since = now;
}

uint32_t hak_slab_take(struct hak_slab *slab, uint32_t max, struct hak_block **head) {
    uint32_t count = (uint32_t)(slab->carved - slab->used);
    HAK_CHECK((count == 0) == (slab->freelist == NULL));
    if (count == 0) return 0;
    *head = slab->freelist;
    if (count <= max) {
        slab->freelist = NULL;
    } else {
        struct hak_block *last = slab->freelist;
        for (uint32_t i = 1; i < max; i++)
            last = hak_block_next(last);
        slab->freelist = last->next;
        last->next = NULL;
        count = max;
    }
    slab->used = (uint16_t)(slab->used + count);
    hak_superslab_of(slab)->active += count;
    HAK_ASSERT(slab->used <= slab->carved);
    return count;
}

uint32_t hak_slab_carve(struct hak_slab *slab, uint32_t max, struct hak_block **head) {
    uint32_t count = (uint32_t)(slab->capacity - slab->carved);
    HAK_ASSERT(!slab->has_purged_pages);
    if (count > max) count = max;
    if (count == 0) return 0;
    size_t stride = hak_classes[slab->class].stride;
    uint8_t header = HAK_CLASS_HEADER_FREE(slab->class);
    char *user = (char *)hak_slab_block(slab, slab->carved);
    *head = (struct hak_block *)user;
    for (uint32_t i = 1; i < count; i++) {
        hak_header_set(user, header);
        ((struct hak_block *)user)->next = (struct hak_block *)(user + stride);
        user += stride;
    }
    hak_header_set(user, header);
    ((struct hak_block *)user)->next = NULL;
    HAK_ASSERT((uintptr_t)user + stride - 1 <=
               hak_slab_start(slab) + ((size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT));
    slab->carved = (uint16_t)(slab->carved + count);
    slab->used = (uint16_t)(slab->used + count);
    hak_superslab_of(slab)->active += count;
    HAK_ASSERT(slab->carved <= slab->capacity);
    return count;
}

void hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                  uint32_t count) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(count > 0 && count <= slab->used && count <= ss->active);
    HAK_ASSERT(tail != NULL || slab->freelist == NULL);
    if (tail != NULL) tail->next = slab->freelist;
    slab->freelist = head;
    slab->used = (uint16_t)(slab->used - count);
    ss->active -= count;
}

void hak_slab_reset(struct hak_slab *slab) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(slab->used <= ss->active);
    ss->active -= slab->used;
    slab->used = slab->carved = 0;
    slab->freelist = NULL;
    purged_pages_forget(slab);
}
