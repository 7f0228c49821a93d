/* Slabs and the SuperSlabs that hold them.
 *
 * A SuperSlab is 32 units of a granule, or 16. A unit is free or belongs to a slab; a slab takes one or more
 * units and is cut into blocks of one class. All of this is out of line: slabs lie in the slot table,
 * SuperSlabs in a table of their own, so neither an overflow nor a wild write of the program is likely to
 * reach them.
 *
 * Concurrency: a SuperSlab and its slabs belong to the thread that rules their home, and only that thread
 * calls these functions; other threads touch only a slab's remote list (remote.h). Unowned SuperSlabs are in
 * a cache under a lock. */
#ifndef HAK_SUPERSLAB_H
#define HAK_SUPERSLAB_H

#include "core/chunk.h"
#include "core/size_class.h"

struct hak_superslab;
struct hak_heap;

/* Where a slab stands in its heap. */
enum hak_slab_state {
    HAK_SLAB_FULL = 0, /* no free block that the owner knows of; in no list */
    HAK_SLAB_CURRENT,  /* the one that its bin is refilled from */
    HAK_SLAB_PARTIAL   /* in the heap's list of its class: has free or uncarved blocks */
};

struct hak_slab {
    _Atomic uint64_t remote;      /* other threads' frees: first block << 16 | count (remote.h) */
    struct hak_slab *notify_next; /* link in its home's stack of notified slabs */
    struct hak_home *home;        /* who gets the notification; fixed while the slab exists */
    struct hak_block *freelist;   /* carved - used blocks */
    struct hak_slab *next, *prev; /* list of partial slabs of its class */
    uint32_t superslab_first;     /* its SuperSlab's first granule */
    uint16_t used;                /* see the equations in types.h */
    uint16_t carved;
    uint16_t capacity;
    uint8_t bin;
    uint8_t state;        /* enum hak_slab_state */
    uint8_t back;         /* granules back to the slab's first one; 0 in the first */
    uint8_t unit;         /* its first unit in the SuperSlab */
    uint8_t granules;     /* of the whole slab: its units */
    _Atomic uint8_t kind; /* enum hak_kind */
};
_Static_assert(sizeof(struct hak_slab) == HAK_SLOT_SIZE, "a slab fills its slot");
_Static_assert(offsetof(struct hak_slab, kind) == HAK_SLOT_SIZE - 1, "every slot ends with its kind");

struct hak_superslab {
    struct hak_home
        *home; /* whose it is; NULL in the cache, and only there; changes under the cache's lock */
    const struct hak_heap *former;     /* in the cache: whose thread gave it up */
    struct hak_superslab *next, *prev; /* its heap's list of SuperSlabs of this kind, or the cache's */
    uint32_t first;                    /* granule */
    uint32_t units;
    uint32_t all_mask;   /* a bit a unit, but for those that somebody else has a mapping in */
    uint32_t free_mask;  /* units in no slab */
    uint32_t dirty_mask; /* free units that may hold memory; the others read as zero */
    uint32_t active;     /* sum of used over its slabs */
    uint32_t since;      /* time at which it last got a dirty unit, milliseconds */
    uint32_t waits_mask; /* dirty units that were that at the last look whether any are old, and ever since */
    uint32_t looked;     /* time of that, milliseconds */
    uint8_t pool;        /* 1: of its heap's pool arena */
    uint8_t reached;     /* so many of its units, from the first on, are committed */
    uint8_t unused[HAK_SUPERSLAB_RECORD - 4 * 8 - 9 * 4 - 4];
    _Atomic uint8_t small_pages; /* the range's: hak_region_is_small */
    _Atomic uint8_t in_use; /* its units if it is owned by a heap or in the cache; 0: the record is unused */
};
_Static_assert(sizeof(struct hak_superslab) == HAK_SUPERSLAB_RECORD, "a SuperSlab fills its record");
_Static_assert(offsetof(struct hak_superslab, in_use) == HAK_SUPERSLAB_RECORD - 1, "hak_superslab_in_use");

static inline size_t hak_superslab_bytes(const struct hak_superslab *ss) {
    return (size_t)ss->units << HAK_GRANULE_SHIFT;
}

/* Any thread: whether the rest of the record means anything. */
static inline bool hak_superslab_is_used(const struct hak_superslab *ss) {
    bool used = atomic_load_explicit(&ss->in_use, memory_order_acquire) != 0;
    hak_hook_acquire(&ss->in_use);
    return used;
}

static inline struct hak_superslab *hak_superslab_of(const struct hak_slab *slab) {
    return hak_superslab_record(slab->superslab_first);
}

static inline uint32_t hak_slab_first_granule(const struct hak_slab *slab) {
    return (uint32_t)(((uintptr_t)slab - hak_range.slots) / HAK_SLOT_SIZE);
}

static inline uintptr_t hak_slab_start(const struct hak_slab *slab) {
    return (uintptr_t)hak_granule_address(hak_slab_first_granule(slab));
}

