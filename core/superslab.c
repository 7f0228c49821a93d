#include "core/superslab.h"

#include "core/cache.h"
#include "core/hooks.h"

/* The home of a SuperSlab that its heap has given up while that heap was seized. */
static struct hak_home on_its_way;

/* Makes a SuperSlab of a taken span. `committed`: so many of its granules are committed;
 * `dirty_mask`: these may hold memory, since `since`. */
static struct hak_superslab *begin(struct hak_home *home, uint32_t first, uint32_t granules,
                                   uint32_t committed, uint32_t dirty_mask, uint32_t since,
                                   bool pool) {
    struct hak_superslab *ss = hak_superslab_record(first);
    HAK_CHECK(!hak_superslab_is_used(ss) && granules <= HAK_UNITS_MAX);
    HAK_CHECK(home != NULL && hak_kind_of(first) == HAK_KIND_TAKEN);
    ss->home = home;
    ss->next = ss->prev = NULL;
    ss->first = first;
    ss->units = granules;
    ss->committed_units = (uint8_t)committed;
    ss->usable_mask = ss->free_mask = hak_units_of(granules);
    ss->dirty_mask = dirty_mask;
    ss->since = since;
    ss->waits_mask = 0;
    ss->active = 0;
    ss->pool = pool;
    if (hak_range_keeps()) hak_superslab_populate(ss, ~ss->dirty_mask);
    hak_hook_atomic(&ss->in_use, sizeof ss->in_use);
    hak_hook_release(&ss->in_use);
    atomic_store_explicit(&ss->in_use, (uint8_t)granules, memory_order_release);
    /* From here on the record says that the span is in use; no page map entry need say so. */
    hak_kind_set(first, HAK_KIND_NONE);
    return ss;
}

static uint32_t granules_of(unsigned shift) {
    HAK_CHECK(shift == HAK_SUPERSLAB_SHIFT || shift == HAK_SUPERSLAB_SHIFT_MIN);
    return 1u << (shift - HAK_GRANULE_SHIFT);
}

struct hak_superslab *hak_superslab_create_from_range(struct hak_home *home, unsigned shift,
                                                      bool pool) {
    const uint32_t granules = granules_of(shift);
    uint32_t committed = 0, first = hak_span_alloc_part(granules, granules, &committed);
    if (first == 0) return NULL;
    const size_t bytes = (size_t)granules << HAK_GRANULE_SHIFT;
    hak_cache_missed(bytes);
    atomic_fetch_add_explicit(&hak_footprint.superslabs, bytes, memory_order_relaxed);
    hak_footprint_peak_update();
    const uint32_t dirty_mask = hak_span_is_dirty(first) ? hak_units_of(committed) : 0;
    return begin(home, first, granules, committed, dirty_mask, 0, pool);
}

static uint32_t bits_of(uint32_t mask) {
    uint32_t bits = 0;
    for (; mask != 0; mask &= mask - 1)
        bits++;
    return bits;
}

static struct hak_superslab *begin_cached(struct hak_home *home, uint32_t granules,
                                          uint32_t longest, bool pool) {
    const struct hak_cached span = hak_cache_get_aligned(granules, longest, home);
    if (span.first == 0) return NULL;
    const struct hak_superslab *last = hak_superslab_record(span.first);
    const uint32_t dirty = span.is_superslab ? last->dirty_mask : hak_units_of(granules);
    return begin(home, span.first, granules, granules, dirty, span.since, pool);
}

/* Half a SuperSlab is not cut out of memory for a whole one. */
struct hak_superslab *hak_superslab_create(struct hak_home *home, unsigned shift, bool pool) {
    const uint32_t whole = granules_of(HAK_SUPERSLAB_SHIFT), half = whole / 2;
    struct hak_superslab *ss = NULL;
    if (granules_of(shift) == half) ss = begin_cached(home, half, whole - 1, pool);
    if (ss == NULL) ss = begin_cached(home, whole, UINT32_MAX, pool);
    if (ss == NULL && granules_of(shift) == whole) ss = begin_cached(home, half, UINT32_MAX, pool);
    return ss != NULL ? ss : hak_superslab_create_from_range(home, shift, pool);
}

/* Commits the units from `committed_units` to `until`, exclusive. If this is a single unit and a
 * foreign mapping lies in it, the SuperSlab loses this unit and all units behind it. False: not all
 * are committed. */
