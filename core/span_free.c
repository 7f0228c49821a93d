/* Spans that are given back, and what becomes of their memory. */
#include "core/range_parts.h"

/* A free span is described by the page map entries of its two ends. The entries in between, 1
 * MiB for each GiB of free granules, say nothing, so their memory goes back, too. The
 * granules [from, until) have just joined the free granules [first, end). Under the range's lock,
 * because otherwise another thread might take the granules meanwhile. If the purge fails (locked
 * memory), no harm is done: nobody relies on zero there. */
static void map_purge(uint32_t first, uint32_t end, uint32_t from, uint32_t until) {
    const size_t page = hak_os_page_size() / HAK_MAP_ENTRY_SIZE; /* in page map entries */
    HAK_ASSERT(first <= from && from < until && until <= end);
    size_t least = hak_round_up(first + 1, page), most = (end - 1) & ~(page - 1);
    /* those of what was freed, and of its neighbours' ends */
    size_t low = (from - 1) & ~(page - 1), high = hak_round_up(until + 1, page);
    if (low < least) low = least;
    if (high > most) high = most;
    if (low < high && !hak_range_keeps())
        hak_os.purge(hak_map_entry((uint32_t)low), (high - low) * HAK_MAP_ENTRY_SIZE);
}

/* A hole that ends at the top leaves the range, and what is committed behind it is unmapped. If
 * that may hold memory, the hole stays. */
static bool hole_may_leave(void) {
    return hak_range_dirty_behind_top() == 0;
}

/* Unlists the free span or hole that ends at the top, so that the top can sink to its start. False:
 * there is none, or a hole has to stay. */
static bool top_take_before(bool *is_hole, uint32_t *first, bool *dirty) {
    const enum hak_kind kind = hak_kind_of(range->top - 1);
    *is_hole = kind == HAK_KIND_HOLE;
    if (kind != HAK_KIND_FREE_SPAN && !(*is_hole && hole_may_leave())) return false;
    *first = hak_span_at(range->top - 1)->first;
    *dirty = hak_span_at(*first)->dirty;
    hak_span_remove(*first);
    return true;
}

/* Lists a hole that ends at the top and cannot leave. */
static void hole_keep(uint32_t first, uint32_t count) {
    hak_span_join(&first, &count, HAK_KIND_HOLE);
    hak_span_insert(first, count, HAK_KIND_HOLE, false);
}

/* Lowers the top to `first`, and on over the free spans and holes before it. `is_hole`: the
 * granules from `first` to the top are a hole. Somebody else may have a mapping in a hole by now,
 * so a hole leaves the range without a system call, but only after what is committed behind it was
 * unmapped. */
static void top_lower(uint32_t first, bool is_hole, bool dirty) {
    do {
        if (dirty) hak_range_dirty_top_raise(range->top);
        if (is_hole) {
            if (!hak_range_shrink_to(range->top)) {
                hole_keep(first, range->top - first);
                return;
            }
            hak_area_end_at(&range->blocks, hak_range_bytes_below(first));
            hak_range_end_set(first);
            hak_range_dirty_top_lower(first);
        }
        hak_range_top_set(first);
    } while (top_take_before(&is_hole, &first, &dirty));
    hak_range_shrink();
}

#define HOLES_MAX 1024u /* each costs the kernel a mapping */
#define HOLE_MIN  4u    /* granules: fewer are soon needed again, and hardly worth a mapping */

/* Read without the lock: there may come to be a few holes more than HOLES_MAX. */
static bool holes_are_few(void) {
    return __atomic_load_n(&range->holes_now, __ATOMIC_RELAXED) < HOLES_MAX;
}

static bool hole_is_wanted(uint32_t count) {
    if (hak_range_keeps() || !(hak_range_is_scarce() || hak_os_is_locked())) return false;
    return count >= HOLE_MIN && holes_are_few();
}

