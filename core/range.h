/* The range: one window of addresses that holds every block, with the page map before it.
 *
 *   window   [ page map entries | SuperSlab table | metadata | first granule ... top ... committed | ... ]
 *
 * Granules below `top` are in use, in a free span or in a hole; those from `top` on belong to nobody.
 * Memory is committed in order, and given back from the end, so the kernel sees one mapping an area,
 * whatever the program does. Free spans hold no memory: they read as zero. Where address space or what
 * the kernel promises is scarce, free spans become holes, which are unmapped: see docs/decisions/0019.
 * While the range keeps its memory (hak_range_keep) none of that happens: nothing is given back, and each
 * free span says whether it may hold memory. Only a hole from before stays one: see docs/decisions/0018.
 *
 * This is what all need of it: addresses, page map entries, figures. Who wants granules: spans.h. */
#ifndef HAK_RANGE_H
#define HAK_RANGE_H

#include "core/hooks.h"
#include "core/lock.h"
#include "core/window.h"

/* The first that is handed out, where a SuperSlab may begin. Of those before it only the last has
 * memory: the byte before any pointer into the range can be read. */
#define HAK_GRANULE_FIRST 32u
_Static_assert(HAK_GRANULE_FIRST % HAK_UNITS_MAX == 0, "a SuperSlab may begin there");

struct hak_slot; /* 64 bytes a granule; its members are in superslab.h and large.h */

#define HAK_MAP_ENTRY_SIZE 64

/* No pointer, NULL included, is in a range that begins here, whatever its limit: a thread may see one of the two words
 * before the other. */
#define HAK_RANGE_NONE ((uintptr_t)1 << 63)

/* The first two are read on every malloc and free, each as an operand of one instruction. In this cache line nothing else is
 * written once there is a range, but for `keeps` and `cached_most`, and those hardly ever. */
struct hak_range {
    _Alignas(64) _Atomic uintptr_t
        base; /* of the first granule; HAK_RANGE_NONE until there is a range */
    _Atomic uint64_t
        limit;         /* committed bytes behind base, in units of 16; 0 until there is a range */
    uintptr_t start;   /* address of granule 0 */
    uintptr_t map;     /* address of granule 0's page map entry */
    uintptr_t records; /* address of the SuperSlab table */
    uint32_t granules; /* reserved */
    _Atomic uint32_t keeps; /* 1: see hak_range_keep */
    _Atomic size_t
        cached_most; /* bytes that a cache may keep; SIZE_MAX unless something is scarce */
};
_Static_assert(sizeof(struct hak_range) == 64, "a cache line of its own");
extern HAK_HIDDEN struct hak_range hak_range;

/* ptr - hak_range.base, and offset < hak_range.limit, which other threads raise. An aligned load is atomic on x86-64, also
 * as an operand of a subtraction or comparison, which the compiler would not use for an atomic variable. */
#if defined(__x86_64__)
HAK_INLINE uintptr_t hak_range_distance(const void *ptr) {
    uintptr_t distance = (uintptr_t)ptr;
    __asm__("subq %1, %0" : "+r"(distance) : "m"(hak_range.base) : "cc");
    return distance;
}

HAK_INLINE bool hak_range_limit_is_above(uint64_t offset) {
    bool below;
    __asm__("cmpq %2, %1" : "=@ccb"(below) : "r"(offset), "m"(hak_range.limit));
    return below;
}
#else
HAK_INLINE uintptr_t hak_range_distance(const void *ptr) {
    return (uintptr_t)ptr - atomic_load_explicit(&hak_range.base, memory_order_relaxed);
}

HAK_INLINE bool hak_range_limit_is_above(uint64_t offset) {
    return offset < atomic_load_explicit(&hak_range.limit, memory_order_relaxed);
}
#endif

/* For a pointer into the range that is 16-byte aligned: its distance from base in units of 16. Anything else
 * gives a number that is not below hak_range.limit, for the low bits become the high ones. */
HAK_INLINE uint64_t hak_range_offset(const void *ptr) {
    uint64_t offset = hak_range_distance(ptr);
    return offset >> 4 | offset << 60;
}

HAK_INLINE bool hak_range_has(const void *ptr) {
    return hak_range_limit_is_above(hak_range_offset(ptr));
}

/* The next block of a list that memory of the program holds: never followed out of the range. */
static inline struct hak_block *hak_block_next(const struct hak_block *block) {
    struct hak_block *next = block->next;
    HAK_CHECK(next == NULL || hak_range_has(next));
    return next;
}

static inline bool hak_range_is_there(void) {
    return atomic_load_explicit(&hak_range.base, memory_order_relaxed) != HAK_RANGE_NONE;
}

static inline uint32_t hak_granule_of(const void *ptr) {
    return (uint32_t)(((uintptr_t)ptr - hak_range.start) >> HAK_GRANULE_SHIFT);
}

static inline void *hak_granule_address(uint32_t granule) {
    return (void *)(hak_range.start + ((uintptr_t)granule << HAK_GRANULE_SHIFT));
}

/* The granules that so many bytes need. */
static inline uint32_t hak_granules_for(size_t bytes) {
    return (uint32_t)((bytes + HAK_GRANULE - 1) >> HAK_GRANULE_SHIFT);
}

/* Whether there is memory for it, and for its page map entry. */
static inline bool hak_granule_is_there(uint32_t granule) {
    return hak_range_has(hak_granule_address(granule));
}

static inline void *hak_map_entry(uint32_t granule) {
    HAK_ASSERT(granule < hak_range.granules);
    return (void *)(hak_range.map + (uintptr_t)granule * HAK_MAP_ENTRY_SIZE);
}

