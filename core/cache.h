/* The cache: spans that were given up and hold their memory for a while, for large blocks and for
 * SuperSlabs alike. See docs/decisions/0010 and 0022.
 *
 * Lists by length lead to the shortest span that is long enough; a longer one gives a part of
 * itself. Neighbours are joined, but for what SuperSlabs left: a part of that may hold no memory.
 *
 * The cache is bounded in bytes: spans that have waited longest go first. Spans older than the
 * purge delay go at the next tick. Any thread; one lock. */
#ifndef HAK_CACHE_H
#define HAK_CACHE_H

#include "core/large_record.h"

/* Caches a taken span, which is described by the page map entry of its first granule. `now`: the
 * time from which it waits (hak_os_now_ms). If the cache then holds more than `budget` bytes,
 * and more than was earned (hak_cache_missed), the spans that have waited longest go, and some
 * more. A span of more bytes goes to the range at once, and so does any span if `budget` is 0. */
void hak_cache_put(uint32_t first, size_t budget, uint32_t now);

/* The same for the span of a SuperSlab, whose record becomes unused, and of which `dirty` granules
 * may hold memory. Only these count in the budget, which must have room for all. */
void hak_cache_put_superslab(uint32_t first, uint32_t dirty, size_t budget, uint32_t now);

/* Takes a span of `granules` granules out of the cache, or of a few more, as the page map entry of
 * its first granule says. Returns that granule; 0: found none. The span is the caller's
 * (HAK_KIND_TAKEN), with its old contents. */
uint32_t hak_cache_get(uint32_t granules);

/* For a SuperSlab: `count` granules, a power of two and at least 16, at a multiple of `count`, of a
 * cached span of at most `longest` granules; if possible, the memory of a SuperSlab that the home
 * `of` had last. */
struct hak_cached {
    uint32_t first;    /* granule; 0: found none */
    uint32_t since;    /* the time from which they waited */
    bool is_superslab; /* a SuperSlab of this length used them last; its record is as it left it */
};
struct hak_cached hak_cache_get_aligned(uint32_t count, uint32_t longest, const void *of);

/* True if hak_cache_get would find a span. */
bool hak_cache_has(uint32_t granules);

/* Extends the taken span or large block of `count` granules that begins at `span` by the first
 * `granules` granules of the cached span behind it, and raises the number in the page map entry of
 * `span`. False: no cached span begins there, or it is shorter. */
bool hak_cache_extend(uint32_t span, uint32_t count, uint32_t granules);

/* The caller took `bytes` from the range, because the cache had none, or for later. If so many
 * bytes went from the cache to the range lately for want of room, the cache may hold as many more
 * from here on. */
void hak_cache_missed(size_t bytes);

/* Gives the spans that have waited `older_than_ms` or more at time `now` to the range, then the
 * oldest until `leave` bytes are left. Returns their bytes.
 *
 * Also sets anew what was earned, unless that was done less than `older_than_ms` ago: it becomes
 * the most that was used of it since then, or what it was raised to since then. Bytes that went to
 * the range before are no longer counted. So what was earned lasts for one or two such periods
 * after its last use. If that was last done twice as long ago, or `older_than_ms` is UINT32_MAX,
 * nothing remains earned. */
size_t hak_cache_evict(uint32_t now, uint32_t older_than_ms, size_t leave);

size_t hak_cache_bytes(void);
uint32_t hak_cache_entries(void);

/* For checks, while no other thread is in an allocation function. */
struct hak_cache_state {
    const struct hak_span_index *by_length;
    uint32_t entries;
    uint32_t newest, oldest; /* first granules; 0: none */
    uint32_t clean;          /* granules that hold no memory */
};
struct hak_cache_state hak_cache_state(void);
/* The bytes by which the cache may exceed its budget: at most 128 MiB, or a quarter of what live
 * large blocks have, if that is more. */
size_t hak_cache_earned(void);

/* Once, before any other function of this file. */
void hak_cache_init(void);

#endif
