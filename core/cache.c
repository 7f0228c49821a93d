#include "core/cache.h"

#include "core/cache_parts.h"
#include "core/hooks.h"
#include "core/range_child.h"

/* However much is asked for again, the cache exceeds its budget by at most so many bytes, or by a
 * quarter of what live large blocks have, if that is more. */
#define EARNED_MAX   ((size_t)128 << 20)
#define EARNED_SHARE 4u

/* A span that does not fit goes back to the range at once; when it is used again, each page costs a
 * page fault. So if memory is asked for soon after other memory went to the range, the cache may
 * hold more than its budget, for as long as this is used: see hak_cache_evict(). All in bytes,
 * except `aged`. */
static struct {
    size_t earned; /* the cache may hold so much more */
    /* These count from the time `aged` on, in milliseconds, when `earned` was last set anew. */
    size_t spilled; /* went to the range for want of room, and was not asked for again */
    size_t used;    /* the most that the cache held beyond its budget, or that was earned */
    uint32_t aged;
} earning;

/* The most that may be earned. */
static size_t earned_most(void) {
    const size_t share =
        atomic_load_explicit(&hak_footprint.large, memory_order_relaxed) / EARNED_SHARE;
    return share > EARNED_MAX ? share : EARNED_MAX;
}

static struct hak_lock *const cache_lock = &hak_locks[HAK_RANK_CACHE];

/* Read without the lock, too, as hints. */
static size_t earned_now(void) {
    return __atomic_load_n(&earning.earned, __ATOMIC_RELAXED);
}

static size_t spilled_now(void) {
    return __atomic_load_n(&earning.spilled, __ATOMIC_RELAXED);
}

static void earned_set(size_t bytes) {
    __atomic_store_n(&earning.earned, bytes, __ATOMIC_RELAXED);
}

static void spilled_set(size_t bytes) {
    __atomic_store_n(&earning.spilled, bytes, __ATOMIC_RELAXED);
}

/* So many bytes go to the range for want of room. If they are the first, a period begins. */
static void spilled_add(size_t bytes, uint32_t now) {
    if (spilled_now() == 0 && earned_now() == 0) earning.aged = now;
    spilled_set(spilled_now() + bytes);
}

/* What counts in the budget. Where addresses are scarce, or all mapped memory counts, that is
 * all. */
static size_t counted_bytes(bool scarce) {
    return (size_t)(cache->granules - (scarce ? 0 : cache->clean)) << HAK_GRANULE_SHIFT;
}

/* Takes the entries out that are too old, then the oldest until `leave` bytes are left that count.
 * Returns the first of the pieces, which are chained through `next`; 0: there are none. */
static uint32_t entries_evict(uint32_t now, uint32_t older_than_ms, size_t leave) {
    const bool scarce = hak_range_is_scarce();
    uint32_t evicted = 0;
    while (cache->oldest != 0) {
        const size_t bytes = counted_bytes(scarce);
        bool is_old = hak_is_older(hak_large_at(cache->oldest)->since, now, older_than_ms);
        if (!is_old && bytes <= leave) break;
        uint32_t piece =
            hak_cache_take_oldest(is_old ? UINT32_MAX : hak_granules_for(bytes - leave));
        hak_large_at(piece)->next = evicted;
        evicted = piece;
    }
    return evicted;
}

/* A span of the caller goes to the range. Where that keeps its memory, all of a free span has
 * some. */
static void span_to_range(uint32_t first) {
    const uint32_t granules = hak_large_at(first)->granules;
    if (hak_range_keeps())
        hak_os_populate(hak_granule_address(first), (size_t)granules << HAK_GRANULE_SHIFT);
    hak_span_free(first, granules, false);
}

static size_t evicted_to_range(uint32_t evicted) {
    size_t bytes = 0;
    while (evicted != 0) {
        const struct hak_large *large = hak_large_at(evicted);
        uint32_t next = large->next;
        bytes += hak_cached_bytes_of(large);
        span_to_range(evicted);
        evicted = next;
    }
    return bytes;
}

#define EVICTED_SHARE 32u /* if the budget is exceeded, 1/32 more is evicted */

