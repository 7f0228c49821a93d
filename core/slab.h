/* Slabs: one or more units of a SuperSlab, cut into blocks of one class. What is known of them lies in the page map, out of
 * reach of their blocks.
 *
 * A slab belongs to the thread that rules its home, and only that thread calls the functions that change it; other threads
 * touch only its remote list (remote.h). */
#ifndef HAK_SLAB_H
#define HAK_SLAB_H

#include "core/size_class.h"
#include "core/superslab.h"

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
    uint8_t class;
    uint8_t state;        /* enum hak_slab_state */
    uint8_t back;         /* granules back to the slab's first one; 0 in the first */
    uint8_t unit;         /* its first unit in the SuperSlab */
    uint8_t granules;     /* of the whole slab: its units */
    _Atomic uint8_t kind; /* enum hak_kind */
};
_Static_assert(sizeof(struct hak_slab) == HAK_MAP_ENTRY_SIZE, "a slab fills its page map entry");
_Static_assert(offsetof(struct hak_slab, kind) == HAK_MAP_ENTRY_SIZE - 1,
               "every entry ends with its kind");

static inline struct hak_superslab *hak_superslab_of(const struct hak_slab *slab) {
    return hak_superslab_record(slab->superslab_first);
}

static inline uint32_t hak_slab_first_granule(const struct hak_slab *slab) {
    return (uint32_t)(((uintptr_t)slab - hak_range.map) / HAK_MAP_ENTRY_SIZE);
}

static inline uintptr_t hak_slab_start(const struct hak_slab *slab) {
    return (uintptr_t)hak_granule_address(hak_slab_first_granule(slab));
}

/* The slab of a granule that is known to be in one: its block is not free, so the slab cannot go away. */
static inline struct hak_slab *hak_slab_of_granule(uint32_t granule) {
    struct hak_slab *entry = hak_map_entry(granule);
    return entry - entry->back;
}

/* The slab that holds ptr, or NULL if ptr (in the range) is in none. */
static inline struct hak_slab *hak_slab_find(const void *ptr) {
    uint32_t granule = hak_granule_of((const char *)ptr - 1);
    enum hak_kind kind = hak_kind_of(granule);
    return kind == HAK_KIND_SLAB || kind == HAK_KIND_SLAB_TAIL ? hak_slab_of_granule(granule)
                                                               : NULL;
}

/* Block i's user pointer. */
static inline struct hak_block *hak_slab_block(const struct hak_slab *slab, uint32_t index) {
    return (struct hak_block *)(hak_slab_start(slab) + 16 +
                                (uintptr_t)index * hak_classes[slab->class].stride);
}

/* The block that ptr points into: the one whose header, contents or successor's header byte it is. Pointers
 * before the first block give block 0. */
static inline uint32_t hak_slab_index(const struct hak_slab *slab, const void *ptr) {
    uintptr_t offset = (uintptr_t)ptr - hak_slab_start(slab);
    return offset < 16 ? 0 : hak_class_divide(slab->class, offset - 16);
}

/* Where the blocks of a slab are: at first + i * stride, i below capacity. */
struct hak_places {
    uintptr_t first;
    uint64_t reciprocal; /* see struct hak_class */
    uint32_t stride, capacity;
};

static inline struct hak_places hak_slab_places(const struct hak_slab *slab) {
    const struct hak_class *class = &hak_classes[slab->class];
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

#define HAK_REMOTE_COUNT_BITS 16
#define HAK_REMOTE_COUNT_MASK ((uint64_t)UINT16_MAX)

static inline uint32_t hak_remote_word_count(uint64_t word) {
    return (uint32_t)(word & HAK_REMOTE_COUNT_MASK);
}
static inline struct hak_block *hak_remote_word_head(uint64_t word) {
    return (struct hak_block *)(uintptr_t)(word >> HAK_REMOTE_COUNT_BITS);
}

/* Any thread; a snapshot. */
static inline uint32_t hak_remote_count(const struct hak_slab *slab) {
    return hak_remote_word_count(atomic_load_explicit(&slab->remote, memory_order_relaxed));
}

/* A slab of `bin` in units of `ss` out of `units`, which are free; NULL if there is no room of that shape. */
struct hak_slab *hak_slab_create(struct hak_superslab *ss, unsigned bin, uint32_t units);

/* Returns an empty slab's units. Its blocks, wherever they were linked, cease to exist. */
void hak_slab_destroy(struct hak_slab *slab, uint32_t now);

/* Takes up to `max` blocks of the freelist: *head gets them, the result is their number. O(1) if that is all
 * of them. */
uint32_t hak_slab_take(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Cuts up to `max` never-used blocks, linked in address order, headers set; the result is their number. */
uint32_t hak_slab_carve(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Puts `count` linked blocks of this slab, head..tail, onto its freelist. `tail` may be NULL where the
 * freelist is empty and the chain ends with NULL. */
void hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                  uint32_t count);

/* Makes the slab uncarved again when none of its `used` blocks is anywhere but in the owner's hands. */
void hak_slab_reset(struct hak_slab *slab);

#endif
