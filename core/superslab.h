/* SuperSlabs: 32 units of a granule, or 16. A unit is free or belongs to a slab (slab.h). What is known of them is out of
 * line, in a table of its own, so neither an overflow nor a wild write of the program is likely to reach it.
 *
 * A SuperSlab belongs to the thread that rules its home, and only that thread calls these functions. Those that no heap owns
 * are in a cache (superslab_cache.h). */
#ifndef HAK_SUPERSLAB_H
#define HAK_SUPERSLAB_H

#include "core/home.h"
#include "core/spans.h"

struct hak_superslab {
    struct hak_home
        *home; /* whose it is; NULL in the cache, and only there; changes under the cache's lock */
    const struct hak_heap *former; /* in the cache: whose thread gave it up */
    struct hak_superslab *next,
        *prev;      /* its heap's list of SuperSlabs of this kind, or the cache's */
    uint32_t first; /* granule */
    uint32_t units;
    uint32_t all_mask;   /* a bit a unit, but for those that somebody else has a mapping in */
    uint32_t free_mask;  /* units in no slab */
    uint32_t dirty_mask; /* free units that may hold memory; the others read as zero */
    uint32_t active;     /* sum of used over its slabs */
    uint32_t since;      /* time at which it last got a dirty unit, milliseconds */
    uint32_t
        waits_mask; /* dirty units that were that at the last look whether any are old, and ever since */
    uint32_t looked; /* time of that, milliseconds */
    uint8_t pool;    /* 1: of its heap's pool arena */
    uint8_t reached; /* so many of its units, from the first on, are committed */
    uint8_t unused[HAK_SUPERSLAB_RECORD - 4 * 8 - 9 * 4 - 4];
    _Atomic uint8_t small_pages; /* the range's: hak_region_is_small */
    _Atomic uint8_t
        in_use; /* its units if it is owned by a heap or in the cache; 0: the record is unused */
};
_Static_assert(sizeof(struct hak_superslab) == HAK_SUPERSLAB_RECORD,
               "a SuperSlab fills its record");
_Static_assert(offsetof(struct hak_superslab, in_use) == HAK_SUPERSLAB_RECORD - 1,
               "hak_superslab_in_use");

static inline size_t hak_superslab_bytes(const struct hak_superslab *ss) {
    return (size_t)ss->units << HAK_GRANULE_SHIFT;
}

/* Any thread: whether the rest of the record means anything. */
static inline bool hak_superslab_is_used(const struct hak_superslab *ss) {
    bool used = atomic_load_explicit(&ss->in_use, memory_order_acquire) != 0;
    hak_hook_acquire(&ss->in_use);
    return used;
}

/* A mask of the first `count` units. */
static inline uint32_t hak_units_of(uint32_t count) {
    return count == 32 ? UINT32_MAX : (1u << count) - 1;
}

/* False: somebody else has a mapping in it. */
static inline bool hak_superslab_is_whole(const struct hak_superslab *ss) {
    return ss->all_mask == hak_units_of(ss->units);
}

/* For `home`, of 1 << shift bytes of the range, all units free; NULL: no memory. */
struct hak_superslab *hak_superslab_begin(struct hak_home *home, unsigned shift);

/* Gives it back to the range; all its units are free. */
void hak_superslab_release(struct hak_superslab *ss);

/* The first of `count` adjacent ones out of `units`, which are free, at a multiple of `count`, a power of two; they have memory
 * from here on. -1: there are none. */
int hak_superslab_find_units(struct hak_superslab *ss, uint32_t units, uint32_t count);

/* Gives back what free units of `ss` have held for so long. Where others came lately, that is
 * only known at the second look, so long after the first. Bytes. `ends`: in small steps, until
 * it says so of `of`; NULL: to the end. */
size_t hak_superslab_purge(struct hak_superslab *ss, uint32_t now, uint32_t older_than_ms,
                           bool (*ends)(const struct hak_heap *of), const struct hak_heap *of);

/* Has the system give memory to those of `units` that are free. They are dirty from here on: young ones. */
void hak_superslab_touch(struct hak_superslab *ss, uint32_t units);

#endif
