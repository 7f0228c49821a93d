/* BigCache: freed large blocks that keep their memory for a while.
 *
 * A hash table from length to the blocks of that length, chained through their slots; it grows with its
 * contents. Where there is none of a length, a longer one gives a piece of itself; neighbours are joined.
 * Bounded in bytes: what has waited longest goes first. Blocks older than the purge delay go at the next tick.
 * Any thread; one lock. */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "core/chunk.h"

/* Why a large block's pages have to be renewed; bits. */
enum {
    HAK_PAGES_MOVED = 1, /* they were moved here, and are a mapping of their own */
    HAK_PAGES_MARKED = 2 /* the program has given them properties that later blocks must not have */
};

/* A large block's slot: that of the granule of its header byte while it lives, that of its first granule
 * while it is cached. */
struct hak_large {
    void *user;
    size_t size;    /* bytes asked for */
    uint32_t first; /* granule */
    uint32_t granules;
    uint32_t next;     /* cached: next of the same hash, 0 ends */
    uint32_t previous; /* cached: previous of the same hash, 0 begins */
    uint32_t newer;    /* cached: by age, 0 ends */
    uint32_t older;
    uint32_t since; /* cached: when it was freed, milliseconds */
    uint32_t run;   /* cached: its first granule; in the slot of its last granule, too */
    uint8_t moved;  /* HAK_PAGES_...: its pages have to be renewed when it is freed, see hak_os.renew */
    uint16_t cut;   /* live: bytes at its run's end that are unmapped, for address space is scarce */
    uint8_t unused[HAK_SLOT_SIZE - 2 * 8 - 8 * 4 - 2 - 3];
    _Atomic uint8_t kind;
};
_Static_assert(sizeof(struct hak_large) == HAK_SLOT_SIZE, "a large block's record fills a slot");
_Static_assert(offsetof(struct hak_large, first) == offsetof(struct hak_free_run, first) &&
                   offsetof(struct hak_large, granules) == offsetof(struct hak_free_run, count),
               "any run is described alike");

static inline struct hak_large *hak_large_at(uint32_t granule) {
    return hak_slot_address(granule);
}

/* Granules that a block of at least `granules` gets: steps of an eighth, so that equal lengths are frequent.
 */
static inline uint32_t hak_large_quantum(uint32_t granules) {
    if (granules <= 8) return granules;
    uint32_t step = 1u << (hak_log2(granules) - 3);
    return (uint32_t)hak_round_up(granules, step);
}

/* Keeps a freed block, described by the slot of its first granule. Above `budget` bytes the oldest go, and some more. */
void hak_bigcache_put(uint32_t first, size_t budget, uint32_t now);

/* The first of *granules that a cached block had, or of a few more (*granules is their number then); 0 if none has so many.
 * They belong to nobody now, and hold what was in them. */
uint32_t hak_bigcache_get(uint32_t *granules);

/* True if that would find some. */
bool hak_bigcache_has(uint32_t granules);

/* Adds `granules` to the taken run or large block of `count` granules that begins at `run`, where a cached block with at least so
 * many begins behind it; false if none does. The number in the first granule's slot is raised, too. */
bool hak_bigcache_extend(uint32_t run, uint32_t count, uint32_t granules);

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
const uint32_t *hak_bigcache_bucket(uint32_t granules); /* the one for this length, once there is a table */

/* Once, before the first of these. */
void hak_bigcache_begin(void);

#endif
