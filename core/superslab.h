/* SuperSlabs: 32 units of one granule each, or 16. A unit is free or part of a slab (slab.h). The
 * metadata lies out of line, in a table of its own, so that neither an overflow nor a wild write of
 * the program is likely to reach it.
 *
 * A SuperSlab belongs to a home. Only the thread of the home's owner calls these functions.
 *
 * A foreign mapping, below, is one that the program or another library has put into the window
 * where the SuperSlab was not committed yet. HAKMEM never touches it: the units there cannot be
 * used. */
#ifndef HAK_SUPERSLAB_H
#define HAK_SUPERSLAB_H

#include "core/home.h"
#include "core/spans.h"

struct hak_superslab {
    struct hak_home *home;
    /* Links of its heap's list: heap->open, while it has free units. */
    struct hak_superslab *next, *prev;
    uint32_t first; /* its first granule */
    uint32_t units;
    uint32_t usable_mask; /* a bit for each unit, except where a foreign mapping is in the way */
    uint32_t free_mask;   /* units in no slab */
    uint32_t dirty_mask;  /* free units that may hold memory; the other free units read as zero */
    uint32_t active;      /* sum of `used` over its slabs */
    uint32_t since;       /* when a unit last became dirty, milliseconds */
    uint32_t waits_mask;  /* units dirty at the time `looked`, and ever since */
    uint32_t looked;      /* when a purge last set waits_mask, milliseconds */
    uint8_t pool;         /* 1: part of its heap's pool arena */
    uint8_t committed_units;              /* number of committed units, which are the first ones */
    uint16_t purged_pages[HAK_UNITS_MAX]; /* of slabs: a bit for each page (slab_pages.h) */
    _Atomic uint8_t small_pages;          /* belongs to the range: hak_region_is_small */
    /* Number of units, while a home has the SuperSlab; 0: the record is unused. */
    _Atomic uint8_t in_use;
};
_Static_assert(sizeof(struct hak_superslab) == HAK_SUPERSLAB_RECORD,
               "a SuperSlab fills its record");
_Static_assert(offsetof(struct hak_superslab, in_use) == HAK_SUPERSLAB_RECORD - 1,
               "hak_superslab_in_use");
_Static_assert(offsetof(struct hak_superslab, home) == 0, "hak_superslab_last_home");

static inline size_t hak_superslab_bytes(const struct hak_superslab *ss) {
    return (size_t)ss->units << HAK_GRANULE_SHIFT;
}

/* Any thread. True if the other fields of the record are valid. */
static inline bool hak_superslab_is_used(const struct hak_superslab *ss) {
    bool used = atomic_load_explicit(&ss->in_use, memory_order_acquire) != 0;
    hak_hook_acquire(&ss->in_use);
    return used;
}

/* A mask of the first `count` units. */
static inline uint32_t hak_units_of(uint32_t count) {
    return count == 32 ? UINT32_MAX : (1u << count) - 1;
}

/* False: a foreign mapping makes some of its units unusable. */
static inline bool hak_superslab_is_all_usable(const struct hak_superslab *ss) {
    return ss->usable_mask == hak_units_of(ss->units);
}

/* A SuperSlab for `home`, with all its units free. It is made from memory of the cache: of 1 <<
 * shift bytes, or fewer; or else of 1 << shift bytes of the range. `pool`: for slabs of the pool
 * tier. NULL: no memory. */
struct hak_superslab *hak_superslab_create(struct hak_home *home, unsigned shift, bool pool);

/* The same from the range alone, whatever the cache has. */
struct hak_superslab *hak_superslab_create_from_range(struct hak_home *home, unsigned shift,
                                                      bool pool);

/* A heap gives up a SuperSlab, whose units must all be free: its memory goes to the cache, which
 * has this budget (cache.h), or to the range. */
void hak_superslab_destroy(struct hak_superslab *ss, size_t budget);

/* While the calling thread visits a heap that it has seized, hak_superslab_destroy only puts the
 * SuperSlabs aside, because the heap's thread may wait. Call this function once that thread has its
 * heap again: it gives them to the range, and returns their bytes. */
size_t hak_superslab_destroy_deferred(void);

/* Finds `count` adjacent units (a power of two, and at a multiple of it) in the mask `units`, in
 * which all units are free, and commits them. Returns the first one; -1: there are none, or no
 * memory. */
int hak_superslab_find_units(struct hak_superslab *ss, uint32_t units, uint32_t count);

/* Gives the memory of those free units back to the system that have been dirty for `older_than_ms`;
 * returns the bytes. If any unit became dirty within that time, the age of the others is known only
 * at a second call, `older_than_ms` after the first. `should_stop` is called before each small
 * step: the purge stops when should_stop(of) is true. NULL: it does not stop early. */
size_t hak_superslab_purge(struct hak_superslab *ss, uint32_t now, uint32_t older_than_ms,
                           bool (*should_stop)(const struct hak_heap *of),
                           const struct hak_heap *of);

/* Has the system give memory to the free units in the mask `units`; they are dirty from here on,
 * but `since` stays. First tries to commit all units of the SuperSlab. */
void hak_superslab_populate(struct hak_superslab *ss, uint32_t units);

#endif