/* Unmaps a taken span; false: it stays mapped. */
static bool span_unmap(uint32_t first, uint32_t count) {
    HAK_CHECK(hak_kind_of(first) == HAK_KIND_TAKEN && count > 0);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (!hak_window_unmap((uintptr_t)hak_granule_address(first), bytes)) return false;
    hak_huge_pages_unmapped(first, first + count);
    return true;
}

/* Gives the memory of a taken span to the system; the span reads as zero then. `renew`: as for
 * hak_span_free. False: the span is lost. */
static bool span_purge(uint32_t first, uint32_t count, bool renew) {
    void *start = hak_granule_address(first);
    size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (renew) hak_os_munlock(start, bytes); /* else the purge may conclude that all is locked */
    bool zero = hak_range_purge_part(start, bytes);
    if (renew) {
        /* After the purge: if renewing fails, the addresses may be another thread's, and no memory
         * can be given back any more. */
        if (!hak_os.renew(start, bytes)) {
            hak_span_lose(first, count);
            return false;
        }
        zero = true;
        hak_huge_pages_advise((uintptr_t)start, bytes);
    }
    if (!zero) /* locked memory cannot be purged, and a free span reads as zero */
        hak_os_zero(start, bytes);
    return true;
}

/* Makes a taken span a free span or a hole, by `kind`. `dirty`: it may hold memory. Under the
 * range's lock. */
static void span_put_locked(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    const uint32_t from = first, until = first + count;
    HAK_CHECK(until <= range->top && hak_kind_of(first) == HAK_KIND_TAKEN);
    hak_kind_set(first, HAK_KIND_NONE);
    if (until == range->top && (kind == HAK_KIND_FREE_SPAN || hole_may_leave())) {
        top_lower(first, kind == HAK_KIND_HOLE, dirty);
        if (range->top <= from) map_purge(range->top, hak_range_in_tables(), from, until);
    } else {
        dirty |= hak_span_join(&first, &count, kind);
        hak_span_insert(first, count, kind, dirty);
        map_purge(first, first + count, from, until);
    }
}

/* span_put_locked for a caller without the lock. */
static void span_put(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    hak_lock_take(range_lock);
    span_put_locked(first, count, kind, dirty);
    hak_lock_drop(range_lock);
    if (dirty) hak_footprint_peak_update();
}

void hak_span_free(uint32_t first, uint32_t count, bool renew) {
    HAK_CHECK(first > 0 && count > 0);
    HAK_CHECK(hak_granule_is_below_end(first + count - 1)); /* before its memory is touched */
    const bool keeps = hak_range_keeps();
    enum hak_kind kind = HAK_KIND_FREE_SPAN;
    if (hole_is_wanted(count) && span_unmap(first, count))
        kind = HAK_KIND_HOLE;
    else if ((renew || !keeps) && !span_purge(first, count, renew))
        return;
    const bool dirty = keeps && kind == HAK_KIND_FREE_SPAN;
    if (dirty && renew)
        hak_granules_populate(first, first + count); /* its neighbours have memory */
    span_put(first, count, kind, dirty);
}

void hak_span_free_part(uint32_t first, uint32_t count, uint32_t committed) {
    HAK_CHECK(committed < count && hak_kind_of(first) == HAK_KIND_TAKEN &&
              hak_span_at(first)->count == count);
    hak_lock_take(range_lock);
    atomic_fetch_sub_explicit(&range->partly_committed, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&range->uncommitted, (size_t)(count - committed) << HAK_GRANULE_SHIFT,
                              memory_order_relaxed);
    if (committed > 0) {
        hak_span_describe(first + committed, count - committed, false);
        hak_span_describe(first, committed, true);
    }
    /* HOLES_MAX is not asked: no more such holes come than there were partly committed spans */
    span_put_locked(first + committed, count - committed, HAK_KIND_HOLE, false);
    hak_lock_drop(range_lock);
    if (committed > 0) hak_span_free(first, committed, false);
}

static uintptr_t span_end(uint32_t first, uint32_t count) {
    return (uintptr_t)hak_granule_address(first) + ((uintptr_t)count << HAK_GRANULE_SHIFT);
}

