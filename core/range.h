/* The range: one window of addresses that holds every block, with the page map before the blocks.
 *
 *   window   [ page map | SuperSlab table | metadata | first granule ... top ... committed | ... ]
 *
 * Granules below `top` are in use, in a free span or in a hole. Granules from `top` on belong to
 * nobody. Memory is committed in the order of addresses and given back from the end, so each area
 * is one kernel mapping, whatever the program does. Free spans hold no memory: they read as zero.
 * Where address space is scarce, or the memory that the kernel promises, free spans become holes,
 * which are unmapped: see docs/decisions/0019.
 *
 * While the range keeps its memory (hak_range_keep), memory is not given back, no hole is made, and
 * each free span says whether it may hold memory. A hole from before stays a hole until a span is
 * taken from it: see docs/decisions/0018.
 *
 * This header has what every file needs of the range: addresses, page map entries, figures. Spans
 * of granules are taken and given back through spans.h. */
#ifndef HAK_RANGE_H
#define HAK_RANGE_H

#include "core/hooks.h"
#include "core/lock.h"
#include "core/window.h"
#include "core/words.h"

/* The first granule that is handed out; a SuperSlab may begin there. Before it only one page is
 * committed, so that the byte before any pointer into the range can be read. */
#define HAK_GRANULE_FIRST 32u
_Static_assert(HAK_GRANULE_FIRST % HAK_UNITS_MAX == 0, "a SuperSlab may begin there");

/* The page map entry of a granule, 64 bytes. Its forms are struct hak_slab, struct hak_large and
 * struct hak_free_span. */

#define HAK_MAP_ENTRY_SIZE 64

/* No pointer, NULL included, is in a range that begins here, whatever the end is: a thread may
 * see the new end before the new base. */
#define HAK_RANGE_NONE ((uintptr_t)1 << 63)

/* Every malloc and free reads the first two members, each as an operand of one instruction. Once
 * there is a range, no other member of this cache line is written except `keeps` and `cached_most`,
 * and these two hardly ever. */
struct hak_range {
    /* address of granule HAK_GRANULE_FIRST; HAK_RANGE_NONE until there is a range */
    _Alignas(64) _Atomic uintptr_t base;
    /* bytes from base to the end of what is committed, in units of 16; 0 until there is a range */
    _Atomic uint64_t end;
    uintptr_t start;        /* address of granule 0 */
    uintptr_t map;          /* address of granule 0's page map entry */
    uintptr_t records;      /* address of the SuperSlab table */
    uint32_t granules;      /* of the window, counted from granule 0 */
    _Atomic uint32_t keeps; /* 1: see hak_range_keep */
    /* bytes that a cache may hold; SIZE_MAX unless addresses or memory are scarce */
    _Atomic size_t cached_most;
};
_Static_assert(sizeof(struct hak_range) == 64, "a cache line of its own");
extern HAK_HIDDEN struct hak_range hak_range;

/* ptr - hak_range.base */
HAK_INLINE uintptr_t hak_range_distance(const void *ptr) {
    return hak_word_distance(&hak_range.base, ptr);
}

/* For a 16-byte aligned pointer into the range: its distance from base in units of 16. For any
 * other pointer: a number that is not below hak_range.end, because its low bits become the
 * highest bits. */
HAK_INLINE uint64_t hak_range_offset(const void *ptr) {
    uint64_t offset = hak_range_distance(ptr);
    return offset >> 4 | offset << 60;
}

HAK_INLINE bool hak_range_has(const void *ptr) {
    return hak_word_is_above(&hak_range.end, hak_range_offset(ptr));
}

/* The next block of a list. The link lies in memory that the program may overwrite, so a link that
 * leads out of the range is never followed. */
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

/* Rounds up. */
static inline uint32_t hak_granules_for(size_t bytes) {
    return (uint32_t)((bytes + HAK_GRANULE - 1) >> HAK_GRANULE_SHIFT);
}

/* True if the granule lies below the range's end: memory is committed there, and the granule's page
 * map entry. */
