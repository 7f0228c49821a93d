#include "core/large.h"

#include "core/cache.h"
#include "core/hooks.h"
#include "core/peak.h"

#define MOVE_MIN_BYTES ((size_t)128 << 10) /* of a span: below, copying is as fast as two calls */
#define COPY_MAX_BYTES ((size_t)64 << 20)  /* above, a copy might touch many fresh pages */
#define COPY_NEW_SHARE 4u     /* a copy is better only if it adds 1/4 or more to the block */
#define MOVED_MAX      4096u  /* each moved block is a kernel mapping of its own */
#define CUT_MAX        28672u /* each cut block costs the kernel a mapping, too */
#define CUT_SHARE      32u    /* a cut has to save 1/32 of the block or more */

static _Atomic uint32_t own_mappings, cut_blocks;
static _Atomic size_t live_blocks, requested_bytes, peak_blocks, peak_mapped_bytes;

/* The block that was marked last, because a program protects a block page by page: the granule of
 * its record, and, << 32, the number of its granules from that one on. 0: none. Set to 0 before
 * another block can have one of these granules. */
static _Atomic uint64_t marked_last;

static void marked_forget(const struct hak_large *large) {
    if ((large->renew & HAK_PAGES_MARKED) != 0)
        atomic_store_explicit(&marked_last, 0, memory_order_relaxed);
}

static size_t span_bytes(const struct hak_large *large) {
    return (size_t)large->granules << HAK_GRANULE_SHIFT;
}

static uintptr_t span_end(const struct hak_large *large) {
    return (uintptr_t)hak_granule_address(large->first) + span_bytes(large) - large->cut;
}

HAK_INLINE void count_live(size_t blocks, size_t bytes, size_t mapped) {
    size_t blocks_now =
        atomic_fetch_add_explicit(&live_blocks, blocks, memory_order_relaxed) + blocks;
    atomic_fetch_add_explicit(&requested_bytes, bytes, memory_order_relaxed);
    size_t mapped_now =
        atomic_fetch_add_explicit(&hak_footprint.large, mapped, memory_order_relaxed) + mapped;
    if ((ptrdiff_t)blocks > 0) hak_peak_raise(&peak_blocks, blocks_now);
    if ((ptrdiff_t)mapped > 0) hak_peak_raise(&peak_mapped_bytes, mapped_now);
}

/* The granules that a new span gets for a block that needs `need`. Equal lengths help the cache;
 * while memory is kept the cache is empty, and where addresses are scarce none are to be
 * wasted. */
static uint32_t granules_given(uint32_t need) {
    return hak_range_keeps() || hak_range_is_scarce() ? need : hak_large_round_up(need);
}

/* While memory is kept, all of a free span has memory: also the block's end that the program has
 * not asked for. */
HAK_COLD static void end_populate(const struct hak_large *large) {
    uintptr_t from = hak_round_up((uintptr_t)large->user + large->size, hak_os_page_size());
    if (from < span_end(large)) hak_os_populate((void *)from, span_end(large) - from);
}

/* Whether granules that leave the block's span get a fresh mapping. While memory is kept, a moved
 * block's mapping stays and is counted for ever. Then no more pages are moved, because a span of
 * several mappings cannot be moved. Properties that the program gave its pages never stay. */
static bool gets_fresh_mapping(const struct hak_large *large) {
    if (!large->renew) return false;
    if (!hak_range_keeps() || (large->renew & HAK_PAGES_MARKED) != 0) return true;
    hak_range_forbid_moves();
    return false;
}

/* Sets the length of the block's span, also in the page map entry of its first granule. */
static void granules_set(struct hak_large *large, uint32_t granules) {
    hak_large_at(large->first)->granules = granules;
    large->granules = granules;
}

/* Publishes a block in a taken span. Its record is the page map entry of the granule of its header
 * byte. `moved`: HAK_PAGES_... bits. */
