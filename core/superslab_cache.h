/* The cache of SuperSlabs that belong to no heap. Any thread may call these functions; one lock
 * protects the cache. */
#ifndef HAK_SUPERSLAB_CACHE_H
#define HAK_SUPERSLAB_CACHE_H

#include "core/superslab.h"

/* Call once, before any other function of this file. */
void hak_superslab_cache_begin(void);

/* A SuperSlab for `home`, with all its units free. It comes from the cache: of 1 << shift bytes, or
 * a smaller one that holds memory; or else from the range: of 1 << shift bytes. `pool`: for slabs
 * of the pool tier. NULL: no memory. */
struct hak_superslab *hak_superslab_acquire(struct hak_home *home, unsigned shift, bool pool);

/* Prefill: moves up to `count` SuperSlabs, which hold no memory, from the range to the cache. Stops
 * when the cache holds 16 MiB, and adds none while cached SuperSlabs hold memory. */
void hak_superslab_prefill(uint32_t count);

/* A heap gives up a SuperSlab, whose units must all be free: it goes to the cache, or to the range
 * if the cache is full. The cache holds at most 64 MiB at first. If SuperSlabs that went to the
 * range are soon asked for again, their bytes are added to this maximum, up to 256 MiB. */
void hak_superslab_retire(struct hak_superslab *ss);

/* While the calling thread visits a heap that it has seized, hak_superslab_retire only puts the
 * SuperSlabs aside, because the heap's thread may wait. Call this function once that thread has its
 * heap again: it releases them to the range, and returns their bytes. */
size_t hak_superslab_release_deferred(void);

/* Bytes of the SuperSlabs in the cache. */
size_t hak_superslab_cache_bytes(void);
/* The first cached SuperSlab of 1 << shift bytes; NULL: none. For checks, while no other thread is
 * in an allocation function. */
const struct hak_superslab *hak_superslab_cache_first(unsigned shift);
/* The most bytes that the cache may hold at present. */
size_t hak_superslab_cache_most(void);
/* Releases cached SuperSlabs to the range that have been free for `older_than_ms`; returns their
 * bytes. Also sets the cache's maximum anew, unless that was done less than `older_than_ms` ago: it
 * becomes the most that the cache has held since then, or the maximum to which it was raised since
 * then, and at least 64 MiB. What went to the range before is no longer counted. So a raised
 * maximum lasts for one or two such periods after its last use. If the maximum was last set twice
 * as long ago, or `older_than_ms` is 0, only what the cache holds now counts. */
size_t hak_superslab_cache_release(uint32_t now, uint32_t older_than_ms);
/* Releases the cached SuperSlabs that the thread of the heap `former` gave up; returns their bytes.
 * The cache's maximum stays. */
size_t hak_superslab_cache_release_of(const struct hak_heap *former);

#endif