/* Bytes that the cache may hold. */
static inline size_t most_of(size_t budget) {
    const size_t earned = earned_now(), most = earned_most();
    if (budget == 0) return 0;
    return hak_range_cached_most(budget + (earned < most ? earned : most));
}

/* The cache may hold more than its budget. Evicts what it may not hold, and a little more, or each
 * span that comes next would evict. */
HAK_NOINLINE static uint32_t budget_enforce(size_t budget, uint32_t now) {
    const bool scarce = hak_range_is_scarce();
    const size_t most = most_of(budget), bytes = counted_bytes(scarce);
    uint32_t evicted = 0;
    if (bytes > most) evicted = entries_evict(0, UINT32_MAX, most - most / EVICTED_SHARE);
    const size_t left = counted_bytes(scarce);
    HAK_ASSERT(left <= bytes);
    if (bytes > left) spilled_add(bytes - left, now);
    if (left > budget && left - budget > earning.used) earning.used = left - budget;
    return evicted;
}

/* A span of which so many bytes count does not enter the cache. If these are too many for any
 * cache, nothing was missed. */
HAK_NOINLINE static void refuse(uint32_t first, size_t counted, size_t budget, uint32_t now) {
    if (budget > 0 && counted <= budget + earned_most()) {
        hak_lock_take(cache_lock);
        spilled_add(counted, now);
        hak_lock_drop(cache_lock);
    }
    span_to_range(first);
}

/* Under the lock. Returns the first of the spans that leave the cache. */
HAK_INLINE uint32_t insert(uint32_t first, size_t budget, size_t most, uint32_t now) {
    hak_cache_insert(first, now);
    hak_footprint_peak_update_above(hak_cache_balance());
    const bool is_over = (size_t)cache->granules << HAK_GRANULE_SHIFT > most;
    return HAK_UNLIKELY(is_over) ? budget_enforce(budget, now) : 0;
}

void hak_cache_put(uint32_t first, size_t budget, uint32_t now) {
    struct hak_large *large = hak_large_at(first);
    const size_t bytes = hak_cached_bytes_of(large), most = hak_range_cached_most(budget);
    HAK_CHECK(large->first == first);
    if (HAK_UNLIKELY(bytes > most) && bytes > most_of(budget)) {
        refuse(first, bytes, budget, now);
        return;
    }
    large->clean = 0;
    large->is_superslab = false;
    hak_lock_take(cache_lock);
    const uint32_t evicted = insert(first, budget, most, now);
    hak_lock_drop(cache_lock);
    if (HAK_UNLIKELY(evicted != 0)) evicted_to_range(evicted);
}

/* Under the lock, or the child of a fork could count the SuperSlab neither way. */
static void superslab_leaves(uint32_t first) {
    _Atomic uint8_t *in_use = hak_superslab_in_use(first);
    hak_hook_release(in_use);
    atomic_store_explicit(in_use, 0, memory_order_release);
}

void hak_cache_put_superslab(uint32_t first, uint32_t dirty, size_t budget, uint32_t now) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->first == first && dirty > 0 && dirty <= large->granules);
    HAK_CHECK((size_t)dirty << HAK_GRANULE_SHIFT <= budget);
    large->clean = large->granules - dirty;
    large->is_superslab = true;
    hak_lock_take(cache_lock);
    superslab_leaves(first);
    const uint32_t evicted = insert(first, budget, hak_range_cached_most(budget), now);
    hak_lock_drop(cache_lock);
    evicted_to_range(evicted);
}

void hak_cache_missed(size_t bytes) {
    if (spilled_now() == 0) return;
    hak_lock_take(cache_lock);
    const size_t spilled = spilled_now(), earned = earned_now(), most = earned_most(),
                 more = earned < most ? most - earned : 0;
    if (bytes > spilled) bytes = spilled;
    spilled_set(spilled - bytes);
    earned_set(earned + (bytes < more ? bytes : more));
    if (bytes > 0 && earned_now() > earning.used) earning.used = earned_now();
    hak_lock_drop(cache_lock);
}

