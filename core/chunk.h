/* The range: one window of addresses that holds every block, with the slot table before it.
 *
 *   window   [ slots | SuperSlab table | metadata | first granule ... top ... committed | ... ]
 *
 * Granules below `top` are in use, in a free run or in a hole; those from `top` on belong to nobody.
 * Memory is committed in order, and given back from the end, so the kernel sees one mapping an area,
 * whatever the program does. Free runs hold no memory: they read as zero. Where address space or what
 * the kernel promises is scarce, free runs become holes, which are unmapped: see docs/decisions/0019.
 * While the range keeps its memory (hak_range_keep) none of that happens: nothing is given back, and each
 * free run says whether it may hold memory. Only a hole from before stays one: see docs/decisions/0018. */
#ifndef HAK_CHUNK_H
#define HAK_CHUNK_H

#include "core/lock.h"
#include "core/window.h"
#include "verify/hooks.h"

/* The first that is handed out, where a SuperSlab may begin. Of those before it only the last has
 * memory: the byte before any pointer into the range can be read. */
#define HAK_GRANULE_FIRST 32u
_Static_assert(HAK_GRANULE_FIRST % HAK_UNITS_MAX == 0, "a SuperSlab may begin there");

struct hak_slot; /* 64 bytes a granule; its members are in superslab.h and large.h */

#define HAK_SLOT_SIZE 64

/* No pointer, NULL included, is in a range that begins here, whatever its limit: a thread may see one of the two words
 * before the other. */
#define HAK_RANGE_NONE ((uintptr_t)1 << 63)

/* The first two are read on every malloc and free, each as an operand of one instruction. In this cache line nothing else is
 * written once there is a range, but for `keeps` and `cached_most`, and those hardly ever. */
