#include "core/superslab_cache.h"

#include "core/hooks.h"

/* What the cache may hold at first. A burst of more is rare, and what a program frees before it sleeps is not to stay. */
#define CACHE_MIN_BYTES ((size_t)64 << 20)

/* And at last, whatever is asked for. */
#define CACHE_MAX_BYTES ((size_t)256 << 20)

/* What is stocked leaves room for what is given up. */
#define PREFILL_MAX_BYTES ((size_t)16 << 20)

/* SuperSlabs without an owner, by size; most recently retired first. What does not fit goes back to the range at once, and
 * costs a page fault a page when it comes again. So what is asked for soon after it went makes that much more room, for as
 * long as that is used: see hak_superslab_cache_purge(). */
static struct {
    struct hak_superslab *lists[HAK_SUPERSLAB_SHIFT + 1];
    size_t bytes, most;
    /* Since it last aged: */
    uint32_t aged;
    size_t fullest; /* so much was here, or was earned */
    size_t missed;  /* so much went back to the range, and was not asked for again */
} cache = {.most = CACHE_MIN_BYTES};

static struct hak_lock *const cache_lock = &hak_locks[HAK_RANK_CACHE];

/* The home of a SuperSlab that is on its way from or to the cache, and of no heap. */
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

/* One that the thread with this heap gave up, for lines of its blocks may still be in that thread's caches; or else the most
 * recent. */
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

/* So much came from the range, for the cache had it not. */
static void cache_missed(size_t bytes) {
    hak_lock_take(cache_lock);
    if (bytes > cache.missed) bytes = cache.missed;
    cache.missed -= bytes;
    cache.most += bytes < CACHE_MAX_BYTES - cache.most ? bytes : CACHE_MAX_BYTES - cache.most;
    if (cache.most > cache.fullest && bytes > 0) cache.fullest = cache.most;
    hak_lock_drop(cache_lock);
}

/* From the range. */
static struct hak_superslab *begin(struct hak_home *home, unsigned shift) {
    struct hak_superslab *ss = hak_superslab_begin(home, shift);
    if (ss != NULL) cache_missed(hak_superslab_bytes(ss));
    return ss;
}

/* A new one, or one of the cache, which keeps nothing of its former life but its place, who gave it up, and the knowledge
 * which of its bytes are zero and how long the others have waited. */
static void superslab_init(struct hak_superslab *ss, bool pool) {
    HAK_ASSERT(ss->free_mask == ss->all_mask && (ss->dirty_mask & ~ss->all_mask) == 0);
    HAK_ASSERT(ss->home != NULL && hak_superslab_is_used(ss));
    ss->next = ss->prev = NULL;
    ss->active = 0;
    ss->pool = pool;
}

/* Where there is none of this size, a smaller one that holds memory. One that does not is what each thread's pool begins with. */
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
    /* The range keeps it for any use, if it keeps anything. One with somebody else's mapping in it is no use. */
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

/* Not where there are some that hold memory: they come first. */
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
    HAK_CHECK(ss->free_mask == ss->all_mask && ss->active == 0);
    ss->former = hak_home_owner(ss->home);
    if (HAK_THREAD.visited == NULL) {
        cache_put(ss);
        return;
    }
    ss->home = &on_its_way;
    ss->next = HAK_THREAD.leaving;
    HAK_THREAD.leaving = ss;
}

/* Takes out those that were there for so long, or those of one heap. One in which there never was a slab has no time: with 0, all
 * go, whatever the time is. Under the lock, as what follows. */
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

static void cache_age(uint32_t now, uint32_t span_ms) {
    HAK_CHECK(cache.bytes <= cache.most && cache.most <= CACHE_MAX_BYTES);
    if (span_ms == 0 || hak_is_older(cache.aged, now, 2 * span_ms))
        cache.fullest = cache.bytes; /* that is over, too */
    if (span_ms == 0 || hak_is_older(cache.aged, now, span_ms)) {
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

size_t hak_superslab_leave(void) {
    struct hak_superslab *leaving = HAK_THREAD.leaving;
    HAK_THREAD.leaving = NULL;
    return superslabs_release(leaving);
}

size_t hak_superslab_cache_purge(uint32_t now, uint32_t older_than_ms) {
    hak_lock_take(cache_lock);
    struct hak_superslab *old = cache_take_old(NULL, now, older_than_ms);
    cache_age(now, older_than_ms);
    hak_lock_drop(cache_lock);
    return superslabs_release(old);
}

size_t hak_superslab_cache_purge_of(const struct hak_heap *former) {
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

/* In a child of fork: what the cache holds is what has no home. What was earned and missed is forgotten. */
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
