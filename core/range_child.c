/* The range in a child of fork: the tables say what is in use, and all else is free. */
#include "core/range_child.h"

#include "core/range_parts.h"

/* The number of granules of the span in use that begins at `first`; 0: none begins there. The kind
 * is read again after the record: a SuperSlab that is released is described as taken first, and
 * only then its record becomes unused. */
static uint32_t span_in_use(uint32_t first) {
    for (int look = 0; look < 2; look++) {
        enum hak_kind kind = hak_kind_of(first);
        bool is_cached = kind == HAK_KIND_CACHED && !hak_lock_is_stale(&hak_locks[HAK_RANK_CACHE]);
        if (kind == HAK_KIND_TAKEN || kind == HAK_KIND_LARGE || is_cached)
            return hak_span_at(first)->count;
        uint32_t units = first % 16 == 0 ? hak_superslab_units_at(first) : 0;
        if (units > 0) return units;
    }
    return 0;
}

/* Bytes of the granules that lie below the range's end: the tables may have entries for more
 * granules. */
static size_t bytes_below_end(uint32_t first, uint32_t count) {
    uint64_t end = atomic_load_explicit(&hak_range.end, memory_order_relaxed);
    uint64_t until = (end >> (HAK_GRANULE_SHIFT - 4)) + HAK_GRANULE_FIRST;
    if (until <= first) return 0;
    return (size_t)(until - first < count ? until - first : count) << HAK_GRANULE_SHIFT;
}

/* Makes the granules [first, end), which belong to nobody, a free span. Their contents are unknown.
 * If the parent was making or filling a hole there, some may be unmapped: then they are lost. */
static void gap_free(uint32_t first, uint32_t end) {
    for (uint32_t granule = first; granule < end; granule++)
        if (hak_kind_of(granule) != HAK_KIND_NONE) hak_kind_set(granule, HAK_KIND_NONE);
    void *start = hak_granule_address(first);
    size_t bytes = bytes_below_end(first, end - first);
    if (bytes > 0 && !hak_os.purge(start, bytes)) {
        if (!hak_os_is_mapped(start, bytes)) {
            hak_span_describe(first, end - first, true);
            hak_span_lose(first, end - first);
            return;
        }
        hak_os_zero(start, bytes);
    }
    if (end == range->top)
        range->top = first;
    else
        hak_span_insert(first, end - first, HAK_KIND_FREE_SPAN, false);
}

/* The number of granules of the hole that begins at `first`; 0: none begins there. */
static uint32_t hole_at(uint32_t first) {
    return hak_kind_of(first) == HAK_KIND_HOLE && hak_span_at(first)->first == first
               ? hak_span_at(first)->count
               : 0;
}

/* The tables say what is in use; all else is free. Whatever is read here changes by a single store,
 * so it is whole in the child. */
static void rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(range_lock));
    if (!hak_range_is_there()) return;
    hak_area_look_again(&range->map);
    hak_area_look_again(&range->records);
    hak_area_look_again(&range->metadata);
    hak_area_look_again(&range->blocks);
    const uint32_t end = hak_range_in_tables();
    hak_range_end_set(hak_range_granules()); /* also if the last span is partly committed */
    hak_span_index_clear();
    range->top = end;
    range->dirty_top = 0;
    atomic_store_explicit(&hak_footprint.kept, 0, memory_order_relaxed);
    uint32_t gap = HAK_GRANULE_FIRST; /* first granule behind the last span in use or hole */
    for (uint32_t granule = HAK_GRANULE_FIRST, count; granule < end; granule += count) {
        const uint32_t hole = hole_at(granule);
        count = hole > 0 ? hole : span_in_use(granule);
        HAK_CHECK(count <= end - granule);
        if (count > 0) {
            if (granule > gap) gap_free(gap, granule);
            gap = granule + count;
        } else {
            count = 1;
        }
        if (hole > 0) hak_span_insert(granule, hole, HAK_KIND_HOLE, false);
    }
    if (gap < end) gap_free(gap, end);
}

void hak_range_rebuild(void) {
    hak_lock_take(range_lock);
    rebuild();
    hak_lock_drop(range_lock);
}

void hak_range_child_init(void) {
    hak_lock_init(HAK_RANK_RANGE, rebuild);
}