/* Sets `earned` anew: see hak_cache_evict. */
static void earned_age(uint32_t now, uint32_t period_ms) {
    if (period_ms != 0 && !hak_is_older(earning.aged, now, period_ms)) return;
    if (period_ms == 0 || hak_is_older(earning.aged, now, 2 * period_ms))
        earning.used = 0; /* what was before is too long ago */
    if (earning.used < earned_now()) earned_set(earning.used);
    spilled_set(0);
    earning.used = 0;
    earning.aged = now;
}

struct hak_cached hak_cache_get_aligned(uint32_t count, uint32_t longest, const void *of) {
    struct hak_cached found = {.first = 0};
    HAK_CHECK(hak_is_power_of_two(count) && count >= 16);
    if (hak_cache_bytes() == 0) return found;
    hak_lock_take(cache_lock);
    found = hak_cache_take_aligned(count, longest, of);
    hak_lock_drop(cache_lock);
    HAK_ASSERT(found.first % count == 0);
    return found;
}

uint32_t hak_cache_get(uint32_t granules) {
    HAK_CHECK(granules > 0);
    if (hak_cache_bytes() == 0) return 0;
    hak_lock_take(cache_lock);
    uint32_t first = hak_cache_take(granules);
    hak_lock_drop(cache_lock);
    HAK_ASSERT(first == 0 || hak_large_at(first)->granules >= granules);
    return first;
}

bool hak_cache_has(uint32_t granules) {
    if (hak_cache_bytes() == 0) return false;
    hak_lock_take(cache_lock);
    bool has = hak_cache_has_entry(granules);
    hak_lock_drop(cache_lock);
    return has;
}

bool hak_cache_extend(uint32_t span, uint32_t count, uint32_t granules) {
    HAK_CHECK(span > 0 && count > 0 && granules > 0);
    const uint32_t first = span + count;
    if (hak_cache_bytes() == 0) return false;
    hak_lock_take(cache_lock);
    bool found = hak_cache_take_from(first, granules);
    if (found) {
        hak_large_at(span)->granules = count + granules;
        hak_kind_set(first, HAK_KIND_NONE); /* a part of the other span now */
    }
    hak_lock_drop(cache_lock);
    return found;
}

size_t hak_cache_evict(uint32_t now, uint32_t older_than_ms, size_t leave) {
    if (hak_cache_bytes() == 0 && earned_now() == 0 && spilled_now() == 0) return 0;
    hak_lock_take(cache_lock);
    uint32_t evicted = entries_evict(now, older_than_ms, leave);
    earned_age(now, older_than_ms == UINT32_MAX ? 0 : older_than_ms);
    hak_lock_drop(cache_lock);
    return evicted_to_range(evicted);
}

uint32_t hak_cache_entries(void) {
    hak_lock_take(cache_lock);
    uint32_t entries = cache->entries;
    hak_lock_drop(cache_lock);
    return entries;
}

size_t hak_cache_earned(void) {
    return earned_now();
}

/* Bytes of the SuperSlabs in use. A thread that does not exist here may have been about to count
 * one. */
static size_t superslab_bytes(void) {
    size_t granules = 0;
    const uint32_t top = hak_range_is_there() ? hak_range_top() : 0;
    for (uint32_t first = 0; first < top; first += 16)
        granules += hak_superslab_units_at(first);
    return granules << HAK_GRANULE_SHIFT;
}

/* In a child of fork: the cache is empty from here on. The range finds the spans that were cached
 * as free granules. */
static void cache_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(cache_lock) && hak_lock_is_stale(cache_lock));
    hak_os_zero(cache, sizeof *cache);
    earned_set(0);
    spilled_set(0);
    earning.used = 0;
    __atomic_store_n(&hak_footprint.cached, 0, __ATOMIC_RELAXED);
    hak_range_rebuild();
    atomic_store_explicit(&hak_footprint.superslabs, superslab_bytes(), memory_order_relaxed);
    atomic_store_explicit(&hak_footprint.balance, 0, memory_order_relaxed);
}

void hak_cache_init(void) {
    hak_lock_init(HAK_RANK_CACHE, cache_rebuild);
    hak_hook_atomic(&earning.earned, sizeof earning.earned);
    hak_hook_atomic(&earning.spilled, sizeof earning.spilled);
}
