/* BigCache: freed large blocks that keep their memory for a while.
 *
 * A hash table leads from a length to the cached blocks of that length, which are chained through
 * their page map entries; the table grows with its contents. If no block has the length, a longer
 * one gives a part of itself. Neighbours are joined. See docs/decisions/0010.
 *
 * The cache is bounded in bytes: blocks that have waited longest go first. Blocks older than the
 * purge delay go at the next tick. Any thread; one lock. */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "core/large_record.h"

/* Caches a freed block, described by the page map entry of its first granule. `now`: time of
 * hak_os_now_ms. If the cache then holds more than `budget` bytes, the oldest go, and some more. A
 * block of more than `budget` bytes goes to the range at once. */
void hak_bigcache_put(uint32_t first, size_t budget, uint32_t now);

/* Takes a span of *granules granules out of the cache, or of a few more; sets *granules to the
 * number. Returns its first granule; 0: found none. The span is the caller's (HAK_KIND_TAKEN), with
 * its old contents. */
uint32_t hak_bigcache_get(uint32_t *granules);

/* True if hak_bigcache_get would find a span. */
bool hak_bigcache_has(uint32_t granules);

/* Extends the taken span or large block of `count` granules that begins at `span` by the first
 * `granules` granules of the cached block behind it, and raises the number in the page map entry of
 * `span`. False: no cached block begins there, or it is shorter. */
bool hak_bigcache_extend(uint32_t span, uint32_t count, uint32_t granules);

/* Evicts the blocks that have waited `older_than_ms` or more at time `now`, then the oldest until
 * `keep` bytes are left. Evicted blocks go to the range. Returns their bytes. */
size_t hak_bigcache_release(uint32_t now, uint32_t older_than_ms, size_t keep);

size_t hak_bigcache_bytes(void);
uint32_t hak_bigcache_entries(void);

/* For checks, while no other thread is in an allocation function. */
struct hak_bigcache_state {
    const uint32_t *buckets; /* first granules, 0: empty; NULL: there is no table yet */
    uint32_t bucket_count, entries;
    uint32_t newest, oldest; /* first granules; 0: none */
};
struct hak_bigcache_state hak_bigcache_state(void);
/* The bucket of this length, once there is a table. */
const uint32_t *hak_bigcache_bucket(uint32_t granules);

/* Once, before any other function of this file. */
void hak_bigcache_begin(void);

#endif