static bool units_commit(struct hak_superslab *ss, uint32_t until) {
    HAK_ASSERT(until > ss->committed_units && until <= ss->units);
    enum hak_placed placed = hak_span_commit_more(ss->first, ss->units, ss->committed_units,
                                                  until - ss->committed_units);
    if (placed == HAK_PLACED) ss->committed_units = (uint8_t)until;
    if (placed == HAK_PLACE_OCCUPIED && until == ss->committed_units + 1u) {
        ss->usable_mask &= hak_units_of(ss->committed_units);
        ss->free_mask &= ss->usable_mask;
    }
    return placed == HAK_PLACED;
}

void hak_superslab_populate(struct hak_superslab *ss, uint32_t units) {
    const uint32_t more = ss->units - ss->committed_units;
    if (more > 0 &&
        hak_span_commit_more(ss->first, ss->units, ss->committed_units, more) == HAK_PLACED)
        ss->committed_units = (uint8_t)ss->units;
    units &= ss->free_mask & hak_units_of(ss->committed_units);
    for (uint32_t left = units; left != 0; left &= left - 1)
        hak_os_populate(hak_granule_address(ss->first + (uint32_t)__builtin_ctz(left)),
                        HAK_GRANULE);
    ss->dirty_mask |= units;
}

/* True if the memory of the SuperSlab may wait in the cache. Then all of it is committed from here
 * on, which is not done where addresses are scarce. While memory is kept, it lies in the range, for
 * blocks of any size. */
static bool made_ready_to_wait(struct hak_superslab *ss, size_t budget) {
    if (ss->dirty_mask == 0 || !hak_superslab_is_all_usable(ss) || hak_range_keeps()) return false;
    if (hak_range_cached_most(budget) < hak_superslab_bytes(ss)) return false;
    if (ss->committed_units == ss->units) return true;
    return !hak_range_is_scarce() && units_commit(ss, ss->units);
}

/* The span of a SuperSlab that has ended goes to the range. If a foreign mapping lies in it, all
 * its addresses are given up for good, and its committed part is purged. */
static void span_free(uint32_t first, uint32_t units, uint32_t committed, bool all_usable) {
    if (all_usable && committed == units) {
        hak_span_free(first, units, false);
    } else if (all_usable) {
        hak_span_free_part(first, units, committed);
    } else {
        if (committed > 0)
            hak_range_purge_part(hak_granule_address(first),
                                 (size_t)committed << HAK_GRANULE_SHIFT);
        hak_span_lose(first, units);
    }
}

static void end(struct hak_superslab *ss, size_t budget) {
    HAK_CHECK(hak_superslab_is_used(ss) && ss->free_mask == ss->usable_mask && ss->active == 0);
    HAK_CHECK(ss->home != NULL);
    const bool cached = made_ready_to_wait(ss, budget),
               all_usable = hak_superslab_is_all_usable(ss);
    /* While memory is kept, free spans hold memory. This one may be joined with such a span. */
    if (hak_range_keeps()) hak_superslab_populate(ss, ~ss->dirty_mask);
    const uint32_t first = ss->first, units = ss->units, committed = ss->committed_units,
                   since = ss->since, dirty = bits_of(ss->dirty_mask);
    hak_span_set_taken(first, units);
    hak_large_at(first)->user = NULL; /* for report.c: no large block was here */
    if (cached) {
        hak_cache_put_superslab(first, dirty, budget, since);
        return;
    }
    hak_hook_release(&ss->in_use);
    atomic_store_explicit(&ss->in_use, 0, memory_order_release);
    atomic_fetch_sub_explicit(&hak_footprint.superslabs, (size_t)units << HAK_GRANULE_SHIFT,
                              memory_order_relaxed);
    span_free(first, units, committed, all_usable);
}

void hak_superslab_destroy(struct hak_superslab *ss, size_t budget) {
    HAK_CHECK(ss->free_mask == ss->usable_mask && ss->active == 0);
    if (HAK_THREAD.seized_heap == NULL) {
        end(ss, budget);
        return;
    }
    ss->home = &on_its_way;
    ss->next = HAK_THREAD.deferred;
    HAK_THREAD.deferred = ss;
}

size_t hak_superslab_destroy_deferred(void) {
    size_t bytes = 0;
    while (HAK_THREAD.deferred != NULL) {
        struct hak_superslab *ss = HAK_THREAD.deferred;
        HAK_THREAD.deferred = ss->next;
        bytes += hak_superslab_bytes(ss);
        end(ss, 0);
    }
    return bytes;
}

