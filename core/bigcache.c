#include "core/bigcache.h"

#include "core/hooks.h"
#include "core/range_child.h"

#define FIRST_BUCKETS 64u

static struct {
    uint32_t *buckets; /* first granules; the table doubles, and the old one is never freed */
    uint32_t bucket_count;
    uint32_t bucket_shift; /* 32 - log2(bucket_count) */
    uint32_t entries;
    uint32_t newest, oldest;
} cache;

static struct hak_lock *const cache_lock = &hak_locks[HAK_RANK_BIGCACHE];

static size_t large_bytes(const struct hak_large *large) {
    return (size_t)large->granules << HAK_GRANULE_SHIFT;
}

static uint32_t *bucket_of(uint32_t granules) {
    return &cache.buckets[(granules * 0x9e3779b1u) >> cache.bucket_shift];
}

static void bytes_add(size_t change) {
    size_t now = atomic_load_explicit(&hak_held.bigcache, memory_order_relaxed) + change;
    atomic_store_explicit(&hak_held.bigcache, now, memory_order_relaxed);
}

static void bucket_insert(uint32_t first) {
    uint32_t *bucket = bucket_of(hak_large_at(first)->granules);
    hak_large_at(first)->next = *bucket;
    hak_large_at(first)->previous = 0;
    if (*bucket != 0) hak_large_at(*bucket)->previous = first;
    *bucket = first;
}

static void bucket_remove(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    uint32_t *bucket = bucket_of(large->granules);
    HAK_CHECK(large->previous != 0 || *bucket == first);
    if (large->previous != 0)
        hak_large_at(large->previous)->next = large->next;
    else
        *bucket = large->next;
    if (large->next != 0) hak_large_at(large->next)->previous = large->previous;
}

/* Marks both ends of a cached span, so that its neighbours find it. ends_unmark: the span is taken
 * from here on. */
static void ends_mark(uint32_t first) {
    uint32_t last = first + hak_large_at(first)->granules - 1;
    hak_large_at(first)->span = hak_large_at(last)->span = first;
    hak_kind_set(first, HAK_KIND_CACHED);
    hak_kind_set(last, HAK_KIND_CACHED);
}

static void ends_unmark(uint32_t first) {
    uint32_t last = first + hak_large_at(first)->granules - 1;
    hak_kind_set(last, HAK_KIND_NONE);
    hak_kind_set(first, HAK_KIND_TAKEN);
}

static void age_remove(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    if (large->newer != 0)
        hak_large_at(large->newer)->older = large->older;
    else
        cache.newest = large->older;
    if (large->older != 0)
        hak_large_at(large->older)->newer = large->newer;
    else
        cache.oldest = large->newer;
}

/* Links an entry into the list by age, between the entries that it names as newer and older. */
static void age_link(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    if (large->newer != 0)
        hak_large_at(large->newer)->older = first;
    else
        cache.newest = first;
    if (large->older != 0)
        hak_large_at(large->older)->newer = first;
    else
        cache.oldest = first;
}

/* Puts an entry into the place of `old`, which ceases to be one, in the list by age. */
static void age_replace(uint32_t old, uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    large->since = hak_large_at(old)->since;
    large->newer = hak_large_at(old)->newer;
    large->older = hak_large_at(old)->older;
    age_link(first);
}

static void entry_insert(uint32_t first, uint32_t now) {
    struct hak_large *large = hak_large_at(first);
    large->since = now;
    large->newer = 0;
    large->older = cache.newest;
    age_link(first);
    bucket_insert(first);
    ends_mark(first);
    cache.entries++;
    bytes_add(large_bytes(large));
}

static void entry_remove(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(hak_kind_of(first) == HAK_KIND_CACHED && large->span == first);
    bucket_remove(first);
    age_remove(first);
    ends_unmark(first);
    large->next = large->previous = large->newer = large->older = 0;
    cache.entries--;
    bytes_add(-large_bytes(large));
    HAK_ASSERT((cache.entries == 0) == (hak_bigcache_bytes() == 0));
}

/* Takes the last granules off a cached block that has more. The rest keeps its age. */
static uint32_t entry_cut(uint32_t first, uint32_t granules) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->granules > granules);
    bucket_remove(first);
    ends_unmark(first);
    large->granules -= granules;
    ends_mark(first);
    bucket_insert(first);
    bytes_add(-((size_t)granules << HAK_GRANULE_SHIFT));
    hak_span_set_taken(first + large->granules, granules);
    return first + large->granules;
}

/* The same with its first granules. */
static void entry_cut_front(uint32_t first, uint32_t granules) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->granules > granules);
    uint32_t rest = first + granules;
    bucket_remove(first);
    ends_unmark(first);
    hak_large_at(rest)->first = rest;
    hak_large_at(rest)->granules = large->granules - granules;
    large->granules = granules;
    age_replace(first, rest);
    ends_mark(rest);
    bucket_insert(rest);
    large->next = large->previous = large->newer = large->older = 0;
    bytes_add(-((size_t)granules << HAK_GRANULE_SHIFT));
}

