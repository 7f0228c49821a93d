#include "core/superslab.h"

#include "core/remote.h"
#include "verify/hooks.h"

/* What the cache may hold at first. A burst of more is rare, and what a program frees before it sleeps is not to stay. */
#define CACHE_MIN_BYTES ((size_t)64 << 20)

/* And at last, whatever is asked for. */
#define CACHE_MAX_BYTES ((size_t)256 << 20)

/* What is stocked leaves room for what is given up. */
#define STOCK_MAX_BYTES ((size_t)16 << 20)

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
static struct hak_superslab *cache_take(const struct hak_heap *ruler, unsigned shift) {
    struct hak_superslab *found = cache.lists[shift], *ss = found;
    for (int tried = 0; tried < FORMER_TRIED && ss != NULL; tried++, ss = ss->next) {
        if (ss->former != ruler) continue;
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

/* A mask of the first `count` units. */
static uint32_t units_of(uint32_t count) {
    return count == 32 ? UINT32_MAX : (1u << count) - 1;
}

/* False: somebody else has a mapping in it. */
static bool is_whole(const struct hak_superslab *ss) {
    return ss->all_mask == units_of(ss->units);
}

/* For `home`, of 1 << shift bytes of the range. */
static struct hak_superslab *superslab_begin(struct hak_home *home, unsigned shift) {
    uint32_t granules = 1u << (shift - HAK_GRANULE_SHIFT);
    uint32_t there = 0, first = hak_run_alloc_part(granules, granules, &there);
    if (first == 0) return NULL;
    struct hak_superslab *ss = hak_superslab_record(first);
    HAK_CHECK(!hak_superslab_is_used(ss) && granules <= HAK_UNITS_MAX);
    ss->home = home;
    ss->first = first;
    ss->units = granules;
    ss->reached = (uint8_t)there;
    ss->all_mask = units_of(granules);
    ss->free_mask = ss->all_mask;
    ss->dirty_mask = hak_run_is_dirty(first) ? units_of(there) : 0;
    ss->waits_mask = 0;
    ss->former = NULL;
    if (hak_range_keeps()) hak_superslab_touch(ss, ~ss->dirty_mask);
    cache_missed(hak_superslab_bytes(ss));
    atomic_fetch_add_explicit(&hak_held.superslabs, hak_superslab_bytes(ss), memory_order_relaxed);
    hak_held_look();
    hak_hook_atomic(&ss->in_use, sizeof ss->in_use);
    hak_hook_release(&ss->in_use);
    atomic_store_explicit(&ss->in_use, (uint8_t)granules, memory_order_release);
    hak_kind_set(first, HAK_KIND_NONE); /* the record says from here on that somebody uses it */
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
static struct hak_superslab *cache_get(const struct hak_heap *ruler, unsigned shift) {
    const struct hak_superslab *smaller = cache.lists[HAK_SUPERSLAB_SHIFT_MIN];
    struct hak_superslab *ss = cache_take(ruler, shift);
    if (ss != NULL || smaller == NULL || smaller->dirty_mask == 0) return ss;
    return cache_take(ruler, HAK_SUPERSLAB_SHIFT_MIN);
}

struct hak_superslab *hak_superslab_acquire(struct hak_home *home, unsigned shift, bool pool) {
    HAK_CHECK(shift == HAK_SUPERSLAB_SHIFT || shift == HAK_SUPERSLAB_SHIFT_MIN);
    hak_lock_take(cache_lock);
    struct hak_superslab *ss = cache_get(hak_home_ruler(home), shift);
    if (ss != NULL) ss->home = home;
    hak_lock_drop(cache_lock);
    if (ss == NULL) ss = superslab_begin(home, shift);
    if (ss == NULL) return NULL;
    superslab_init(ss, pool);
    return ss;
}

/* Commits units from those on that are; no unit is any more that somebody else has a mapping in. */
static bool units_reach(struct hak_superslab *ss, uint32_t until) {
    HAK_ASSERT(until > ss->reached && until <= ss->units);
    enum hak_placed placed = hak_run_reach(ss->first, ss->units, ss->reached, until - ss->reached);
    if (placed == HAK_PLACED) ss->reached = (uint8_t)until;
    if (placed == HAK_PLACE_TAKEN && until == ss->reached + 1u) {
        ss->all_mask &= units_of(ss->reached);
        ss->free_mask &= ss->all_mask;
    }
    return placed == HAK_PLACED;
}

/* Those that are not committed, too, if they are to be had. */
void hak_superslab_touch(struct hak_superslab *ss, uint32_t units) {
    const uint32_t more = ss->units - ss->reached;
    if (more > 0 && hak_run_reach(ss->first, ss->units, ss->reached, more) == HAK_PLACED)
        ss->reached = (uint8_t)ss->units;
    units &= ss->free_mask & units_of(ss->reached);
    for (uint32_t left = units; left != 0; left &= left - 1)
        hak_os_touch(hak_granule_address(ss->first + (uint32_t)__builtin_ctz(left)), HAK_GRANULE);
    ss->dirty_mask |= units;
}

/* If somebody else has a mapping in what was not committed, the addresses are given up, and what is committed is purged. */
static void superslab_release(struct hak_superslab *ss) {
    HAK_CHECK(hak_superslab_is_used(ss) && ss->free_mask == ss->all_mask && ss->active == 0);
    HAK_CHECK(ss->home != NULL);
    if (hak_range_keeps()) hak_superslab_touch(ss, ~ss->dirty_mask); /* its neighbours have it */
    const uint32_t first = ss->first, units = ss->units, there = ss->reached;
    const bool whole = is_whole(ss);
    if (!whole && there > 0)
        hak_range_purge_part(hak_granule_address(first), (size_t)there << HAK_GRANULE_SHIFT);
    hak_run_set_taken(first, units);
    hak_hook_release(&ss->in_use);
    atomic_store_explicit(&ss->in_use, 0, memory_order_release);
    atomic_fetch_sub_explicit(&hak_held.superslabs, hak_superslab_bytes(ss), memory_order_relaxed);
    if (!whole)
        hak_run_lose(first, units);
    else if (there < units)
        hak_run_free_part(first, units, there);
    else
        hak_run_free(first, units, false);
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
    bool keep =
        is_whole(ss) && cache.bytes + bytes <= hak_range_cached_most(cache.most) && !hak_range_keeps();
    if (keep) {
        ss->home = NULL;
        cache_link(ss);
        if (cache.bytes > cache.fullest) cache.fullest = cache.bytes;
    } else {
        cache.missed += bytes;
    }
    hak_lock_drop(cache_lock);
    if (!keep) superslab_release(ss);
}

/* Not where there are some that hold memory: they come first. */
static bool stock_is_wanted(void) {
    hak_lock_take(cache_lock);
    const struct hak_superslab *first = cache.lists[HAK_SUPERSLAB_SHIFT];
    bool wanted = cache.bytes < STOCK_MAX_BYTES && (first == NULL || first->dirty_mask == 0);
    hak_lock_drop(cache_lock);
    return wanted;
}

void hak_superslab_stock(uint32_t count) {
    uint32_t now = hak_os_now_ms();
    for (; count > 0 && stock_is_wanted(); count--) {
        struct hak_superslab *ss = superslab_begin(&on_its_way, HAK_SUPERSLAB_SHIFT);
        if (ss == NULL) return;
        superslab_init(ss, true);
        ss->since = now;
        cache_put(ss);
    }
}

void hak_superslab_retire(struct hak_superslab *ss) {
    HAK_CHECK(ss->free_mask == ss->all_mask && ss->active == 0);
    ss->former = hak_home_ruler(ss->home);
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
        superslab_release(old);
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

#define PURGE_STEP 4u /* units at once, while somebody may wait for the heap: 256 KiB */

/* All that are dirty, if none came lately. Where slabs come and go, one always did: then those that have waited since the look
 * before. */
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
                           bool (*ends)(const struct hak_heap *of), const struct hak_heap *of) {
    uint32_t dirty = ss->dirty_mask & ss->free_mask;
    HAK_ASSERT(dirty == ss->dirty_mask); /* dirty units are free */
    dirty &= old_units(ss, now, older_than_ms);
    size_t bytes = 0;
    while (dirty != 0 && (ends == NULL || !ends(of))) {
        unsigned from = (unsigned)__builtin_ctz(dirty);
        uint32_t after = ~(dirty >> from);
        unsigned count = after == 0 ? 32 : (unsigned)__builtin_ctz(after);
        if (ends != NULL && count > PURGE_STEP) count = PURGE_STEP;
        char *start = (char *)hak_granule_address(ss->first) + ((size_t)from << HAK_GRANULE_SHIFT);
        uint32_t mask = units_of(count) << from;
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

/* ---- slabs ------------------------------------------------------------------------------------------- */

/* `count` adjacent free units at a multiple of `count`, a power of two; -1 if there are none. */
static int units_find(uint32_t free_mask, uint32_t count) {
    for (uint32_t step = 1; step < count; step *= 2)
        free_mask &= free_mask >> step;
    if (count > 1) free_mask &= UINT32_MAX / ((1u << count) - 1); /* a bit at each multiple of count */
    return free_mask == 0 ? -1 : __builtin_ctz(free_mask);
}

#define REACH_MIN 2u /* units at once, if there is so much; an eighth of what is there, if that is more */

/* Commits up to the end of these units, and some more; less may be had, to the last unit before somebody else's mapping. */
static bool units_reach_some(struct hak_superslab *ss, uint32_t until) {
    uint32_t more = ss->reached / 8u > REACH_MIN ? ss->reached / 8u : REACH_MIN;
    if (until < ss->reached + more) until = ss->reached + more;
    if (until > ss->units) until = ss->units;
    return units_reach(ss, until) || units_reach(ss, ss->reached + 1u);
}

/* As units_find, of free units, with memory. */
static HAK_NOINLINE int units_find_reach(struct hak_superslab *ss, uint32_t units, uint32_t count) {
    for (;;) {
        int unit = units_find(units & ss->all_mask, count);
        if (unit < 0 || (uint32_t)unit + count <= ss->reached) return unit;
        const uint32_t all = ss->all_mask;
        if (!units_reach_some(ss, (uint32_t)unit + count) && ss->all_mask == all) return -1;
    }
}

struct hak_slab *hak_slab_create(struct hak_superslab *ss, unsigned bin, uint32_t units) {
    uint32_t granules = hak_classes[bin].units;
    HAK_CHECK(ss->pool == (hak_tier_of_bin(bin) == HAK_TIER_POOL));
    int unit = units_find(units, granules);
    if (HAK_UNLIKELY(ss->reached < ss->units)) unit = units_find_reach(ss, units, granules);
    if (unit < 0) return NULL;
    uint32_t mask = ((1u << granules) - 1) << unit;
    uint32_t first = ss->first + (uint32_t)unit;
    HAK_CHECK((ss->free_mask & mask) == mask);
    ss->free_mask &= ~mask;
    ss->dirty_mask &= ~mask;
    ss->waits_mask &= ~mask;
    HAK_ASSERT((ss->dirty_mask & ~ss->free_mask) == 0);
    if (ss->free_mask == 0) hak_range_used(ss->first, ss->units);
    struct hak_slab *slab = hak_slot_address(first);
    HAK_ASSERT(hak_kind_of(first) == HAK_KIND_NONE);
    slab->home = ss->home;
    slab->freelist = NULL;
    slab->next = slab->prev = NULL;
    slab->superslab_first = ss->first;
    slab->used = slab->carved = 0;
    slab->capacity = (uint16_t)hak_slab_capacity(bin, (size_t)granules << HAK_GRANULE_SHIFT);
    slab->bin = (uint8_t)bin;
    slab->state = HAK_SLAB_FULL;
    slab->back = 0;
    slab->unit = (uint8_t)unit;
    slab->granules = (uint8_t)granules;
    atomic_store_explicit(&slab->remote, 0, memory_order_relaxed);
    for (uint32_t i = 1; i < granules; i++) {
        ((struct hak_slab *)hak_slot_address(first + i))->back = (uint8_t)i;
        hak_kind_set(first + i, HAK_KIND_SLAB_TAIL);
    }
    hak_hook_release(&slab->kind);
    hak_kind_set(first, HAK_KIND_SLAB);
    hak_hook_event(HAK_EVENT_SLAB_CREATED, slab);
    return slab;
}

void hak_slab_destroy(struct hak_slab *slab, uint32_t now) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(slab->used == 0 && hak_remote_count(slab) == 0);
    hak_hook_event(HAK_EVENT_SLAB_DESTROYED, slab);
    uint32_t mask = ((1u << slab->granules) - 1) << slab->unit;
    HAK_CHECK((ss->free_mask & mask) == 0);
    uint32_t first = hak_slab_first_granule(slab);
    for (uint32_t i = 0; i < slab->granules; i++)
        hak_kind_set(first + i, HAK_KIND_NONE);
    slab->freelist = NULL;
    ss->free_mask |= mask;
    ss->dirty_mask |= mask;
    HAK_ASSERT((ss->dirty_mask & ~ss->free_mask) == 0);
    ss->since = now;
}

uint32_t hak_slab_take(struct hak_slab *slab, uint32_t max, struct hak_block **head) {
    uint32_t count = (uint32_t)(slab->carved - slab->used);
    HAK_CHECK((count == 0) == (slab->freelist == NULL));
    if (count == 0) return 0;
    *head = slab->freelist;
    if (count <= max) {
        slab->freelist = NULL;
    } else {
        struct hak_block *last = slab->freelist;
        for (uint32_t i = 1; i < max; i++)
            last = hak_block_next(last);
        slab->freelist = last->next;
        last->next = NULL;
        count = max;
    }
    slab->used = (uint16_t)(slab->used + count);
    hak_superslab_of(slab)->active += count;
    HAK_ASSERT(slab->used <= slab->carved);
    return count;
}

uint32_t hak_slab_carve(struct hak_slab *slab, uint32_t max, struct hak_block **head) {
    uint32_t count = (uint32_t)(slab->capacity - slab->carved);
    if (count > max) count = max;
    if (count == 0) return 0;
    size_t stride = hak_classes[slab->bin].stride;
    uint8_t header = HAK_BIN_HEADER_FREE(slab->bin);
    char *user = (char *)hak_slab_block(slab, slab->carved);
    *head = (struct hak_block *)user;
    for (uint32_t i = 1; i < count; i++) {
        hak_header_set(user, header);
        ((struct hak_block *)user)->next = (struct hak_block *)(user + stride);
        user += stride;
    }
    hak_header_set(user, header);
    ((struct hak_block *)user)->next = NULL;
    HAK_ASSERT((uintptr_t)user + stride - 1 <=
               hak_slab_start(slab) + ((size_t)slab->granules << HAK_GRANULE_SHIFT));
    slab->carved = (uint16_t)(slab->carved + count);
    slab->used = (uint16_t)(slab->used + count);
    hak_superslab_of(slab)->active += count;
    HAK_ASSERT(slab->carved <= slab->capacity);
    return count;
}

void hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail, uint32_t count) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(count > 0 && count <= slab->used && count <= ss->active);
    HAK_ASSERT(tail != NULL || slab->freelist == NULL);
    if (tail != NULL) tail->next = slab->freelist;
    slab->freelist = head;
    slab->used = (uint16_t)(slab->used - count);
    ss->active -= count;
}

void hak_slab_reset(struct hak_slab *slab) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    HAK_CHECK(slab->used <= ss->active);
    ss->active -= slab->used;
    slab->used = slab->carved = 0;
    slab->freelist = NULL;
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