static inline bool hak_granule_is_below_end(uint32_t granule) {
    return hak_range_has(hak_granule_address(granule));
}

static inline void *hak_map_entry(uint32_t granule) {
    HAK_ASSERT(granule < hak_range.granules);
    return (void *)(hak_range.map + (uintptr_t)granule * HAK_MAP_ENTRY_SIZE);
}

/* The kind is the last byte of each page map entry. Readers need no lock: the kind does not change
 * while a block in the granule is live. */
static inline _Atomic uint8_t *hak_map_entry_kind(uint32_t granule) {
    return (_Atomic uint8_t *)hak_map_entry(granule) + (HAK_MAP_ENTRY_SIZE - 1);
}

static inline enum hak_kind hak_kind_of(uint32_t granule) {
    return (enum hak_kind)atomic_load_explicit(hak_map_entry_kind(granule), memory_order_acquire);
}

static inline void hak_kind_set(uint32_t granule, enum hak_kind kind) {
    atomic_store_explicit(hak_map_entry_kind(granule), (uint8_t)kind, memory_order_release);
}

/* Opens the window, or reserves addresses for it, and commits the first granules. Halves the
 * window's size until the system agrees; false: the system refuses the smallest size, or the first
 * granules. If there is a range, returns true and does nothing. Under the heaps' lock. */
bool hak_range_init(void);

/* The granules from the returned one on belong to nobody. Takes the range's lock. */
uint32_t hak_range_top(void);

/* The granules below the returned one have page map entries and records. All granules that ever had
 * memory are among them. */
uint32_t hak_range_in_tables(void);

#define HAK_SUPERSLAB_RECORD 128

/* The record of the SuperSlab that begins at this granule (a multiple of 16); zero at first. */
static inline void *hak_superslab_record(uint32_t first_granule) {
    HAK_CHECK(first_granule % 16 == 0 && first_granule < hak_range.granules);
    return (void *)(hak_range.records + (uintptr_t)first_granule / 16 * HAK_SUPERSLAB_RECORD);
}

/* The first word of each record: the home of the SuperSlab, and after its end the home that had it
 * last; NULL: none ever did. For the caller who has the granules. */
static inline const void *hak_superslab_last_home(uint32_t first_granule) {
    return *(const void *const *)hak_superslab_record(first_granule);
}

/* The last byte of each record: the number of granules of the SuperSlab; 0: the record is
 * unused. */
static inline _Atomic uint8_t *hak_superslab_in_use(uint32_t first_granule) {
    return (_Atomic uint8_t *)hak_superslab_record(first_granule) + (HAK_SUPERSLAB_RECORD - 1);
}

/* The byte before the last: 1 if the region of 2 MiB that begins at this granule is advised against
 * huge pages, see hak_range_purge_part. */
static inline _Atomic uint8_t *hak_region_is_small(uint32_t first_granule) {
    return (_Atomic uint8_t *)hak_superslab_record(first_granule) + (HAK_SUPERSLAB_RECORD - 2);
}

static inline uint32_t hak_superslab_units_at(uint32_t first_granule) {
    return atomic_load_explicit(hak_superslab_in_use(first_granule), memory_order_acquire);
}

/* Memory for the allocator's own structures: 64-byte aligned, zero, never freed. NULL: there is no
 * memory. Takes the range's lock. */
void *hak_metadata_alloc(size_t bytes);

/* Bytes committed in the range and its tables: address space, not resident memory. Takes the
 * range's lock. */
size_t hak_range_committed(void);

/* Gives the memory of pages, which may be in use or free, to the system. Arguments and result are
 * those of hak_os.purge.
 *
 * Where the kernel may use huge pages, a region that is purged in part is advised against them:
 * otherwise khugepaged would make a huge page of the region again, and the purged part would be
 * resident again. Where huge pages were asked for (HAKMEM_THP=1), the advice ends when
 * hak_range_used tells that all of the region is in use again. Where the kernel gives huge pages to
 * all memory, the advice stays for good. See docs/decisions/0020. */
bool hak_range_purge_part(void *start, size_t bytes);
/* All of the granules [first, first + count) are in use again. */
void hak_range_used(uint32_t first, uint32_t count);

