/* Slabs: one, two or four units of a SuperSlab, cut into blocks of one class. Their metadata lies
 * in the page map, out of reach of an overflow of their blocks.
 *
 * A slab belongs to a home. Only the thread of the home's owner calls the functions that change the
 * slab; other threads touch only its remote list (remote.h). */
#ifndef HAK_SLAB_H
#define HAK_SLAB_H

#include "core/size_class.h"
#include "core/superslab.h"

/* How its heap uses a slab. */
enum hak_slab_state {
    HAK_SLAB_UNLISTED = 0, /* no free block that the owner knows of; in no list */
    HAK_SLAB_CURRENT,      /* its bin is refilled from it */
    HAK_SLAB_PARTIAL /* in its heap's partial list of its class: has free or uncarved blocks */
};

struct hak_slab {
    _Atomic uint64_t remote;      /* remote list: first block << 16 | count (remote.h) */
    struct hak_slab *notify_next; /* link in its home's stack of notified slabs */
    struct hak_home *home;        /* notified of remote frees; fixed while the slab exists */
    struct hak_block *freelist;   /* carved - used blocks */
    struct hak_slab *next, *prev; /* links of the partial list of its class */
    uint32_t superslab_first;     /* first granule of its SuperSlab */
    uint16_t used;                /* for this and `carved` see the equations in types.h */
    uint16_t carved;
    uint16_t capacity;
    uint8_t class;
    uint8_t state;             /* enum hak_slab_state */
    uint8_t granules_to_first; /* distance to the slab's first granule, in granules */
    uint8_t unit;              /* number of its first unit in the SuperSlab */
    bool has_purged_pages;     /* see slab_pages.h */
    _Atomic uint8_t kind;      /* enum hak_kind */
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

/* The number of its granules, which are its units. */
static inline uint32_t hak_slab_granules(const struct hak_slab *slab) {
    return hak_classes[slab->class].units;
}

static inline uintptr_t hak_slab_start(const struct hak_slab *slab) {
    return (uintptr_t)hak_granule_address(hak_slab_first_granule(slab));
}

/* The slab that the granule is a part of; the granule must be part of one. The caller holds a block
 * of the slab that is not on its freelist, so no thread can destroy the slab. */
static inline struct hak_slab *hak_slab_of_granule(uint32_t granule) {
    struct hak_slab *entry = hak_map_entry(granule);
    return entry - entry->granules_to_first;
}

/* The slab that holds the header byte before `ptr`, a pointer into the range; NULL: none. */
static inline struct hak_slab *hak_slab_find(const void *ptr) {
    uint32_t granule = hak_granule_of((const char *)ptr - 1);
    enum hak_kind kind = hak_kind_of(granule);
    return kind == HAK_KIND_SLAB || kind == HAK_KIND_SLAB_TAIL ? hak_slab_of_granule(granule)
                                                               : NULL;
}

/* The user pointer of block `index`. */
static inline struct hak_block *hak_slab_block(const struct hak_slab *slab, uint32_t index) {
    return (struct hak_block *)(hak_slab_start(slab) + 16 +
                                (uintptr_t)index * hak_classes[slab->class].stride);
}

/* The index of the block that `ptr` points into: to its contents, or to the header byte of the next
 * block behind them. Pointers before the contents of block 0 give 0. */
static inline uint32_t hak_slab_index(const struct hak_slab *slab, const void *ptr) {
    uintptr_t offset = (uintptr_t)ptr - hak_slab_start(slab);
    return offset < 16 ? 0 : hak_class_divide(slab->class, offset - 16);
}

/* Where the blocks of a slab lie: first + i * stride, for each i below capacity. */
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

/* The index of the block whose user pointer is exactly `ptr`; if there is none, a number that is
 * not below the capacity. Any thread: it reads nothing that changes. */
static inline uint64_t hak_places_index(const struct hak_places *places, const void *ptr) {
    /* If `ptr` is before the first block, the offset wraps, and is too large for any index. */
    uintptr_t offset = (uintptr_t)ptr - places->first;
    uint64_t index = (offset * places->reciprocal) >> 40;
    return index * places->stride == offset ? index : UINT64_MAX;
}

static inline bool hak_places_has(const struct hak_places *places, const void *ptr) {
    return hak_places_index(places, ptr) < places->capacity;
}

static inline bool hak_slab_has(const struct hak_slab *slab, const void *ptr) {
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

/* Length of the remote list. Any thread; other threads may change it at any time. */
static inline uint32_t hak_remote_count(const struct hak_slab *slab) {
    return hak_remote_word_count(atomic_load_explicit(&slab->remote, memory_order_relaxed));
}

/* Makes a slab of class `bin` in adjacent units of the mask `units`, in which all units are free.
 * NULL: not enough adjacent units, or no memory for them. */
struct hak_slab *hak_slab_create(struct hak_superslab *ss, unsigned bin, uint32_t units);

/* Gives the units of an empty slab back to its SuperSlab. Its blocks cease to exist, also those in
 * the freelist. `now`: milliseconds. */
void hak_slab_destroy(struct hak_slab *slab, uint32_t now);

/* Moves up to `max` blocks from the freelist to the list *head; returns their number. O(1) if these
 * are all blocks of the freelist. */
uint32_t hak_slab_take(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Cuts up to `max` blocks off the uncarved end; returns their number. The slab has no purged page.
 * The list *head links them in address order, and their header bytes are set. */
uint32_t hak_slab_carve(struct hak_slab *slab, uint32_t max, struct hak_block **head);

/* Puts `count` linked blocks of this slab, head..tail, onto its freelist. `tail` may be NULL if the
 * freelist is empty and the chain ends with NULL. */
void hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                  uint32_t count);

/* Makes the slab uncarved again. The caller must hold all its `used` blocks: none of them is live,
 * in a bin, or on the remote list. */
void hak_slab_reset(struct hak_slab *slab);

#endif