#define PURGE_STEP 4u /* most units of one step while a thread may wait for its heap: 256 KiB */

/* The old ones of the dirty units. These are all, if none became dirty within `older_than_ms`.
 * Where slabs come and go, some unit always did: then the units that have been dirty since the look
 * before this one, which was at least `older_than_ms` ago. */
static uint32_t old_units(struct hak_superslab *ss, uint32_t now, uint32_t older_than_ms) {
    HAK_ASSERT((ss->waits_mask & ~ss->dirty_mask) == 0);
    if (hak_is_older(ss->since, now, older_than_ms)) return ss->dirty_mask;
    if (!hak_is_older(ss->looked, now, older_than_ms)) return 0;
    uint32_t old = ss->waits_mask;
    ss->waits_mask = ss->dirty_mask;
    ss->looked = now;
    return old;
}

size_t hak_superslab_purge(struct hak_superslab *ss, uint32_t now, uint32_t older_than_ms,
                           bool (*should_stop)(const struct hak_heap *of),
                           const struct hak_heap *of) {
    uint32_t dirty = ss->dirty_mask & ss->free_mask;
    HAK_ASSERT(dirty == ss->dirty_mask); /* dirty units are free */
    dirty &= old_units(ss, now, older_than_ms);
    size_t bytes = 0;
    while (dirty != 0 && (should_stop == NULL || !should_stop(of))) {
        unsigned from = (unsigned)__builtin_ctz(dirty);
        uint32_t after = ~(dirty >> from);
        unsigned count = after == 0 ? 32 : (unsigned)__builtin_ctz(after);
        if (should_stop != NULL && count > PURGE_STEP) count = PURGE_STEP;
        char *start = (char *)hak_granule_address(ss->first) + ((size_t)from << HAK_GRANULE_SHIFT);
        uint32_t mask = hak_units_of(count) << from;
        HAK_ASSERT((mask & ~ss->free_mask) == 0);
        if (hak_range_purge_part(start, (size_t)count << HAK_GRANULE_SHIFT)) {
            ss->dirty_mask &= ~mask;
            ss->waits_mask &= ~mask;
            bytes += (size_t)count << HAK_GRANULE_SHIFT;
        }
        dirty &= ~mask;
    }
    return bytes;
}

/* The first of `count` adjacent units of `free_mask`, at a multiple of `count`, a power of two; -1
 * if there are none. */
static int units_find(uint32_t free_mask, uint32_t count) {
    for (uint32_t step = 1; step < count; step *= 2)
        free_mask &= free_mask >> step;
    if (count > 1)
        free_mask &= UINT32_MAX / ((1u << count) - 1); /* a bit at each multiple of count */
    return free_mask == 0 ? -1 : __builtin_ctz(free_mask);
}

#define COMMIT_MIN                                                                                 \
    2u /* the fewest units to commit at once; an eighth of the committed ones, if that is more */

/* Commits the units to `until`, exclusive, and some more. If that fails, commits one unit: a
 * foreign mapping may lie behind it. */
static bool units_commit_some(struct hak_superslab *ss, uint32_t until) {
    uint32_t more = ss->committed_units / 8u > COMMIT_MIN ? ss->committed_units / 8u : COMMIT_MIN;
    if (until < ss->committed_units + more) until = ss->committed_units + more;
    if (until > ss->units) until = ss->units;
    return units_commit(ss, until) || units_commit(ss, ss->committed_units + 1u);
}

/* As units_find, for a SuperSlab with units that are not committed: commits those that it finds. */
static HAK_NOINLINE int units_find_commit(struct hak_superslab *ss, uint32_t units,
                                          uint32_t count) {
    for (;;) {
        int unit = units_find(units & ss->usable_mask, count);
        if (unit < 0 || (uint32_t)unit + count <= ss->committed_units) return unit;
        const uint32_t all = ss->usable_mask;
        if (!units_commit_some(ss, (uint32_t)unit + count) && ss->usable_mask == all) return -1;
    }
}

int hak_superslab_find_units(struct hak_superslab *ss, uint32_t units, uint32_t count) {
    HAK_CHECK(hak_is_power_of_two(count));
    if (HAK_UNLIKELY(ss->committed_units < ss->units)) return units_find_commit(ss, units, count);
    return units_find(units, count);
}
