#include "core/cache.h"
#include "core/large.h"
#include "core/policy.h"
#include "core/superslab.h"
#include "verify/heap_check_parts.h"

#define equal   hak_check_equal
#define at_most hak_check_at_most

/* ---- granules -------------------------------------------------------------------------------- */

/* A walk over the granules below the top: over free spans, holes, SuperSlabs, cached and large
 * blocks. */
struct tiling {
    uint32_t ahead; /* a granule; none between the walk and this one has a kind */
    uint32_t free_spans, holes, superslabs, cached, lost; /* lost: granules that the kernel took */
    size_t kept;    /* granules of free spans that may hold memory */
    uint32_t clean; /* granules of cached spans that hold none */
    size_t hole_bytes, cached_bytes, large_blocks, large_bytes, large_mapped, superslab_bytes;
};

bool hak_check_bounds(struct check *check) {
    struct hak_range_state state = hak_range_state();
    uint64_t limit = atomic_load_explicit(&hak_range.end, memory_order_relaxed);
    equal(check, "the range's end = what is committed", limit,
          (uint64_t)(state.end - HAK_GRANULE_FIRST) << (HAK_GRANULE_SHIFT - 4), NULL);
    at_most(check, "the range's end <= granules committed", state.end, state.committed, NULL);
    size_t faults = check->result->faults;
    at_most(check, "top <= granules in the tables", check->top, state.in_tables, NULL);
    at_most(check, "granules committed <= granules in the tables", state.committed, state.in_tables,
            NULL);
    return check->result->faults == faults;
}

/* Of a span, only the granules whose entries describe the span have a kind. */
static void check_inside(struct check *check, uint32_t first, uint32_t count, uint32_t described) {
    uint32_t kinds = 0;
    for (uint32_t i = 0; i < count && first + i < check->top; i++)
        if (hak_kind_of(first + i) != HAK_KIND_NONE) kinds++;
    equal(check, "granules of a span that have a kind", kinds, described, hak_map_entry(first));
}

/* Checks a free span or a hole; returns its length. A hole may end at the top, and stays while
 * memory behind it is kept. */
static uint32_t free_span_at(struct check *check, struct tiling *tiling, uint32_t granule,
                             enum hak_kind kind) {
    const struct hak_free_span *span = hak_map_entry(granule);
    if (kind == HAK_KIND_FREE_SPAN)
        tiling->free_spans++;
    else
        tiling->holes++;
    if (!equal(check, "free span begins where its page map entry says", span->first, granule, span))
        return 1;
    const uint64_t end = (uint64_t)granule + span->count;
    if (!at_most(check, "free span ends below the top", end + (kind == HAK_KIND_FREE_SPAN),
                 check->top, span))
        return 1;
    if (span->dirty) tiling->kept += span->count;
    const struct hak_free_span *last = hak_map_entry((uint32_t)end - 1);
    equal(check, "free span's last entry leads to its first", last->first, granule, span);
    equal(check, "free span's length at both ends", last->count, span->count, span);
    check_inside(check, granule, span->count, span->count > 1 ? 2 : 1);
    equal(check, "free span's neighbour is not free",
          end == check->top || hak_kind_of((uint32_t)end) != kind, true, span);
    if (kind == HAK_KIND_HOLE) tiling->hole_bytes += (size_t)span->count << HAK_GRANULE_SHIFT;
    return span->count;
}

/* A SuperSlab that waits in the cache: its record still says which units hold memory. */
static void check_cached_superslab(struct check *check, uint32_t first) {
    const struct hak_large *large = hak_large_at(first);
    const uint32_t granules = large->granules;
    if (!equal(check, "cached SuperSlab has 16 or 32 granules at a multiple of their number",
               (granules == 16 || granules == 32) && first % granules == 0, true, large))
        return;
    const struct hak_superslab *record = hak_superslab_record(first);
    equal(check, "units of a cached SuperSlab that hold memory",
          (uint64_t)__builtin_popcount(record->dirty_mask), granules - large->clean, record);
}

static uint32_t cached_at(struct check *check, struct tiling *tiling, uint32_t granule) {
    const struct hak_large *large = hak_large_at(granule);
    tiling->cached++;
    tiling->cached_bytes += (size_t)large->granules << HAK_GRANULE_SHIFT;
    if (!equal(check, "cached span begins where its page map entry says", large->span, granule,
               large))
        return 1;
    if (!at_most(check, "cached span ends below the top", (uint64_t)granule + large->granules,
                 check->top, large))
        return 1;
    uint32_t last = granule + large->granules - 1;
    equal(check, "cached span's last entry leads to its first", hak_large_at(last)->span, granule,
          large);
    check_inside(check, granule, large->granules, large->granules > 1 ? 2 : 1);
    tiling->clean += large->clean;
    at_most(check, "clean granules of a cached span", large->clean,
            large->is_superslab ? large->granules - 1 : 0, large);
    if (large->is_superslab) check_cached_superslab(check, granule);
    equal(check, "cached span's neighbour is not cached, or one of them is a SuperSlab's",
          last + 1 < check->top && hak_kind_of(last + 1) == HAK_KIND_CACHED &&
              !large->is_superslab && !hak_large_at(last + 1)->is_superslab,
          false, large);
    return large->granules;
}

