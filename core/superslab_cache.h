/* SuperSlabs that no heap owns. Any thread; one lock. */
#ifndef HAK_SUPERSLAB_CACHE_H
#define HAK_SUPERSLAB_CACHE_H

#include "core/superslab.h"

/* Once, before the first of these. */
void hak_superslab_cache_begin(void);

/* A SuperSlab for `home`, all units free: from the cache, of 1 << shift bytes or, if it holds memory, of less; or of 1 << shift
 * bytes from the range. NULL: no memory. */
struct hak_superslab *hak_superslab_acquire(struct hak_home *home, unsigned shift, bool pool);

/* Puts up to `count` SuperSlabs without memory from the range into the cache, for whoever needs one; not many, and not where
 * there are some that hold memory. */
void hak_superslab_prefill(uint32_t count);

/* Gives back a SuperSlab whose units are all free: to the cache, or to the range if the cache has its fill. That is 64 MiB at
 * first; what went to the range and is soon asked for again is added to it, up to 256 MiB. */
void hak_superslab_retire(struct hak_superslab *ss);

/* Of a heap that the calling thread has seized, those only leave the heap. Once it is given
 * back: releases them to the range; bytes. */
size_t hak_superslab_leave(void);

/* The cache of SuperSlabs that no heap owns. */
size_t hak_superslab_cache_bytes(void);
/* The first one of 1 << shift bytes; for checks, while no other thread is in an allocation function. */
const struct hak_superslab *hak_superslab_cache_first(unsigned shift);
/* Its fill. */
size_t hak_superslab_cache_most(void);
/* Gives those to the range that have been there for so long; returns their bytes. And if that was last done so long ago, the
 * cache's fill becomes the most that it held since then, or was allowed anew, and at least 64 MiB; and what went to the range before
 * is forgotten. So what was earned lasts for one or two such spans after its last use. If it was done twice as long ago, or with a
 * span of 0, what it held in between does not count. */
size_t hak_superslab_cache_purge(uint32_t now, uint32_t older_than_ms);
/* Those that the thread with this heap gave up, instead; the fill stays. */
size_t hak_superslab_cache_purge_of(const struct hak_heap *former);

#endif
