#include "core/superslab_cache.h"

#include "core/hooks.h"

/* The most that the cache may hold at first. Larger bursts are rare, and the memory that a program
 * frees before it sleeps should not stay. */
#define CACHE_MIN_BYTES ((size_t)64 << 20)

/* The most that it may ever hold, however much is asked for again. */
#define CACHE_MAX_BYTES ((size_t)256 << 20)

/* Prefill stops here, and leaves the rest to SuperSlabs that heaps give up. */
#define PREFILL_MAX_BYTES ((size_t)16 << 20)

/* SuperSlabs that belong to no heap, in a list for each size (log2 of the bytes), most recently
 * retired first. A SuperSlab that does not fit goes back to the range at once; when it is used
 * again, each page costs a page fault. So if SuperSlabs are asked for soon after others went to the
 * range, the maximum `most` rises by their bytes, for as long as this is used: see
 * hak_superslab_cache_release(). */
static struct {
    struct hak_superslab *lists[HAK_SUPERSLAB_SHIFT + 1];
    size_t bytes, most;
    /* When `most` was last set anew, milliseconds. The next two fields count from then on. */
    uint32_t aged;
    size_t fullest; /* the most that `bytes` was, or that `most` was raised to */
    size_t missed;  /* bytes that went back to the range and were not asked for again */
} cache = {.most = CACHE_MIN_BYTES};

static struct hak_lock *const cache_lock = &hak_locks[HAK_RANK_CACHE];

/* The home of a SuperSlab that is in use, but belongs neither to a heap nor to the cache. */
static struct hak_home on_its_way;

static unsigned superslab_shift(const struct hak_superslab *ss) {
    return hak_log2(hak_superslab_bytes(ss));
}

static void cache_unlink(struct hak_superslab *ss) {
    if (ss->prev != NULL)
        ss->prev->next = ss->next;
    else
        cache.lists[superslab_shift(ss)] = ss->next;
    if (ss->next != NULL) ss->next->prev = ss->prev;
    ss->next = ss->prev = NULL;
    cache.bytes -= hak_superslab_bytes(ss);
}

#define FORMER_TRIED 16 /* SuperSlabs looked at for one that the same thread gave up */

/* Takes a SuperSlab that the thread of `owner` gave up, because the processor's caches may still
 * hold lines of its blocks; or else the most recent one. NULL: none. Under the cache's lock. */
static struct hak_superslab *cache_take(const struct hak_heap *owner, unsigned shift) {
    struct hak_superslab *found = cache.lists[shift], *ss = found;
    for (int tried = 0; tried < FORMER_TRIED && ss != NULL; tried++, ss = ss->next) {
        if (ss->former != owner) continue;
        found = ss;
        break;
    }
    if (found != NULL) cache_unlink(found);
    return found;
}

/* A SuperSlab came from the range, because the cache had none. The cache's maximum rises by its
 * bytes, as far as such bytes went to the range lately. */
static void cache_missed(size_t bytes) {
    hak_lock_take(cache_lock);
    if (bytes > cache.missed) bytes = cache.missed;
    cache.missed -= bytes;
    cache.most += bytes < CACHE_MAX_BYTES - cache.most ? bytes : CACHE_MAX_BYTES - cache.most;
    if (cache.most > cache.fullest && bytes > 0) cache.fullest = cache.most;
    hak_lock_drop(cache_lock);
}

/* A SuperSlab from the range, which the cache has missed. */
static struct hak_superslab *begin(struct hak_home *home, unsigned shift) {
    struct hak_superslab *ss = hak_superslab_begin(home, shift);
    if (ss != NULL) cache_missed(hak_superslab_bytes(ss));
    return ss;
}

/* Prepares a SuperSlab from the range or the cache for a heap. Of its former use it keeps its
 * addresses, `former`, and which units are dirty and since when. */
static void superslab_init(struct hak_superslab *ss, bool pool) {
    HAK_ASSERT(ss->free_mask == ss->usable_mask && (ss->dirty_mask & ~ss->usable_mask) == 0);
    HAK_ASSERT(ss->home != NULL && hak_superslab_is_used(ss));
    ss->next = ss->prev = NULL;
    ss->active = 0;
    ss->pool = pool;
}