static void *large_begin(uint32_t first, uint32_t granules, uint8_t moved, void *user,
                         size_t size) {
    uint32_t at = hak_granule_of((char *)user - 1);
    HAK_CHECK(at >= first && at < first + granules);
    struct hak_large *large = hak_large_at(at);
    HAK_CHECK(hak_large_at(first)->granules == granules); /* may be another entry */
    large->user = user;
    large->size = size;
    large->first = first;
    large->granules = granules;
    large->next = large->newer = large->older = 0;
    large->renew = moved;
    large->cut = 0;
    hak_header_set(user, HAK_HEADER_LARGE);
    hak_kind_set(at, HAK_KIND_LARGE);
    count_live(1, size, span_bytes(large));
    return user;
}

/* Where address space is scarce: unmaps the pages at the span's end that the block does not need.
 * It needs `needed` bytes from `user` on. */
static void large_cut(void *user, size_t needed) {
    struct hak_large *large = hak_large_at(hak_granule_of((char *)user - 1));
    size_t cut = span_end(large) - hak_round_up((uintptr_t)user + needed, hak_os_page_size());
    if (cut == 0 || cut >= HAK_GRANULE || cut < needed / CUT_SHARE) return;
    if (atomic_fetch_add_explicit(&cut_blocks, 1, memory_order_relaxed) < CUT_MAX &&
        hak_span_cut(large->first, large->granules, cut))
        large->cut = (uint16_t)cut;
    else
        atomic_fetch_sub_explicit(&cut_blocks, 1, memory_order_relaxed);
}

/* Maps the cut end of the block's span again. False: somebody else has a mapping there, or there is
 * no memory. */
static bool large_mend(struct hak_large *large) {
    if (!hak_span_mend(large->first, large->granules, large->cut)) return false;
    large->cut = 0;
    atomic_fetch_sub_explicit(&cut_blocks, 1, memory_order_relaxed);
    return true;
}

static void span_free_cut(uint32_t first, uint32_t granules, size_t cut) {
    atomic_fetch_sub_explicit(&cut_blocks, 1, memory_order_relaxed);
    hak_span_free_cut(first, granules, cut);
}

void *hak_large_alloc(size_t size, size_t align, bool *is_zero) {
    HAK_CHECK(hak_is_power_of_two(align));
    if (size > HAK_REQUEST_MAX || align > HAK_REQUEST_MAX - size) return NULL;
    if (align < HAK_ALIGNMENT) align = HAK_ALIGNMENT;
    /* else the pointer could be the span's end, which may be the range's, too */
    size_t needed = size > 0 ? size : 1;
    size_t total = hak_round_up(needed + align, HAK_GRANULE);
    if (total >> HAK_GRANULE_SHIFT >= hak_range.granules) return NULL;
    uint32_t granules = hak_large_round_up(hak_granules_for(total));
    uint32_t first = hak_cache_get(granules);
    const bool recycled = first != 0;
    if (recycled) granules = hak_large_at(first)->granules;
    if (!recycled) {
        first = hak_span_alloc(granules = granules_given(hak_granules_for(total)), 1);
        if (first == 0 && granules > hak_granules_for(total))
            first = hak_span_alloc(granules = hak_granules_for(total), 1);
        if (first == 0) return NULL;
        hak_cache_missed((size_t)granules << HAK_GRANULE_SHIFT);
    }
    uintptr_t start = (uintptr_t)hak_granule_address(first);
    void *user = (void *)hak_round_up(start + HAK_ALIGNMENT, align);
    HAK_CHECK((uintptr_t)user + needed <= start + ((size_t)granules << HAK_GRANULE_SHIFT));
    *is_zero = !recycled && !hak_span_is_dirty(first);
    large_begin(first, granules, 0, user, size);
    if (!recycled && hak_range_is_scarce()) large_cut(user, needed);
    return user;
}

static inline struct hak_large *large_find(const void *user) {
    uint32_t at = hak_granule_of((const char *)user - 1);
    struct hak_large *large = hak_large_at(at);
    return hak_kind_of(at) == HAK_KIND_LARGE && large->user == user ? large : NULL;
}

const struct hak_large *hak_large_find(const void *user) {
    return large_find(user);
}

