/* BigCache: freed large blocks that keep their memory for a while.
 *
 * A hash table from length to the blocks of that length, chained through their page map entries; it grows with its
 * contents. Where there is none of a length, a longer one gives a piece of itself; neighbours are joined.
 * Bounded in bytes: what has waited longest goes first. Blocks older than the purge delay go at the next tick.
 * Any thread; one lock. */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "core/large_record.h"

/* Keeps a freed block, described by the page map entry of its first granule. Above `budget` bytes the oldest go, and some more. */
void hak_bigcache_put(uint32_t first, size_t budget, uint32_t now);

/* The first of *granules that a cached block had, or of a few more (*granules is their number then); 0 if none has so many.
 * They belong to nobody now, and hold what was in them. */
uint32_t hak_bigcache_get(uint32_t *granules);

/* True if that would find some. */
bool hak_bigcache_has(uint32_t granules);

/* Adds `granules` to the taken span or large block of `count` granules that begins at `span`, where a cached block with at least so
 * many begins behind it; false if none does. The number in the first granule's page map entry is raised, too. */
bool hak_bigcache_extend(uint32_t span, uint32_t count, uint32_t granules);

/* Evicts blocks that have waited at least so long; then the oldest until `keep` bytes are left. Returns the
 * bytes evicted. */
size_t hak_bigcache_purge(uint32_t now, uint32_t older_than_ms, size_t keep);

size_t hak_bigcache_bytes(void);
uint32_t hak_bigcache_entries(void);

/* For checks, while no other thread is in an allocation function. */
struct hak_bigcache_state {
    const uint32_t *buckets; /* first granules, 0: empty; NULL: there is no table yet */
    uint32_t bucket_count, entries;
    uint32_t newest, oldest; /* first granules; 0: none */
};
struct hak_bigcache_state hak_bigcache_state(void);
const uint32_t *
hak_bigcache_bucket(uint32_t granules); /* the one for this length, once there is a table */

/* Once, before the first of these. */
void hak_bigcache_begin(void);

#endif