/* While the range keeps its memory, a span that is given back goes on holding memory for the next
 * user, and spans that hold memory are taken first. The policy decides (policy.h) and tells the
 * range; the files below the policy ask hak_range_keeps. */
void hak_range_keep(bool keeps);
static inline bool hak_range_keeps(void) {
    return HAK_UNLIKELY(HAK_HINT_LOAD(&hak_range.keeps) != 0);
}

/* The bytes that a cache may hold which wants to hold `wanted`: fewer where a limit is near, or
 * where all mapped memory counts. */
static inline size_t hak_range_cached_most(size_t wanted) {
    size_t most = atomic_load_explicit(&hak_range.cached_most, memory_order_relaxed);
    return HAK_LIKELY(wanted < most) ? wanted : most;
}

/* True if addresses or memory are scarce; always false while the range keeps its memory. */
static inline bool hak_range_is_scarce(void) {
    return HAK_UNLIKELY(hak_range_cached_most(SIZE_MAX) < SIZE_MAX) && !hak_range_keeps();
}

/* Bytes of address space that hold blocks, or wait for blocks. */
struct hak_footprint {
    /* SuperSlabs from the range, less those that went back. */
    _Alignas(64) _Atomic size_t superslabs;
    /* The cache, and SuperSlabs out of it less those that went into it; so this does not change
     * where a SuperSlab comes or goes. May be below zero, modulo 2^64. This and the next one are
     * written under the cache's lock. */
    _Atomic size_t balance;
    size_t cached;       /* read without the lock as a hint: __atomic builtins */
    _Atomic size_t kept; /* free spans that may hold memory; written under the range's lock */
    _Atomic size_t peak; /* of the sum of superslabs, balance and kept */
    _Atomic size_t peak_check_above; /* value of balance above which the sum may exceed the peak */
    _Atomic size_t large;            /* spans of live large blocks; not part of the sum */
};
extern HAK_HIDDEN struct hak_footprint hak_footprint;

/* Bytes of the SuperSlabs of all heaps. */
static inline size_t hak_footprint_superslabs(void) {
    return atomic_load_explicit(&hak_footprint.superslabs, memory_order_relaxed) +
           atomic_load_explicit(&hak_footprint.balance, memory_order_relaxed) -
           __atomic_load_n(&hak_footprint.cached, __ATOMIC_RELAXED);
}

/* The sum. While other threads are at work, its parts may be of different moments. */
static inline size_t hak_footprint_bytes(void) {
    return atomic_load_explicit(&hak_footprint.superslabs, memory_order_relaxed) +
           atomic_load_explicit(&hak_footprint.balance, memory_order_relaxed) +
           atomic_load_explicit(&hak_footprint.kept, memory_order_relaxed);
}

/* Raises the peak if the sum exceeds it. For callers that may have added SuperSlabs or kept
 * memory. */
void hak_footprint_peak_update(void);

/* The same for a caller that has added to the cache, which happens often. */
static inline void hak_footprint_peak_update_above(size_t balance) {
    const size_t above =
        atomic_load_explicit(&hak_footprint.peak_check_above, memory_order_relaxed);
    if (HAK_UNLIKELY((ptrdiff_t)(balance - above) > 0)) /* both modulo 2^64 */
        hak_footprint_peak_update();
}

/* Bytes of free spans that may hold memory. */
static inline size_t hak_range_kept(void) {
    return atomic_load_explicit(&hak_footprint.kept, memory_order_relaxed);
}

/* Whether pages may be moved (hak_os.move). False in a reservation, and after
 * hak_range_forbid_moves. */
bool hak_range_may_move(void);
/* From here on no pages are moved: the system has refused a move, granules were lost, or a moved
 * block's mapping stays because memory is kept. */
void hak_range_forbid_moves(void);

/* Advises the kernel for (true) or against (false) transparent huge pages: for the whole range, and
 * for all memory that the range will get. While there is one thread. */
void hak_range_huge_pages(bool wanted);

#endif