/* The length of a taken span that belongs to no block: the kernel took its memory. */
static uint32_t taken_at(struct tiling *tiling, uint32_t granule) {
    if (hak_kind_of(granule) != HAK_KIND_TAKEN) return 0;
    uint32_t count = hak_large_at(granule)->granules;
    tiling->lost += count;
    return count;
}

/* The record of a large block lies in the page map entry of the header's granule. If the block is
 * aligned, this may be a granule after the span's first, whose kind is HAK_KIND_TAKEN then. */
static uint32_t large_at(struct check *check, struct tiling *tiling, uint32_t granule) {
    while (tiling->ahead < check->top &&
           (hak_kind_of(tiling->ahead) == HAK_KIND_NONE ||
            (hak_kind_of(tiling->ahead) == HAK_KIND_TAKEN && tiling->ahead == granule)))
        tiling->ahead++;
    if (tiling->ahead == check->top || hak_kind_of(tiling->ahead) != HAK_KIND_LARGE) return 0;
    const struct hak_large *large = hak_large_at(tiling->ahead);
    if (large->first != granule) return 0;
    tiling->large_blocks++;
    tiling->large_bytes += large->size;
    tiling->large_mapped += (size_t)large->granules << HAK_GRANULE_SHIFT;
    equal(check, "large block's record", hak_granule_of((char *)large->user - 1), tiling->ahead,
          large);
    equal(check, "large block's header", hak_header_of(large->user), HAK_HEADER_LARGE, large->user);
    equal(check, "granules in the first page map entry of a large block",
          hak_large_at(granule)->granules, large->granules, large);
    at_most(check, "large block ends in its span", large->size, hak_large_usable(large), large);
    check_inside(check, granule, large->granules, tiling->ahead == granule ? 1 : 2);
    return large->granules;
}

static const struct hak_superslab *superslab_at(uint32_t granule) {
    if (granule % 16 != 0) return NULL;
    const struct hak_superslab *ss = hak_superslab_record(granule);
    return atomic_load_explicit(&ss->in_use, memory_order_acquire) ? ss : NULL;
}

/* The length in granules of what begins at `granule`; 0: nothing begins there. */
static uint32_t piece_at(struct check *check, struct tiling *tiling, uint32_t granule) {
    const struct hak_superslab *ss = superslab_at(granule);
    if (tiling->ahead < granule) tiling->ahead = granule;
    if (ss != NULL) {
        tiling->superslabs++;
        tiling->superslab_bytes += hak_superslab_bytes(ss);
        return ss->units;
    }
    enum hak_kind kind = hak_kind_of(granule);
    if (kind == HAK_KIND_FREE_SPAN || kind == HAK_KIND_HOLE)
        return free_span_at(check, tiling, granule, kind);
    if (kind == HAK_KIND_CACHED) return cached_at(check, tiling, granule);
    uint32_t count = large_at(check, tiling, granule);
    return count > 0 ? count : taken_at(tiling, granule);
}

/* Free spans, holes, SuperSlabs, large and cached blocks fill the range without a gap, except for
 * granules that the kernel took, which the allocator counts. */
static void check_tiles(struct check *check, struct tiling *tiling) {
    uint32_t granule = HAK_GRANULE_FIRST;
    while (granule < check->top) {
        uint32_t count = piece_at(check, tiling, granule);
        if (count == 0) tiling->lost++;
        granule += count == 0 ? 1 : count;
    }
    equal(check, "the last thing in the range ends at the top", granule, check->top, NULL);
    equal(check, "granules in nothing = granules that the kernel took", tiling->lost,
          hak_large_stats().lost_bytes >> HAK_GRANULE_SHIFT, NULL);
}

static uint32_t count_listed(struct check *check, const struct hak_span_index *index,
                             enum hak_kind kind) {
    uint32_t listed = 0;
    for (unsigned list = 0; list < HAK_SPAN_LISTS; list++) {
        uint32_t last = 0;
        for (uint32_t granule = index->lists[list]; granule != 0; listed++) {
            if (!at_most(check, "listed free span is below the top", granule + 1, check->top, NULL))
                break;
            const struct hak_free_span *span = hak_map_entry(granule);
            if (!equal(check, "listed free span's kind", hak_kind_of(granule), kind, span)) break;
            if (!equal(check, "listed free span's back link", span->prev, last, span)) break;
            equal(check, "free span is in the list of its length", hak_span_list_of(span->count),
                  list, span);
            last = granule;
            granule = span->next;
        }
        equal(check, "bit of a list with free spans", index->nonempty[list / 64] >> (list % 64) & 1,
              index->lists[list] != 0, NULL);
    }
    return listed;
}