/* Ends the block; its span is taken from here on. `first_entry`: the page map entry of the span's
 * first granule. Of two threads that free the block at once, one gets true. */
static inline bool large_end(struct hak_large *large, const struct hak_large *first_entry) {
    uint8_t expected = HAK_KIND_LARGE;
    uint8_t taken = first_entry == large ? HAK_KIND_TAKEN : HAK_KIND_NONE;
    hak_hook_release(&large->kind);
    if (!atomic_compare_exchange_strong_explicit(&large->kind, &expected, taken,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    hak_hook_acquire(&large->kind);
    return true;
}

/* Gives back the span of an ended block that must not wait in the cache. A moved or marked block
 * has a kernel mapping of its own, which counts against MOVED_MAX; a cut span is not all mapped;
 * and while memory is kept, the span waits in the range, for blocks of any size. */
HAK_COLD static void span_give_back(struct hak_large *first_entry) {
    const uint32_t first = first_entry->first, granules = first_entry->granules;
    const bool is_cut = first_entry->cut != 0 && !(hak_range_keeps() && large_mend(first_entry)),
               renew = gets_fresh_mapping(first_entry);
    marked_forget(first_entry);
    if (renew) atomic_fetch_sub_explicit(&own_mappings, 1, memory_order_relaxed);
    if (is_cut) {
        span_free_cut(first, granules, first_entry->cut);
        return;
    }
    if (!renew) end_populate(first_entry);
    first_entry->renew = 0;
    hak_span_free(first, granules, renew);
}

bool hak_large_free(void *user, size_t budget, uint32_t now) {
    struct hak_large *large = large_find(user);
    if (large == NULL) return false;
    const uint32_t first = large->first;
    struct hak_large *first_entry = hak_large_at(first);
    if (!large_end(large, first_entry)) return false;
    hak_header_set(user, HAK_HEADER_LARGE & ~HAK_HEADER_LIVE_BIT);
    count_live((size_t)-1, -large->size, -span_bytes(large));
    if (first_entry != large) {
        first_entry->user = large->user;
        first_entry->size = large->size;
        first_entry->first = first;
        first_entry->granules = large->granules;
        first_entry->renew = large->renew;
        first_entry->cut = large->cut;
    }
    if (HAK_UNLIKELY((first_entry->renew | first_entry->cut) != 0) || hak_range_keeps())
        span_give_back(first_entry);
    else
        hak_cache_put(first, budget, now);
    return true;
}

size_t hak_large_usable(const struct hak_large *large) {
    return span_end(large) - (uintptr_t)large->user;
}

/* Gives back the granules at the end that `size` bytes do not need, if they are a quarter or
 * more. */
static void large_shrink(struct hak_large *large, size_t size) {
    uint32_t need = hak_large_round_up(hak_granules_for(
        (uintptr_t)large->user + size - (uintptr_t)hak_granule_address(large->first)));
    if (need > large->granules / 4 * 3 || need >= large->granules) return;
    uint32_t spare = large->granules - need;
    marked_forget(large);
    if (HAK_UNLIKELY(large->cut != 0) && hak_range_keeps()) large_mend(large);
    const size_t cut = large->cut;
    hak_span_set_taken(large->first + need, spare);
    large->cut = 0;
    granules_set(large, need);
    count_live(0, 0, -((size_t)spare << HAK_GRANULE_SHIFT));
    if (HAK_UNLIKELY(cut != 0))
        span_free_cut(large->first + need, spare, cut);
    else
        hak_span_free(large->first + need, spare, gets_fresh_mapping(large));
}

/* Extends the block's span into the free or cached granules behind it. */
static bool span_extend(const struct hak_large *large, uint32_t more) {
    return hak_span_extend(large->first, large->granules, more) ||
           hak_cache_extend(large->first, large->granules, more);
}

/* The granules that were added behind a moved block join its mapping if possible, because any
 * kernel can move a single mapping. False: they are lost. */
static bool large_stretch(struct hak_large *large, uint32_t before, uint32_t after) {
    HAK_CHECK(large->renew && after > before);
    enum hak_moved moved =
        hak_os.stretch(hak_granule_address(large->first), (size_t)before << HAK_GRANULE_SHIFT,
                       (size_t)after << HAK_GRANULE_SHIFT);
    if (moved != HAK_NOT_MOVED_TO_LOST) return true;
    hak_span_set_taken(large->first + before, after - before);
    granules_set(large, before);
    hak_span_lose(large->first + before, after - before);
    return false;
}

/* Whether added granules join the block's mapping. Not while memory is kept: they would lose their
 * memory. Then no more pages are moved. */
static bool joins_mapping(const struct hak_large *large) {
    if (!large->renew) return false;
    if (!hak_range_keeps()) return true;
    hak_range_forbid_moves();
    return false;
}

static bool large_extend(struct hak_large *large, size_t size) {
    size_t bytes = (uintptr_t)large->user + size - (uintptr_t)hak_granule_address(large->first);
    if (bytes >> HAK_GRANULE_SHIFT >= hak_range.granules) return false;
    uint32_t need = hak_granules_for(bytes);
    const uint32_t wanted = granules_given(need), before = large->granules;
    HAK_ASSERT(need > before);
    if (!span_extend(large, wanted - before) && !span_extend(large, need - before)) return false;
    const uint32_t after = hak_large_at(large->first)->granules;
    if (joins_mapping(large) && !large_stretch(large, before, after)) return false;
    granules_set(large, after);
    HAK_ASSERT(large->granules >= need);
    count_live(0, 0, (size_t)(large->granules - before) << HAK_GRANULE_SHIFT);
    return true;
}

/* Where the new part is large enough, a copy into a cached span costs less than the new part's page
 * faults, if the cached span's pages are resident, as they mostly are. */
static bool copy_is_better(const struct hak_large *large, size_t size) {
    size_t usable = hak_large_usable(large);
    HAK_ASSERT(size > usable);
    if (size > COPY_MAX_BYTES || size - usable < usable / COPY_NEW_SHARE) return false;
    return hak_cache_has(hak_large_round_up(hak_granules_for(size + HAK_ALIGNMENT)));
}

static void span_not_moved_to(enum hak_moved why, uint32_t first, uint32_t granules) {
    HAK_CHECK(why != HAK_MOVED && granules > 0);
    if (why == HAK_MOVE_REFUSED) hak_range_forbid_moves();
    if (why == HAK_NOT_MOVED_TO_LOST)
        hak_span_lose(first, granules);
    else
        hak_span_free(first, granules, why == HAK_NOT_MOVED);
}

/* Moves the pages of a block that lies at the start of its span to the start of a new span. NULL:
 * the block is as before. */
static void *large_move(struct hak_large *large, size_t size) {
    uintptr_t from = (uintptr_t)hak_granule_address(large->first);
    const size_t offset = (uintptr_t)large->user - from, bytes = span_bytes(large);
    HAK_ASSERT(large->cut == 0 && size > hak_large_usable(large));
    if (bytes < MOVE_MIN_BYTES || offset != HAK_ALIGNMENT || !hak_range_may_move())
        return HAK_LARGE_COPY;
    if (hak_range_keeps()) return HAK_LARGE_COPY; /* the old span would have no memory */
    if (copy_is_better(large, size)) return HAK_LARGE_COPY;
    if (atomic_fetch_add_explicit(&own_mappings, 1, memory_order_relaxed) >= MOVED_MAX)
        goto not_moved;
    size_t total = size + offset;
    if (total >> HAK_GRANULE_SHIFT >= hak_range.granules) goto not_moved;
    uint32_t granules = hak_large_round_up(hak_granules_for(total));
    uint32_t first = hak_span_alloc(granules, 1);
    if (first == 0) goto not_moved;
    char *to = hak_granule_address(first);
    const struct hak_large old = *large;
    marked_forget(large);
    /* Before the move: nobody may find a block whose pages may be gone. */
    bool ended = large_end(large, hak_large_at(large->first));
    HAK_CHECK(ended); /* else another thread frees the block at the same time */
    enum hak_moved moved =
        hak_os.move((void *)from, bytes, to, (size_t)granules << HAK_GRANULE_SHIFT);
    if (moved != HAK_MOVED) {
        hak_kind_set(old.first, HAK_KIND_LARGE);
        span_not_moved_to(moved, first, granules);
        goto not_moved;
    }
    hak_hook_large_left(old.user);
    if (old.renew) atomic_fetch_sub_explicit(&own_mappings, 1, memory_order_relaxed);
    count_live((size_t)-1, -old.size, -span_bytes(&old));
    hak_span_free_unmapped(old.first, old.granules);
    return large_begin(first, granules, HAK_PAGES_MOVED | (old.renew & HAK_PAGES_MARKED),
                       to + offset, size);

not_moved:
    atomic_fetch_sub_explicit(&own_mappings, 1, memory_order_relaxed);
    return HAK_LARGE_COPY;
}

void *hak_large_resize(void *user, size_t size) {
    struct hak_large *large = large_find(user);
    HAK_CHECK(large != NULL);
    if (size > HAK_REQUEST_MAX) return HAK_LARGE_COPY;
    if (HAK_UNLIKELY(large->cut != 0) && size > hak_large_usable(large) && !large_mend(large))
        return HAK_LARGE_COPY;
    if (size <= hak_large_usable(large))
        large_shrink(large, size);
    else if (!large_extend(large, size))
        return large_move(large, size);
    count_live(0, size - large->size, 0);
    large->size = size;
    return user;
}

/* The granule, or else the nearest one before it that has a kind. */
static uint32_t described_before(uint32_t granule) {
    const uint64_t last = atomic_load_explicit(&marked_last, memory_order_relaxed);
    const uint32_t at = (uint32_t)last;
    if (granule - at < last >> 32) return at;
    while (granule > HAK_GRANULE_FIRST && hak_kind_of(granule) == HAK_KIND_NONE)
        granule--;
    return granule;
}

static void mark(uint32_t at, uint32_t granule) {
    struct hak_large *large = hak_large_at(at);
    if (hak_kind_of(at) != HAK_KIND_LARGE || granule >= large->first + large->granules) return;
    if (!large->renew) atomic_fetch_add_explicit(&own_mappings, 1, memory_order_relaxed);
    large->renew |= HAK_PAGES_MARKED;
    const uint64_t granules = large->first + large->granules - at;
    hak_hook_atomic(&marked_last, sizeof marked_last);
    atomic_store_explicit(&marked_last, granules << 32 | at, memory_order_relaxed);
}

void hak_large_mark_pages(const void *start, size_t bytes) {
    const uintptr_t from = (uintptr_t)start & ~(uintptr_t)(HAK_ALIGNMENT - 1);
    uintptr_t end, range_end = atomic_load_explicit(&hak_range.base, memory_order_relaxed) +
                               (atomic_load_explicit(&hak_range.end, memory_order_relaxed) << 4);
    if (bytes == 0 || !hak_range_has((const void *)from)) return;
    if (__builtin_add_overflow((uintptr_t)start, bytes, &end) || end > range_end) end = range_end;
    const uint32_t first = hak_granule_of((const void *)from),
                   last = hak_granule_of((const void *)(end - 1));
    mark(described_before(first), first);
    for (uint32_t granule = first + 1; granule <= last; granule++)
        mark(granule, granule);
}

struct hak_large_stats hak_large_stats(void) {
    return (struct hak_large_stats){
        .live_blocks = atomic_load_explicit(&live_blocks, memory_order_relaxed),
        .requested_bytes = atomic_load_explicit(&requested_bytes, memory_order_relaxed),
        .mapped_bytes = atomic_load_explicit(&hak_footprint.large, memory_order_relaxed),
        .peak_blocks = atomic_load_explicit(&peak_blocks, memory_order_relaxed),
        .peak_mapped_bytes = atomic_load_explicit(&peak_mapped_bytes, memory_order_relaxed),
        .lost_bytes = hak_range_lost(),
    };
}
