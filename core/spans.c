#include "core/spans.h"

#include "core/range_parts.h"

#define SPANS_TRIED                                                                                \
    32 /* of each list: a list may be long, and most of its spans too short or misaligned */

void hak_span_set_taken(uint32_t first, uint32_t count) {
    HAK_CHECK(first > 0 && count > 0);
    hak_span_describe(first, count, true);
}

void hak_span_lose(uint32_t first, uint32_t count) {
    HAK_CHECK(count > 0 && hak_kind_of(first) == HAK_KIND_TAKEN);
    HAK_ASSERT(hak_span_at(first)->count == count);
    atomic_fetch_add_explicit(&range->lost, (size_t)count << HAK_GRANULE_SHIFT,
                              memory_order_relaxed);
    hak_range_forbid_moves(); /* else each failed move may lose as much again */
}

/* ---- from the top ---------------------------------------------------------------------------- */

/* Whether the granules between the former top and an aligned span may hold memory. While memory is
 * kept, they get memory: a free span that they are joined with would otherwise have memory only in
 * part. */
static bool gap_is_dirty(uint32_t gap, uint32_t end) {
    if (!hak_range_keeps()) return gap < range->dirty_top;
    hak_granules_populate(gap > range->dirty_top ? gap : range->dirty_top, end);
    return true;
}

/* Raises the top to `from`; the granules in between become a free span. */
static void top_raise(uint32_t from) {
    const uint32_t gap = range->top;
    HAK_ASSERT(from >= gap && from <= hak_range_granules());
    hak_range_top_set(from);
    if (from > gap) hak_span_insert(gap, from - gap, HAK_KIND_FREE_SPAN, gap_is_dirty(gap, from));
}

/* Somebody else has a mapping behind what is committed: the range goes on behind that mapping, and
 * the granules in between are lost. False: there is no way on. */
static bool mapping_skip(void) {
    const uint32_t first = hak_range_granules(), left = hak_range.granules - first;
    for (uint32_t skip = 1, more = 1; more > 0 && skip < left; skip += more) {
        more = skip < (left - skip) / 2 ? skip : (left - skip) / 2;
        if (hak_range_tables_grow(first + skip + 1) != HAK_PLACED) return false;
        enum hak_placed placed =
            hak_window_commit((uintptr_t)hak_granule_address(first + skip), HAK_GRANULE);
        if (placed == HAK_PLACE_REFUSED) return false;
        if (placed == HAK_PLACE_OCCUPIED) continue;
        hak_span_describe(first, skip, true); /* before a child of fork takes it for free */
        hak_span_lose(first, skip);
        top_raise(first);
        hak_area_count_unmapped(&range->blocks, (size_t)(skip + 1) << HAK_GRANULE_SHIFT);
        hak_range_top_set(first + skip);
        hak_huge_pages_advise((uintptr_t)hak_granule_address(range->top), HAK_GRANULE);
        hak_range_end_set(hak_range_granules());
        return true;
    }
    return false;
}

static enum hak_placed tables_and_blocks_grow(uint32_t tables, uint32_t blocks) {
    if (tables > hak_range.granules) return HAK_PLACE_REFUSED;
    enum hak_placed placed = hak_range_tables_grow(tables);
    return placed == HAK_PLACED ? hak_range_grow(blocks) : placed;
}

/* Without the first bound, each thread's partly committed SuperSlab would cost the kernel a
 * mapping. A large range gains nothing by such spans. */
#define PARTLY_COMMITTED_MAX   256u
#define PARTLY_COMMITTED_BELOW ((size_t)64 << 20)

static bool may_commit_in_part(void) {
    return !hak_range_keeps() && range->blocks.committed < PARTLY_COMMITTED_BELOW &&
           !atomic_load_explicit(&range->met_foreign_mapping, memory_order_relaxed) &&
           atomic_load_explicit(&range->partly_committed, memory_order_relaxed) <
               PARTLY_COMMITTED_MAX;
}