/* Two neighbours become one entry, as old as the longer of them. So a short block that is used all
 * the time does not keep a long old one in the cache, and a short old block does not evict a long
 * one that is used all the time. */
static void entries_join(uint32_t first, uint32_t behind) {
    struct hak_large *left = hak_large_at(first), *right = hak_large_at(behind);
    HAK_CHECK(first + left->granules == behind && left->span == first && right->span == behind);
    bucket_remove(first);
    bucket_remove(behind);
    ends_unmark(first);
    ends_unmark(behind);
    hak_kind_set(behind, HAK_KIND_NONE);
    if (left->granules >= right->granules) {
        age_remove(behind);
    } else {
        age_remove(first);
        age_replace(behind, first);
    }
    left->granules += right->granules;
    ends_mark(first);
    bucket_insert(first);
    cache.entries--;
}

static void join_neighbours(uint32_t first) {
    uint32_t behind = first + hak_large_at(first)->granules;
    if (hak_granule_is_there(behind) && hak_kind_of(behind) == HAK_KIND_CACHED)
        entries_join(first, behind);
    if (hak_kind_of(first - 1) == HAK_KIND_CACHED)
        entries_join(hak_large_at(first - 1)->span, first);
}

/* False: there is no table, and no memory for one. A table that cannot grow has longer chains. */
static bool table_grow(void) {
    if (cache.entries < cache.bucket_count) return true;
    uint32_t count = cache.bucket_count == 0 ? FIRST_BUCKETS : cache.bucket_count * 2;
    uint32_t *buckets = hak_metadata_alloc(count * sizeof *buckets);
    if (buckets == NULL) return cache.buckets != NULL;
    cache.buckets = buckets;
    /* release: a child of fork that sees the new count sees the new table */
    __atomic_store_n(&cache.bucket_count, count, __ATOMIC_RELEASE);
    cache.bucket_shift = 32 - hak_log2(count);
    for (uint32_t entry = cache.oldest; entry != 0; entry = hak_large_at(entry)->newer)
        bucket_insert(entry);
    return true;
}

/* Takes the oldest entry out of the cache; if it has more than `granules`, only the last
 * `granules`. */
static uint32_t oldest_take(uint32_t granules) {
    uint32_t piece = cache.oldest;
    if (hak_large_at(piece)->granules > granules) {
        piece = entry_cut(piece, granules);
    } else {
        entry_remove(piece);
    }
    return piece;
}

/* Takes the entries out that are too old, then the oldest until `keep` bytes are left. Returns the
 * first of the pieces, which are chained through `next`; 0: there are none. */
static uint32_t entries_evict(uint32_t now, uint32_t older_than_ms, size_t keep) {
    uint32_t evicted = 0;
    while (cache.oldest != 0) {
        size_t bytes = hak_bigcache_bytes();
        bool is_old = hak_is_older(hak_large_at(cache.oldest)->since, now, older_than_ms);
        if (!is_old && bytes <= keep) break;
        uint32_t piece = oldest_take(is_old ? UINT32_MAX : hak_granules_for(bytes - keep));
        hak_large_at(piece)->next = evicted;
        evicted = piece;
    }
    return evicted;
}

static size_t evicted_release(uint32_t evicted) {
    size_t bytes = 0;
    while (evicted != 0) {
        struct hak_large *large = hak_large_at(evicted);
        uint32_t next = large->next;
        bytes += large_bytes(large);
        hak_span_free(evicted, large->granules, false);
        evicted = next;
    }
    return bytes;
}

#define EVICTED_SHARE 32u /* if the budget is exceeded, 1/32 more is evicted */

void hak_bigcache_put(uint32_t first, size_t budget, uint32_t now) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->first == first && !large->renew);
    uint32_t evicted = 0;
    hak_lock_take(cache_lock);
    if (large_bytes(large) > budget || !table_grow()) {
        large->next = 0;
        evicted = first;
    } else {
        entry_insert(first, now);
        join_neighbours(first);
        hak_held_peak_update_above(hak_bigcache_bytes());
        if (hak_bigcache_bytes() > budget) /* by a little more, or each next block would evict */
            evicted = entries_evict(now, UINT32_MAX, budget - budget / EVICTED_SHARE);
    }
    hak_lock_drop(cache_lock);
    evicted_release(evicted);
}

static uint32_t bucket_find(uint32_t granules) {
    uint32_t entry = *bucket_of(granules);
    while (entry != 0 && hak_large_at(entry)->granules != granules)
        entry = hak_large_at(entry)->next;
    return entry;
}