bool hak_span_cut(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    return hak_window_unmap(span_end(first, count) - cut, cut);
}

bool hak_span_mend(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    const uintptr_t start = span_end(first, count) - cut;
    if (hak_window_commit(start, cut) != HAK_PLACED) return false;
    hak_huge_pages_advise(start, cut);
    return true;
}

void hak_span_free_unmapped(uint32_t first, uint32_t count) {
    HAK_CHECK(count > 0 && !hak_window_is_reserved());
    const uintptr_t start = (uintptr_t)hak_granule_address(first);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    hak_huge_pages_unmapped(first, first + count);
    bool mapped = !(hak_range_is_scarce() && holes_are_few()) &&
                  hak_window_commit(start, bytes) == HAK_PLACED;
    if (mapped) hak_huge_pages_advise(start, bytes);
    span_put(first, count, mapped ? HAK_KIND_FREE_SPAN : HAK_KIND_HOLE, false);
}

void hak_span_free_cut(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    const uintptr_t start = (uintptr_t)hak_granule_address(first);
    const size_t bytes = ((size_t)count << HAK_GRANULE_SHIFT) - cut;
    if (!holes_are_few() && hak_span_mend(first, count, cut)) {
        hak_span_free(first, count, false);
        return;
    }
    if (!hak_window_unmap(start, bytes)) {
        hak_range_purge_part((void *)start, bytes);
        hak_span_lose(first, count);
        return;
    }
    hak_huge_pages_unmapped(first, first + count);
    span_put(first, count, HAK_KIND_HOLE, false);
}

/* ---- memory that is kept --------------------------------------------------------------------- */

void hak_range_populate(size_t most) {
    hak_lock_take(range_lock);
    for (unsigned list = hak_span_next_list(&range->free, 0); list < HAK_SPAN_LISTS;
         list = hak_span_next_list(&range->free, list + 1))
        for (uint32_t first = range->free.lists[list]; first != 0;
             first = hak_span_at(first)->next) {
            struct hak_free_span *span = hak_span_at(first);
            const size_t bytes = (size_t)span->count << HAK_GRANULE_SHIFT;
            if (!span->dirty && bytes > most) continue;
            hak_granules_populate(first, first + span->count);
            if (span->dirty) continue;
            most -= bytes;
            span->dirty = true;
            hak_range_kept_add(span->count);
        }
    hak_granules_populate(range->top, range->dirty_top);
    hak_lock_drop(range_lock);
}

/* False: the memory is locked and memory is kept, so it stays. When memory is kept no more, locked
 * memory is zeroed by hand, once. */
static bool granules_purge(uint32_t first, uint32_t count) {
    void *start = hak_granule_address(first);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (count == 0 || hak_range_purge_part(start, bytes)) return true;
    if (hak_range_keeps()) return false;
    hak_os_zero(start, bytes);
    return true;
}

/* Purges the spans of a list that may hold memory. */
static void list_purge(unsigned list) {
    for (uint32_t first = range->free.lists[list]; first != 0; first = hak_span_at(first)->next) {
        struct hak_free_span *span = hak_span_at(first);
        if (!span->dirty || !granules_purge(first, span->count)) continue;
        span->dirty = false;
        hak_range_kept_sub(span->count);
    }
}

size_t hak_range_purge(void) {
    if (hak_range_kept() == 0) return 0;
    hak_lock_take(range_lock);
    const size_t before = hak_range_kept();
    for (unsigned list = hak_span_next_list(&range->free, 0); list < HAK_SPAN_LISTS;
         list = hak_span_next_list(&range->free, list + 1))
        list_purge(list);
    hak_range_shrink();
    if (granules_purge(range->top, hak_range_dirty_behind_top())) hak_range_tops_set(range->top, 0);
    top_lower(range->top, false, false); /* a hole there had to stay until now */
    const size_t after = hak_range_kept();
    hak_lock_drop(range_lock);
    HAK_ASSERT(after <= before);
    return before - after;
}