/* *committed: as for hak_span_alloc_part. */
static uint32_t span_from_top(uint32_t count, uint32_t align, uint32_t *committed) {
    uint32_t now = *committed == 0 && may_commit_in_part() ? 0 : count, from;
    for (;;) {
        if (count > hak_range.granules - range->top) return 0;
        from = (uint32_t)hak_round_up(range->top, align);
        enum hak_placed placed = tables_and_blocks_grow(from + count, from + now);
        if (placed == HAK_PLACED) break;
        if (placed == HAK_PLACE_REFUSED || !mapping_skip()) return 0;
    }
    HAK_ASSERT(hak_kind_of(from) == HAK_KIND_NONE);
    /* before a child of fork takes it for free */
    hak_span_describe(from, count, from < range->dirty_top);
    top_raise(from);
    hak_range_top_set(from + count);
    uint32_t end = hak_range_granules();
    *committed = end < range->top ? end - from : count;
    if (end < range->top) {
        hak_area_count_unmapped(&range->blocks, (size_t)(range->top - end) << HAK_GRANULE_SHIFT);
        atomic_fetch_add_explicit(&range->partly_committed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&range->uncommitted,
                                  (size_t)(count - *committed) << HAK_GRANULE_SHIFT,
                                  memory_order_relaxed);
    }
    return from;
}

enum hak_placed hak_span_commit_more(uint32_t first, uint32_t count, uint32_t committed,
                                     uint32_t more) {
    HAK_CHECK(first > 0 && more > 0 && more <= count - committed);
    uintptr_t start = (uintptr_t)hak_granule_address(first + committed);
    size_t bytes = (size_t)more << HAK_GRANULE_SHIFT;
    enum hak_placed placed = hak_window_commit(start, bytes);
    /* From here on spans are committed whole: so mapping_skip passes such a mapping at once,
     * however long it is. */
    if (placed == HAK_PLACE_OCCUPIED)
        atomic_store_explicit(&range->met_foreign_mapping, true, memory_order_relaxed);
    if (placed != HAK_PLACED) return placed;
    hak_huge_pages_advise(start, bytes);
    hak_lock_take(range_lock);
    if (first + committed >= range->end)
        hak_range_end_set(first + committed + more); /* else they are below it */
    hak_lock_drop(range_lock);
    atomic_fetch_sub_explicit(&range->uncommitted, bytes, memory_order_relaxed);
    if (committed + more == count)
        atomic_fetch_sub_explicit(&range->partly_committed, 1, memory_order_relaxed);
    return HAK_PLACED;
}

/* ---- from the lists -------------------------------------------------------------------------- */

/* Takes `count` granules of a free span that hak_span_find has found; 0: it has found none. */
static uint32_t span_take(uint32_t span, uint32_t count, uint32_t align) {
    if (span == 0) return 0;
    const uint32_t from = (uint32_t)hak_round_up(span, align);
    const bool dirty = hak_span_at(span)->dirty;
    hak_span_split(span, from, count);
    hak_span_describe(from, count, dirty);
    return from;
}

/* Takes a span from the lists of free spans; 0: none was found. */
static uint32_t span_from_free(uint32_t count, uint32_t align, uint32_t most) {
    return span_take(hak_span_find(HAK_KIND_FREE_SPAN, count, align, most, false), count, align);
}

/* Maps a part of a hole again. A hole in which somebody else has a mapping is lost. */
static enum hak_placed hole_fill(uint32_t hole, uint32_t from, uint32_t count) {
    const uintptr_t start = (uintptr_t)hak_granule_address(from);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    HAK_CHECK(hak_kind_of(hole) == HAK_KIND_HOLE);
    enum hak_placed placed = hak_window_commit(start, bytes);
    if (placed == HAK_PLACED) {
        hak_huge_pages_advise(start, bytes);
        hak_span_split(hole, from, count);
        if (from + count > range->end)
            hak_range_end_set(from + count); /* as in hak_span_commit_more */
    } else if (placed == HAK_PLACE_OCCUPIED) {
        uint32_t whole = hak_span_at(hole)->count;
        hak_span_remove(hole);
        hak_span_describe(hole, whole, false);
        hak_span_lose(hole, whole);
    }
    return placed;
}

static uint32_t span_from_hole(uint32_t count, uint32_t align, uint32_t most) {
    uint32_t hole, from = 0;
    enum hak_placed placed;
    do {
        hole = hak_span_find(HAK_KIND_HOLE, count, align, most, false);
        if (hole == 0) return 0;
        from = (uint32_t)hak_round_up(hole, align);
        placed = hole_fill(hole, from, count);
    } while (placed == HAK_PLACE_OCCUPIED);
    if (placed != HAK_PLACED) return 0;
    hak_span_describe(from, count, false);
    return from;
}