#define FITS_TRIED 32

/* The shortest entry with more granules, among the FITS_TRIED newest; 0: there is none. */
static uint32_t fit_find(uint32_t granules) {
    uint32_t found = 0, length = UINT32_MAX;
    int tried = 0;
    for (uint32_t entry = cache.newest; entry != 0 && tried < FITS_TRIED;
         entry = hak_large_at(entry)->older) {
        uint32_t there = hak_large_at(entry)->granules;
        if (there > granules && there < length) {
            found = entry;
            length = there;
        }
        tried++;
    }
    return found;
}

/* An entry to be taken whole, because it has exactly this length or the next quantum. 0: none. */
static uint32_t whole_find(uint32_t granules) {
    uint32_t found = bucket_find(granules);
    if (found == 0 && granules > 8) found = bucket_find(hak_large_quantum(granules + 1));
    return found;
}

uint32_t hak_bigcache_get(uint32_t *granules) {
    const uint32_t wanted = *granules;
    HAK_CHECK(wanted > 0);
    if (hak_bigcache_bytes() == 0) return 0;
    uint32_t found = 0;
    hak_lock_take(cache_lock);
    if (cache.entries > 0) {
        found = whole_find(wanted);
        if (found != 0) {
            *granules = hak_large_at(found)->granules;
            entry_remove(found);
        } else {
            found = fit_find(wanted);
            if (found != 0) found = entry_cut(found, wanted);
        }
    }
    hak_lock_drop(cache_lock);
    HAK_ASSERT(found == 0 || *granules >= wanted);
    return found;
}

bool hak_bigcache_has(uint32_t granules) {
    if (hak_bigcache_bytes() == 0) return false;
    hak_lock_take(cache_lock);
    bool has = cache.entries > 0 && (whole_find(granules) != 0 || fit_find(granules) != 0);
    hak_lock_drop(cache_lock);
    return has;
}

bool hak_bigcache_extend(uint32_t span, uint32_t count, uint32_t granules) {
    HAK_CHECK(span > 0 && count > 0 && granules > 0);
    const uint32_t first = span + count;
    if (hak_bigcache_bytes() == 0) return false;
    hak_lock_take(cache_lock);
    bool found = hak_granule_is_there(first) && hak_kind_of(first) == HAK_KIND_CACHED &&
                 hak_large_at(first)->granules >= granules;
    HAK_CHECK(!found || hak_large_at(first)->span == first);
    if (found && hak_large_at(first)->granules > granules)
        entry_cut_front(first, granules);
    else if (found)
        entry_remove(first);
    if (found) {
        hak_large_at(span)->granules = count + granules;
        hak_kind_set(first, HAK_KIND_NONE); /* a part of the other span now */
    }
    hak_lock_drop(cache_lock);
    return found;
}

size_t hak_bigcache_release(uint32_t now, uint32_t older_than_ms, size_t keep) {
    if (hak_bigcache_bytes() == 0) return 0;
    hak_lock_take(cache_lock);
    uint32_t evicted = entries_evict(now, older_than_ms, keep);
    hak_lock_drop(cache_lock);
    return evicted_release(evicted);
}

struct hak_bigcache_state hak_bigcache_state(void) {
    return (struct hak_bigcache_state){.buckets = cache.buckets,
                                       .bucket_count = cache.bucket_count,
                                       .entries = cache.entries,
                                       .newest = cache.newest,
                                       .oldest = cache.oldest};
}

const uint32_t *hak_bigcache_bucket(uint32_t granules) {
    return bucket_of(granules);
}

uint32_t hak_bigcache_entries(void) {
    hak_lock_take(cache_lock);
    uint32_t entries = cache.entries;
    hak_lock_drop(cache_lock);
    return entries;
}

size_t hak_bigcache_bytes(void) {
    return atomic_load_explicit(&hak_held.bigcache, memory_order_relaxed);
}

/* In a child of fork: the cache is empty from here on. The range finds the spans that were cached
 * as free granules. */
static void cache_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(cache_lock) && hak_lock_is_lost(cache_lock));
    cache.entries = 0;
    cache.newest = cache.oldest = 0;
    /* The table may have been growing: the shift follows from the count, whichever was stored
     * last. */
    if (cache.buckets == NULL) cache.bucket_count = 0;
    cache.bucket_shift = cache.bucket_count == 0 ? 0 : 32 - hak_log2(cache.bucket_count);
    hak_os_zero(cache.buckets, cache.bucket_count * sizeof *cache.buckets);
    atomic_store_explicit(&hak_held.bigcache, 0, memory_order_relaxed);
    hak_range_rebuild();
}

void hak_bigcache_begin(void) {
    hak_lock_begin(HAK_RANK_BIGCACHE, cache_rebuild);
}