/* The kind is every page map entry's last byte; readers need no lock, what it says is stable while a block of it lives.
 */
static inline _Atomic uint8_t *hak_map_entry_kind(uint32_t granule) {
    return (_Atomic uint8_t *)hak_map_entry(granule) + (HAK_MAP_ENTRY_SIZE - 1);
}

static inline enum hak_kind hak_kind_of(uint32_t granule) {
    return (enum hak_kind)atomic_load_explicit(hak_map_entry_kind(granule), memory_order_acquire);
}

static inline void hak_kind_set(uint32_t granule, enum hak_kind kind) {
    atomic_store_explicit(hak_map_entry_kind(granule), (uint8_t)kind, memory_order_release);
}

/* Reserves the range; halves until the system agrees. False if even the smallest is refused. Once. */
bool hak_range_init(void);

/* The granules from here on belong to nobody. */
uint32_t hak_range_top(void);

/* All granules that ever had memory lie below: these have page map entries and records. */
uint32_t hak_range_in_tables(void);

#define HAK_SUPERSLAB_RECORD 128

/* The table record of the SuperSlab that begins at a granule (a multiple of 16); zero at first. */
static inline void *hak_superslab_record(uint32_t first_granule) {
    HAK_CHECK(first_granule % 16 == 0 && first_granule < hak_range.granules);
    return (void *)(hak_range.records + (uintptr_t)first_granule / 16 * HAK_SUPERSLAB_RECORD);
}

/* Each record's last byte: the granules of the SuperSlab, 0 if the record is unused. */
static inline _Atomic uint8_t *hak_superslab_in_use(uint32_t first_granule) {
    return (_Atomic uint8_t *)hak_superslab_record(first_granule) + (HAK_SUPERSLAB_RECORD - 1);
}

/* The byte before that: whether the region of 2 MiB that begins there has small pages (hak_range_purge_part). */
static inline _Atomic uint8_t *hak_region_is_small(uint32_t first_granule) {
    return (_Atomic uint8_t *)hak_superslab_record(first_granule) + (HAK_SUPERSLAB_RECORD - 2);
}

static inline uint32_t hak_superslab_units_used(uint32_t first_granule) {
    return atomic_load_explicit(hak_superslab_in_use(first_granule), memory_order_acquire);
}

/* Memory for the allocator's own structures, 64-byte aligned, zero, never freed; NULL if there is none. */
void *hak_metadata_alloc(size_t bytes);

/* Bytes committed in the range and its tables (address space, not resident memory). */
size_t hak_range_committed(void);

/* Gives back the memory of pages in use or free, as hak_os.purge. Where huge pages may come, a region that is purged in part has
 * small pages from then on: else khugepaged makes a huge page of it again, and the memory is back. Until all of the region is
 * in use again, as its user tells, where they were asked for (HAKMEM_THP=1); where the kernel gives them to all, for good. */
bool hak_range_purge_part(void *start, size_t bytes);
void hak_range_used(uint32_t first, uint32_t count);

/* While a range keeps its memory, spans that are given back hold it for whoever needs a span next, and spans that hold memory are
 * taken first. The policy says when (policy.h); this is where it is asked. */
void hak_range_keep(bool keeps);
static inline bool hak_range_keeps(void) {
    return HAK_UNLIKELY(HAK_HINT_LOAD(&hak_range.keeps) != 0);
}

/* What a cache may keep of the bytes that it wants to: less where a limit is near, or where what is mapped counts. */
static inline size_t hak_range_cached_most(size_t wanted) {
    size_t most = atomic_load_explicit(&hak_range.cached_most, memory_order_relaxed);
    return HAK_LIKELY(wanted < most) ? wanted : most;
}

/* Not while the range keeps its memory. */
static inline bool hak_range_is_scarce(void) {
    return HAK_UNLIKELY(hak_range_cached_most(SIZE_MAX) < SIZE_MAX) && !hak_range_keeps();
}

/* Bytes of address space that hold blocks of bins, or wait for blocks: all but live large blocks. */
struct hak_held {
    _Alignas(64) _Atomic size_t superslabs;
    _Atomic size_t bigcache; /* written under its lock */
    _Atomic size_t kept;     /* free spans that may hold memory; written under the range's lock */
    _Atomic size_t peak;     /* of the sum of these */
    _Atomic size_t look_at;  /* bytes of the BigCache above which it may be time to look */
};
extern HAK_HIDDEN struct hak_held hak_held;

/* Of different moments, where other threads are at work. */
static inline size_t hak_held_bytes(void) {
    return atomic_load_explicit(&hak_held.superslabs, memory_order_relaxed) +
           atomic_load_explicit(&hak_held.bigcache, memory_order_relaxed) +
           atomic_load_explicit(&hak_held.kept, memory_order_relaxed);
}

/* Raises the peak, if need be. After SuperSlabs or kept memory may have become more. */
void hak_held_look(void);

/* The same after the BigCache has got more, which is often. */
static inline void hak_held_look_at(size_t bigcache) {
    if (HAK_UNLIKELY(bigcache > atomic_load_explicit(&hak_held.look_at, memory_order_relaxed)))
        hak_held_look();
}

/* Bytes of free spans that may hold memory. */
static inline size_t hak_range_kept(void) {
    return atomic_load_explicit(&hak_held.kept, memory_order_relaxed);
}

/* False in a reservation, and once the system has refused to move pages or lost some. */
bool hak_range_may_move(void);
/* From here on that is false. */
void hak_range_fix(void);

/* Advises the kernel for or against transparent huge pages, for the whole range and for ever. */
void hak_range_huge_pages(bool wanted);

#endif