struct hak_range {
    _Alignas(64) _Atomic uintptr_t base; /* of the first granule; HAK_RANGE_NONE until there is a range */
    _Atomic uint64_t limit;     /* committed bytes behind base, in units of 16; 0 until there is a range */
    uintptr_t start;            /* address of granule 0 */
    uintptr_t slots;            /* address of granule 0's slot */
    uint32_t granules;          /* reserved */
    _Atomic uint32_t keeps;     /* 1: see hak_range_keep */
    _Atomic size_t cached_most; /* bytes that a cache may keep; SIZE_MAX unless something is scarce */
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

/* Whether there is memory for it, and for its slot. */
static inline bool hak_granule_is_there(uint32_t granule) {
    return hak_range_has(hak_granule_address(granule));
}

static inline void *hak_slot_address(uint32_t granule) {
    HAK_ASSERT(granule < hak_range.granules);
    return (void *)(hak_range.slots + (uintptr_t)granule * HAK_SLOT_SIZE);
}

/* The kind is every slot's last byte; readers need no lock, what it says is stable while a block of it lives.
 */
static inline _Atomic uint8_t *hak_slot_kind(uint32_t granule) {
    return (_Atomic uint8_t *)hak_slot_address(granule) + (HAK_SLOT_SIZE - 1);
}

static inline enum hak_kind hak_kind_of(uint32_t granule) {
    return (enum hak_kind)atomic_load_explicit(hak_slot_kind(granule), memory_order_acquire);
}

static inline void hak_kind_set(uint32_t granule, enum hak_kind kind) {
    atomic_store_explicit(hak_slot_kind(granule), (uint8_t)kind, memory_order_release);
}

/* Reserves the range; halves until the system agrees. False if even the smallest is refused. Once. */
bool hak_range_init(void);

/* What each granule belongs to can be told from the tables at each instruction, so that a child of fork can find the free ones
 * whatever the parent's other threads were doing. A run in use is one of:
 *   - a SuperSlab whose record says `in_use`;
 *   - a large block or a cached run, whose first granule's slot says so, with the number of granules;
 *   - any other, whose first granule's slot says HAK_KIND_TAKEN, with the number of granules: hak_run_alloc leaves it so, and
 *     hak_run_free finds it so. */

/* `count` granules that begin at a multiple of `align` granules (a power of two), committed. They are zero, unless
 * hak_run_is_dirty. 0 if there are none. */
uint32_t hak_run_alloc(uint32_t count, uint32_t align);

/* The same, of which perhaps only the first *there are committed, at least those that the caller
 * asks for by it, 0 or all. */
uint32_t hak_run_alloc_part(uint32_t count, uint32_t align, uint32_t *there);

/* Commits `more` granules of the caller's run, of which the first `there` are. HAK_PLACE_TAKEN:
 * somebody else has a mapping in them. */
enum hak_placed hak_run_reach(uint32_t first, uint32_t count, uint32_t there, uint32_t more);

/* Says that somebody uses these granules, as hak_run_alloc does. */
void hak_run_set_taken(uint32_t first, uint32_t count);

/* Gives taken granules back, and their memory to the system, unless the range keeps its memory. `renew` for those whose
 * mapping is not that of the range: pages were moved there, or the kernel has unmapped what was there; their memory always
 * goes, and where the range keeps its memory they get some at once. */
void hak_run_free(uint32_t first, uint32_t count, bool renew);

/* The same for a run of which only the first `there` granules are committed. */
void hak_run_free_part(uint32_t first, uint32_t count, uint32_t there);

/* The same for a run that the kernel has unmapped already. Where that is not to be had again, it becomes a hole. */
void hak_run_free_unmapped(uint32_t first, uint32_t count);

/* The same for a run without its last `cut` bytes, which are unmapped. It becomes a hole. */
void hak_run_free_cut(uint32_t first, uint32_t count, size_t cut);

/* Unmaps the last `cut` bytes of the caller's run; maps them again; false: nothing has changed. */
bool hak_run_cut(uint32_t first, uint32_t count, size_t cut);
bool hak_run_mend(uint32_t first, uint32_t count, size_t cut);

/* The taken granules stay so for ever: the kernel may have unmapped them, and given their place
 * to somebody else. Nothing of them may be touched any more. */
void hak_run_lose(uint32_t first, uint32_t count);
size_t hak_range_lost(void); /* bytes of those */

/* Adds `more` granules behind first + count - 1, if nobody uses them. The number in the first granule's slot is
 * raised, too. While the range keeps its memory, not by granules without memory where a whole run with memory is long enough. */
bool hak_run_extend(uint32_t first, uint32_t count, uint32_t more);

/* A free or taken run or a hole, described in the slot of its first granule, a free one also in that of its last. The list links are in
 * the first one. `first` and `count` lie where a large block's record has them. */
struct hak_free_run {
    uint32_t next; /* granule of the next free run's first slot; 0 ends the list */
    uint32_t prev;
    uint8_t unused1[8];
    uint32_t first;
    uint32_t count;
    uint8_t unused2[25];
    uint8_t dirty; /* it may hold memory, and need not read as zero */
    uint8_t unused3[HAK_SLOT_SIZE - 4 * sizeof(uint32_t) - 8 - 25 - 1 - 1];
    uint8_t kind;
};
_Static_assert(sizeof(struct hak_free_run) == HAK_SLOT_SIZE, "a free run fills a slot");

/* Lists of free runs, or of holes, and the one for runs of `count` granules. */
#define HAK_RUN_LISTS 160u
unsigned hak_run_list_of(uint32_t count);

struct hak_run_index {
    uint32_t lists[HAK_RUN_LISTS];                /* first granules; 0: empty */
    uint64_t nonempty[(HAK_RUN_LISTS + 63) / 64]; /* a bit a list */
};

/* Whether a run that hak_run_alloc has just given may hold memory. */
static inline bool hak_run_is_dirty(uint32_t first) {
    return ((const struct hak_free_run *)hak_slot_address(first))->dirty;
}

/* For checks, while no other thread is in an allocation function. */
struct hak_range_state {
    uint32_t there, committed, in_tables; /* granules below these: the limit's, those that have memory but
                                           * for gaps, and those that have slots and records */
    const struct hak_run_index *free, *holes;
    size_t hole_bytes;
    uint32_t dirty_top;              /* granules from the top to here may hold memory */
    size_t slot_bytes, record_bytes; /* of the tables, committed */
};
struct hak_range_state hak_range_state(void);

/* The granules from here on belong to nobody. */
uint32_t hak_range_top(void);

/* All granules that ever had memory lie below: these have slots and records. */
uint32_t hak_range_in_tables(void);

/* Another thread's time may be later than one's own, but not by more than that: 17 minutes. */
#define HAK_TIMES_APART ((uint32_t)1 << 20)

/* True if `since`, a time of hak_os_now_ms, is at least so long ago, an hour or so at most; nothing is UINT32_MAX old. Another
 * thread may have taken it after `now`; such a time is not old. The clock wraps each 49 days. */
static inline bool hak_is_older(uint32_t since, uint32_t now, uint32_t milliseconds) {
    uint32_t age = now - since;
    return age >= milliseconds && age <= UINT32_MAX - HAK_TIMES_APART;
}

/* The table record of the SuperSlab that begins at a granule (a multiple of 16); zero at first. */
void *hak_superslab_record(uint32_t first_granule);
#define HAK_SUPERSLAB_RECORD 128

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

/* While a range keeps its memory, runs that are given back hold it for whoever needs a run next, and runs that hold memory are
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

/* Whether hak_run_alloc would take a run that may hold memory, all of it; false where the range does not keep its memory. */
bool hak_run_is_kept(uint32_t count, uint32_t align);

/* Bytes of address space that hold blocks of bins, or wait for blocks: all but live large blocks. */
struct hak_held {
    _Alignas(64) _Atomic size_t superslabs;
    _Atomic size_t bigcache; /* written under its lock */
    _Atomic size_t kept;     /* free runs that may hold memory; written under the range's lock */
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

/* Bytes of free runs that may hold memory. */
static inline size_t hak_range_kept(void) {
    return atomic_load_explicit(&hak_held.kept, memory_order_relaxed);
}

/* Once the range keeps its memory: all pages of these get memory; so do free runs without any, the shortest first, until they are
 * that many bytes. From here on neighbours are alike. Holds the range's lock meanwhile. */
void hak_range_touch(size_t most);

/* Gives the memory of these to the system; returns the bytes. Holds the range's lock meanwhile. Locked memory stays
 * while the range keeps its memory, and is zeroed otherwise. */
size_t hak_range_purge(void);

/* False in a reservation, and once the system has refused to move pages or lost some. */
bool hak_range_may_move(void);
/* From here on that is false. */
void hak_range_fix(void);

/* Advises the kernel for or against transparent huge pages, for the whole range and for ever. */
void hak_range_huge_pages(bool wanted);

/* For whoever finds that the runs in use are not what the free runs say: in a child of fork, the runs that were on their way
 * between the parent's other threads, and those of the BigCache, if that is lost. Finds all free runs anew. */
void hak_range_rebuild(void);

#endif