static void check_free_lists(struct check *check, const struct tiling *tiling) {
    struct hak_range_state state = hak_range_state();
    uint32_t free_spans = count_listed(check, state.free, HAK_KIND_FREE_SPAN);
    uint32_t holes = count_listed(check, state.holes, HAK_KIND_HOLE);
    equal(check, "listed free spans = free spans", free_spans, tiling->free_spans, NULL);
    equal(check, "listed holes = holes", holes, tiling->holes, NULL);
    equal(check, "bytes of holes", state.hole_bytes, tiling->hole_bytes, NULL);
}

static void check_kept(struct check *check, size_t granules) {
    const uint32_t dirty_top = hak_range_state().dirty_top;
    if (dirty_top > check->top) granules += dirty_top - check->top;
    equal(check, "bytes of free spans that may hold memory", hak_range_kept(),
          granules << HAK_GRANULE_SHIFT, NULL);
    equal(check, "the policy and the range agree whether memory is kept", hak_range_keeps(),
          hak_policy_keeps(hak_policy()), NULL);
}

static void check_large_figures(struct check *check, const struct tiling *tiling) {
    struct hak_large_stats stats = hak_large_stats();
    check->result->large = tiling->large_blocks;
    equal(check, "live large blocks", stats.live_blocks, tiling->large_blocks, NULL);
    equal(check, "bytes of live large blocks", stats.requested_bytes, tiling->large_bytes, NULL);
    equal(check, "bytes of their spans", stats.mapped_bytes, tiling->large_mapped, NULL);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static const struct hak_large *cached_entry(struct check *check, uint32_t granule) {
    if (!at_most(check, "the cache's entry is below the top", granule + 1, check->top, NULL))
        return NULL;
    const struct hak_large *large = hak_large_at(granule);
    return equal(check, "the cache's entry is cached", hak_kind_of(granule), HAK_KIND_CACHED, large)
               ? large
               : NULL;
}

static uint32_t check_list(struct check *check, const struct hak_span_index *index, unsigned list) {
    uint32_t entries = 0, last = 0;
    equal(check, "bit of a list of the cache", index->nonempty[list / 64] >> (list % 64) & 1,
          index->lists[list] != 0, NULL);
    for (uint32_t granule = index->lists[list]; granule != 0; entries++) {
        const struct hak_large *large = cached_entry(check, granule);
        if (large == NULL || !equal(check, "the cache's back link", large->previous, last, large))
            break;
        equal(check, "the cache's entry is in the list of its length",
              hak_span_list_of(large->granules), list, large);
        last = granule;
        granule = large->next;
    }
    return entries;
}

static void check_cache(struct check *check, const struct tiling *tiling) {
    struct hak_cache_state state = hak_cache_state();
    uint32_t listed = 0, aged = 0, last = 0;
    for (unsigned list = 0; list < HAK_SPAN_LISTS; list++)
        listed += check_list(check, state.by_length, list);
    for (uint32_t granule = state.newest; granule != 0; aged++) {
        const struct hak_large *large = cached_entry(check, granule);
        if (large == NULL ||
            !equal(check, "the cache's link to the newer", large->newer, last, large))
            break;
        last = granule;
        granule = large->older;
    }
    equal(check, "the cache's oldest entry", state.oldest, last, NULL);
    equal(check, "entries of the cache", state.entries, tiling->cached, NULL);
    equal(check, "entries in the cache's lists by length", listed, tiling->cached, NULL);
    equal(check, "entries in the cache's list by age", aged, tiling->cached, NULL);
    equal(check, "clean granules of the cache", state.clean, tiling->clean, NULL);
    equal(check, "bytes of the cache", hak_cache_bytes(), tiling->cached_bytes, NULL);
}

static void check_superslabs(struct check *check, const struct tiling *tiling) {
    uint32_t deferred = 0;
    for (const struct hak_superslab *ss = HAK_THREAD.deferred; ss != NULL; ss = ss->next)
        deferred++; /* given up by a heap that this thread has seized */
    equal(check, "SuperSlabs of heaps = SuperSlabs", check->owned + deferred, tiling->superslabs,
          NULL);
    equal(check, "SuperSlabs in the range = SuperSlabs in the table", tiling->superslabs,
          check->result->superslabs, NULL);
    equal(check, "bytes of SuperSlabs", hak_footprint_superslabs(), tiling->superslab_bytes, NULL);
}

void hak_check_range(struct check *check) {
    struct tiling tiling = {.ahead = HAK_GRANULE_FIRST};
    check_tiles(check, &tiling);
    check_free_lists(check, &tiling);
    check_kept(check, tiling.kept);
    check_large_figures(check, &tiling);
    check_cache(check, &tiling);
    check_superslabs(check, &tiling);
}
