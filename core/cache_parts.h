/* What the files of the cache share, and no other file includes: cache_index.c (which spans are
 * cached), cache.c (which go in and out). An entry is named by its first granule; 0: none. All
 * under the cache's lock. */
#ifndef HAK_CACHE_PARTS_H
#define HAK_CACHE_PARTS_H

#include "core/cache.h"

struct hak_cache_index {
    _Alignas(64) struct hak_span_index by_length; /* its bits share a cache line with the others */
    uint32_t entries;
    uint32_t newest, oldest;
    uint32_t granules,
        clean; /* sums over the entries; hak_footprint.cached follows the first one */
    /* Granules: SuperSlabs out of the cache, less those that went in, since the process began. May
     * be below zero, modulo 2^64. */
    uint64_t exchanged;
};

extern HAK_HIDDEN struct hak_cache_index hak_cache_index;

static struct hak_cache_index *const cache = &hak_cache_index;

static inline size_t hak_cache_balance(void) {
    return (size_t)(cache->granules + cache->exchanged) << HAK_GRANULE_SHIFT;
}

static inline size_t hak_cached_bytes_of(const struct hak_large *entry) {
    return (size_t)entry->granules << HAK_GRANULE_SHIFT;
}

/* A taken span becomes the newest entry, from `now` on (milliseconds). Its record says `clean` and
 * `is_superslab`. Entries that lie side by side are joined, but for those of SuperSlabs. */
void hak_cache_insert(uint32_t first, uint32_t now);

/* True if hak_cache_take would find an entry. */
bool hak_cache_has_entry(uint32_t granules);

/* Each makes an entry, or a part of it, a taken span, and returns the span's first granule; what is
 * left of an entry keeps its age. */

/* The shortest entry that has `granules` granules or more, all of them dirty, of those that are
 * tried: all of it, or, if it is longer than the next rounded length, its last granules. */
uint32_t hak_cache_take(uint32_t granules);

/* As hak_cache_get_aligned. */
struct hak_cached hak_cache_take_aligned(uint32_t count, uint32_t longest, const void *of);

/* The oldest entry; if it has more than `most` granules, and is not of a SuperSlab, its last
 * `most`. There is one. */
uint32_t hak_cache_take_oldest(uint32_t most);

/* The granules [first, first + granules) of the entry `first`. False: there is no such entry, or it
 * is shorter. */
bool hak_cache_take_from(uint32_t first, uint32_t granules);

#endif