/* While memory is kept: a free span that may hold memory; 0: there is none. */
static uint32_t kept_find(uint32_t count, uint32_t align) {
    if (!hak_range_keeps() || hak_range_kept() < (size_t)count << HAK_GRANULE_SHIFT) return 0;
    return hak_span_find(HAK_KIND_FREE_SPAN, count, align, UINT32_MAX, true);
}

static bool top_is_kept(uint32_t count, uint32_t align) {
    return hak_round_up(range->top, align) + count <= range->dirty_top;
}

bool hak_span_is_kept(uint32_t count, uint32_t align) {
    if (hak_range_kept() < (size_t)count << HAK_GRANULE_SHIFT) return false;
    hak_lock_take(range_lock);
    bool kept = kept_find(count, align) != 0 || (hak_range_keeps() && top_is_kept(count, align));
    hak_lock_drop(range_lock);
    return kept;
}

/* Takes a span from the lists; 0: none was found, or enough granules behind the top hold memory:
 * these come before free spans without memory. */
static uint32_t span_from_lists(uint32_t count, uint32_t align) {
    uint32_t from = span_take(kept_find(count, align), count, align);
    if (from != 0 || top_is_kept(count, align)) return from;
    from = span_from_free(count, align, SPANS_TRIED);
    return from != 0 ? from : span_from_hole(count, align, SPANS_TRIED);
}

uint32_t hak_span_alloc_part(uint32_t count, uint32_t align, uint32_t *committed) {
    HAK_CHECK(count > 0 && hak_is_power_of_two(align));
    if (count > hak_range.granules || align > hak_range.granules) return 0;
    hak_lock_take(range_lock);
    const uint32_t least = *committed;
    *committed = count;
    uint32_t from = span_from_lists(count, align);
    if (from == 0) {
        *committed = least;
        from = span_from_top(count, align, committed);
    }
    /* No memory is left behind the top: look at all spans of the lists. */
    if (from == 0) {
        *committed = count;
        from = span_from_free(count, align, UINT32_MAX);
        if (from == 0) from = span_from_hole(count, align, UINT32_MAX);
    }
    HAK_ASSERT(from == 0 || *committed <= count);
    hak_lock_drop(range_lock);
    if (from != 0 && *committed == count) hak_range_used(from, count);
    return from;
}

uint32_t hak_span_alloc(uint32_t count, uint32_t align) {
    uint32_t committed = count;
    return hak_span_alloc_part(count, align, &committed);
}

/* Whether the `more` granules from `next` on, behind a span, may hold memory. */
static bool extends_kept(uint32_t next, uint32_t more) {
    if (next >= range->top) return next + more <= range->dirty_top;
    return hak_kind_of(next) == HAK_KIND_FREE_SPAN && hak_span_at(next)->dirty;
}

bool hak_span_extend(uint32_t first, uint32_t count, uint32_t more) {
    HAK_CHECK(count > 0 && more > 0);
    bool done = false;
    uint32_t next = first + count;
    hak_lock_take(range_lock);
    HAK_CHECK(hak_span_at(first)->count == count);
    if (!extends_kept(next, more) && kept_find(count + more, 1) != 0) {
        done = false; /* the caller copies the block to that span */
    } else if (next == range->top) {
        done = tables_and_blocks_grow(next + more, next + more) == HAK_PLACED;
        if (done) hak_range_top_set(next + more);
    } else if (next < range->top && hak_kind_of(next) == HAK_KIND_FREE_SPAN &&
               hak_span_at(next)->count >= more) {
        hak_span_split(next, next, more);
        done = true;
    } else if (next < range->top && hak_kind_of(next) == HAK_KIND_HOLE &&
               hak_span_at(next)->count >= more) {
        done = hole_fill(next, next, more) == HAK_PLACED;
    }
    if (done) hak_span_at(first)->count = count + more;
    hak_lock_drop(range_lock);
    return done;
}

struct hak_range_state hak_range_state(void) {
    return (struct hak_range_state){.committed = hak_range_granules(),
                                    .end = range->end,
                                    .in_tables = hak_range_in_tables(),
                                    .free = &range->free,
                                    .holes = &range->holes,
                                    .hole_bytes = range->hole_bytes,
                                    .dirty_top = range->dirty_top,
                                    .map_bytes = range->map.committed,
                                    .record_bytes = range->records.committed};
}