/* A cached SuperSlab of this size or, if there is none, a smaller one that holds memory. Smaller
 * ones without memory stay: each pool arena begins with one. NULL: none. Under the cache's lock. */
static struct hak_superslab *cache_get(const struct hak_heap *owner, unsigned shift) {
    const struct hak_superslab *smaller = cache.lists[HAK_SUPERSLAB_SHIFT_MIN];
    struct hak_superslab *ss = cache_take(owner, shift);
    if (ss != NULL || smaller == NULL || smaller->dirty_mask == 0) return ss;
    return cache_take(owner, HAK_SUPERSLAB_SHIFT_MIN);
}

struct hak_superslab *hak_superslab_acquire(struct hak_home *home, unsigned shift, bool pool) {
    HAK_CHECK(shift == HAK_SUPERSLAB_SHIFT || shift == HAK_SUPERSLAB_SHIFT_MIN);
    hak_lock_take(cache_lock);
    struct hak_superslab *ss = cache_get(hak_home_owner(home), shift);
    if (ss != NULL) ss->home = home;
    hak_lock_drop(cache_lock);
    if (ss == NULL) ss = begin(home, shift);
    if (ss == NULL) return NULL;
    superslab_init(ss, pool);
    return ss;
}

static void cache_link(struct hak_superslab *ss) {
    struct hak_superslab **list = &cache.lists[superslab_shift(ss)];
    ss->prev = NULL;
    ss->next = *list;
    if (*list != NULL) (*list)->prev = ss;
    *list = ss;
    cache.bytes += hak_superslab_bytes(ss);
}

static void cache_put(struct hak_superslab *ss) {
    HAK_CHECK(ss->home != NULL);
    hak_lock_take(cache_lock);
    size_t bytes = hak_superslab_bytes(ss);
    /* While memory is kept, it lies in the range, for blocks of any size. A SuperSlab with a
     * foreign mapping is not worth caching. */
    bool keep = hak_superslab_is_whole(ss) &&
                cache.bytes + bytes <= hak_range_cached_most(cache.most) && !hak_range_keeps();
    if (keep) {
        ss->home = NULL;
        cache_link(ss);
        if (cache.bytes > cache.fullest) cache.fullest = cache.bytes;
    } else {
        cache.missed += bytes;
    }
    hak_lock_drop(cache_lock);
    if (!keep) hak_superslab_release(ss);
}

/* False if the cache has SuperSlabs that hold memory: these are to be used first. */
static bool prefill_is_wanted(void) {
    hak_lock_take(cache_lock);
    const struct hak_superslab *first = cache.lists[HAK_SUPERSLAB_SHIFT];
    bool wanted = cache.bytes < PREFILL_MAX_BYTES && (first == NULL || first->dirty_mask == 0);
    hak_lock_drop(cache_lock);
    return wanted;
}

void hak_superslab_prefill(uint32_t count) {
    uint32_t now = hak_os_now_ms();
    for (; count > 0 && prefill_is_wanted(); count--) {
        struct hak_superslab *ss = begin(&on_its_way, HAK_SUPERSLAB_SHIFT);
        if (ss == NULL) return;
        superslab_init(ss, true);
        ss->since = now;
        cache_put(ss);
    }
}

void hak_superslab_retire(struct hak_superslab *ss) {
    HAK_CHECK(ss->free_mask == ss->usable_mask && ss->active == 0);
    ss->former = hak_home_owner(ss->home);
    if (HAK_THREAD.seized_heap == NULL) {
        cache_put(ss);
        return;
    }
    ss->home = &on_its_way;
    ss->next = HAK_THREAD.deferred;
    HAK_THREAD.deferred = ss;
}

/* Takes SuperSlabs out of the cache and returns them as a list: those that the thread of `former`
 * gave up or, if it is NULL, those that have been free for `older_than_ms`. With 0 all are taken,
 * without a look at `since`: it is not set if the SuperSlab never had a slab. Under the cache's
 * lock. */