/* The slab of a granule that is known to be in one: its block is not free, so the slab cannot go away. */
static inline struct hak_slab *hak_slab_of_granule(uint32_t granule) {
    struct hak_slab *slot = hak_slot_address(granule);
    return slot - slot->back;
}

/* The slab that holds ptr, or NULL if ptr (in the range) is in none. */
static inline struct hak_slab *hak_slab_find(const void *ptr) {
    uint32_t granule = hak_granule_of((const char *)ptr - 1);
    enum hak_kind kind = hak_kind_of(granule);
    return kind == HAK_KIND_SLAB || kind == HAK_KIND_SLAB_TAIL ? hak_slab_of_granule(granule) : NULL;
}

/* Block i's user pointer. */
static inline struct hak_block *hak_slab_block(const struct hak_slab *slab, uint32_t index) {
    return (struct hak_block *)(hak_slab_start(slab) + 16 + (uintptr_t)index * hak_classes[slab->bin].stride);
}

/* The block that ptr points into: the one whose header, contents or successor's header byte it is. Pointers
 * before the first block give block 0. */
static inline uint32_t hak_slab_index(const struct hak_slab *slab, const void *ptr) {
    uintptr_t offset = (uintptr_t)ptr - hak_slab_start(slab);
    return offset < 16 ? 0 : hak_class_divide(slab->bin, offset - 16);
}

/* Where the blocks of a slab are: at first + i * stride, i below capacity. */
struct hak_places {
    uintptr_t first;
    uint64_t reciprocal; /* see struct hak_class */
    uint32_t stride, capacity;
};

static inline struct hak_places hak_slab_places(const struct hak_slab *slab) {
    const struct hak_class *class = &hak_classes[slab->bin];
    return (struct hak_places){.first = hak_slab_start(slab) + 16,
                               .reciprocal = class->reciprocal,
                               .stride = class->stride,
                               .capacity = slab->capacity};
}

/* The number of the block whose place is exactly ptr; not below the capacity if there is none. Any thread: nothing that
 * changes is read. */
static inline uint64_t hak_places_index(const struct hak_places *places, const void *ptr) {
    uintptr_t offset = (uintptr_t)ptr - places->first; /* wraps, to no place, before the first */
    uint64_t index = (offset * places->reciprocal) >> 40;
    return index * places->stride == offset ? index : UINT64_MAX;
}

static inline bool hak_places_has(const struct hak_places *places, const void *ptr) {
    return hak_places_index(places, ptr) < places->capacity;
}

static inline bool hak_slab_owns(const struct hak_slab *slab, const void *ptr) {
    struct hak_places places = hak_slab_places(slab);
    return hak_places_has(&places, ptr);
}

/* Once, before the first of these. */
void hak_superslab_cache_begin(void);

/* A SuperSlab for `home`, all units free: from the cache, of 1 << shift bytes or, if it holds memory, of less; or of 1 << shift
 * bytes from the range. NULL: no memory. */
struct hak_superslab *hak_superslab_acquire(struct hak_home *home, unsigned shift, bool pool);

/* Puts up to `count` SuperSlabs without memory from the range into the cache, for whoever needs one; not many, and not where
 * there are some that hold memory. */
void hak_superslab_stock(uint32_t count);

/* Gives back a SuperSlab whose units are all free: to the cache, or to the range if the cache has its fill. That is 64 MiB at
 * first; what went to the range and is soon asked for again is added to it, up to 256 MiB. */
void hak_superslab_retire(struct hak_superslab *ss);

/* Of a heap that the calling thread has seized, those only leave the heap. Once it is given
 * back: releases them to the range; bytes. */
size_t hak_superslab_leave(void);

/* A slab of `bin` in units of `ss` out of `units`, which are free; NULL if there is no room of that shape. */
struct hak_slab *hak_slab_create(struct hak_superslab *ss, unsigned bin, uint32_t units);

/* Returns an empty slab's units. Its blocks, wherever they were linked, cease to exist. */
void hak_slab_destroy(struct hak_slab *slab, uint32_t now);

/* Gives back what free units of `ss` have held for so long. Where others came lately, that is
 * only known at the second look, so long after the first. Bytes. `ends`: in small steps, until
 * it says so of `of`; NULL: to the end. */
size_t hak_superslab_purge(struct hak_superslab *ss, uint32_t now, uint32_t older_than_ms,
                           bool (*ends)(const struct hak_heap *of), const struct hak_heap *of);

/* Has the system give memory to those of `units` that are free. They are dirty from here on: young ones. */
void hak_superslab_touch(struct hak_superslab *ss, uint32_t units);

/* Takes up to `max` blocks of the freelist: *head gets them, the result is their number. O(1) if that is all
 * of them. */
uint32_t hak_slab_take(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Cuts up to `max` never-used blocks, linked in address order, headers set; the result is their number. */
uint32_t hak_slab_carve(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Puts `count` linked blocks of this slab, head..tail, onto its freelist. `tail` may be NULL where the
 * freelist is empty and the chain ends with NULL. */
void hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail, uint32_t count);

/* Makes the slab uncarved again when none of its `used` blocks is anywhere but in the owner's hands. */
void hak_slab_reset(struct hak_slab *slab);

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