static struct hak_superslab *cache_take_old(const struct hak_heap *former, uint32_t now,
                                            uint32_t older_than_ms) {
    struct hak_superslab *old = NULL, *next;
    for (unsigned shift = 0; shift <= HAK_SUPERSLAB_SHIFT; shift++)
        for (struct hak_superslab *ss = cache.lists[shift]; ss != NULL; ss = next) {
            next = ss->next;
            bool is_young = older_than_ms != 0 && !hak_is_older(ss->since, now, older_than_ms);
            if (former != NULL ? ss->former != former : is_young) continue;
            cache_unlink(ss);
            ss->home = &on_its_way;
            ss->next = old;
            old = ss;
        }
    return old;
}

/* Sets the maximum anew: see hak_superslab_cache_release(). Under the cache's lock. */
static void cache_age(uint32_t now, uint32_t period_ms) {
    HAK_CHECK(cache.bytes <= cache.most && cache.most <= CACHE_MAX_BYTES);
    if (period_ms == 0 || hak_is_older(cache.aged, now, 2 * period_ms))
        cache.fullest = cache.bytes; /* what was before is too long ago */
    if (period_ms == 0 || hak_is_older(cache.aged, now, period_ms)) {
        cache.most = cache.fullest > CACHE_MIN_BYTES ? cache.fullest : CACHE_MIN_BYTES;
        cache.fullest = cache.bytes;
        cache.missed = 0;
        cache.aged = now;
    }
    HAK_CHECK(cache.bytes <= cache.most && cache.most >= CACHE_MIN_BYTES);
}

static size_t superslabs_release(struct hak_superslab *old) {
    size_t bytes = 0;
    while (old != NULL) {
        struct hak_superslab *next = old->next;
        bytes += hak_superslab_bytes(old);
        hak_superslab_release(old);
        old = next;
    }
    return bytes;
}

size_t hak_superslab_release_deferred(void) {
    struct hak_superslab *leaving = HAK_THREAD.deferred;
    HAK_THREAD.deferred = NULL;
    return superslabs_release(leaving);
}

size_t hak_superslab_cache_release(uint32_t now, uint32_t older_than_ms) {
    hak_lock_take(cache_lock);
    struct hak_superslab *old = cache_take_old(NULL, now, older_than_ms);
    cache_age(now, older_than_ms);
    hak_lock_drop(cache_lock);
    return superslabs_release(old);
}

size_t hak_superslab_cache_release_of(const struct hak_heap *former) {
    HAK_CHECK(former != NULL);
    hak_lock_take(cache_lock);
    struct hak_superslab *old = cache_take_old(former, 0, 0);
    hak_lock_drop(cache_lock);
    return superslabs_release(old);
}

const struct hak_superslab *hak_superslab_cache_first(unsigned shift) {
    HAK_CHECK(shift <= HAK_SUPERSLAB_SHIFT);
    return cache.lists[shift];
}

size_t hak_superslab_cache_most(void) {
    hak_lock_take(cache_lock);
    size_t most = cache.most;
    hak_lock_drop(cache_lock);
    return most;
}

size_t hak_superslab_cache_bytes(void) {
    hak_lock_take(cache_lock);
    size_t bytes = cache.bytes;
    hak_lock_drop(cache_lock);
    return bytes;
}

/* In a child of fork: the cached SuperSlabs are those that are in use and have no home. The raised
 * maximum and the missed bytes are forgotten. */
static void cache_rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(cache_lock));
    for (unsigned shift = 0; shift <= HAK_SUPERSLAB_SHIFT; shift++)
        cache.lists[shift] = NULL;
    cache.bytes = cache.missed = 0;
    size_t all = 0;
    const uint32_t top = hak_range_is_there() ? hak_range_top() : 0;
    for (uint32_t first = 0; first < top; first += 16) {
        struct hak_superslab *ss = hak_superslab_record(first);
        if (!hak_superslab_is_used(ss)) continue;
        all += hak_superslab_bytes(ss);
        if (ss->home == NULL) cache_link(ss);
    }
    atomic_store_explicit(&hak_held.superslabs, all, memory_order_relaxed);
    cache.fullest = cache.bytes;
    cache.most = cache.bytes > CACHE_MIN_BYTES ? cache.bytes : CACHE_MIN_BYTES;
    HAK_CHECK(cache.bytes <= CACHE_MAX_BYTES);
}

void hak_superslab_cache_begin(void) {
    hak_lock_begin(HAK_RANK_CACHE, cache_rebuild);
}
