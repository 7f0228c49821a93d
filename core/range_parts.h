/* What the files of the range share, and no other file includes: range.c (areas, tables, the end of
 * the committed part), huge_pages.c, span_index.c (lists of free spans by length), spans.c (spans
 * are taken), span_free.c (spans are given back), range_child.c (after a fork). */
#ifndef HAK_RANGE_PARTS_H
#define HAK_RANGE_PARTS_H

#include "core/spans.h"

/* Changes under the range's lock, except for the atomic members and `advice`. */
struct hak_range_private {
    struct hak_area process, map, records, metadata,
        blocks;                        /* process: the page that a fork wipes */
    _Atomic uint32_t partly_committed; /* number of spans in use that are only partly committed */
    _Atomic size_t
        uncommitted; /* bytes of these spans that `blocks` counts as committed, and are not */
    size_t metadata_used;
    _Atomic bool moves_forbidden; /* see hak_range_forbid_moves */
    _Atomic size_t lost;          /* bytes: see hak_span_lose */
    enum {
        HAK_ADVICE_DEFAULT,
        HAK_ADVICE_HUGE_PAGES,
        HAK_ADVICE_SMALL_PAGES
    } advice; /* changes while there is one thread */
    uint32_t top;
    uint32_t dirty_top; /* granules from here on hold no memory, unless they are in a span in use */
    /* granules below the range's end. `blocks` may count more as committed: those are the end of a
     * partly committed span, or a hole */
    uint32_t end;
    struct hak_span_index free, holes;
    uint32_t holes_now; /* number of holes; also read without the lock */
    size_t hole_bytes;  /* bytes of holes, which `blocks` counts as committed */
    _Atomic uint32_t small_regions;
    /* a foreign mapping lay in the uncommitted part of a partly committed span */
    _Atomic bool met_foreign_mapping;
};

extern HAK_HIDDEN struct hak_range_private hak_range_private;

static struct hak_range_private *const range = &hak_range_private;
static struct hak_lock *const range_lock = &hak_locks[HAK_RANK_RANGE];

static inline struct hak_free_span *hak_span_at(uint32_t granule) {
    return hak_map_entry(granule);
}

/* Bytes of the area of the blocks before a granule, and the inverse. The area begins with a page
 * before the first granule, so that the byte before any pointer into the range can be read. */
static inline size_t hak_range_bytes_below(uint32_t granule) {
    HAK_ASSERT(granule >= HAK_GRANULE_FIRST);
    return ((size_t)(granule - HAK_GRANULE_FIRST) << HAK_GRANULE_SHIFT) + hak_os_page_size();
}

static inline uint32_t hak_range_granules_in(size_t bytes) {
    const size_t page = hak_os_page_size();
    HAK_ASSERT(bytes >= page && (bytes - page) % HAK_GRANULE == 0);
    return (uint32_t)((bytes - page) >> HAK_GRANULE_SHIFT) + HAK_GRANULE_FIRST;
}

static inline uint32_t hak_range_granules(void) {
    return hak_range_granules_in(range->blocks.committed);
}

/* The number of granules behind the top that may hold memory. */
static inline uint32_t hak_range_dirty_behind_top(void) {
    return range->dirty_top > range->top ? range->dirty_top - range->top : 0;
}

static inline void hak_granules_populate(uint32_t first, uint32_t end) {
    if (first < end)
        hak_os_populate(hak_granule_address(first), (size_t)(end - first) << HAK_GRANULE_SHIFT);
}

/* ---- range.c --------------------------------------------------------------------------------- */

/* Commits the page map entries and records of the granules below `granules`. Tables grow first: if
 * the area of the blocks then cannot grow, only table memory is left that nobody reads. */
enum hak_placed hak_range_tables_grow(uint32_t granules);
/* Commits the granules below `granules`, and up to one step more unless the system refuses that. */
enum hak_placed hak_range_grow(uint32_t granules);
/* Sets the end of the range: malloc and free take addresses below it for the range's. */
void hak_range_end_set(uint32_t granules);
/* Adds granules to hak_footprint.kept, or subtracts them: free spans that may hold memory. */
void hak_range_kept_add(uint32_t granules);
void hak_range_kept_sub(uint32_t granules);
/* Sets the top, and the granule from which on free granules hold no memory. */
void hak_range_tops_set(uint32_t top, uint32_t dirty_top);
void hak_range_top_set(uint32_t top);
/* Granules below this one may hold memory. */
void hak_range_dirty_top_raise(uint32_t granule);
/* Free granules from this one on hold no memory. */
void hak_range_dirty_top_lower(uint32_t granule);
/* Unmaps what is committed from granule `keep` on; false: it stays committed, as in a
 * reservation. */
bool hak_range_shrink_to(uint32_t keep);
/* Unmaps what is committed behind the top, except for about one step, which would soon be needed
 * again. Does nothing while the range keeps its memory. */
void hak_range_shrink(void);

/* ---- huge_pages.c ---------------------------------------------------------------------------- */

/* Gives fresh mappings the range's advice. */
void hak_huge_pages_advise(uintptr_t start, size_t bytes);
/* The granules [first, end) are unmapped, or mapped anew: their mapping has no advice. */
void hak_huge_pages_unmapped(uint32_t first, uint32_t end);

/* ---- span_index.c ---------------------------------------------------------------------------- */

/* Lists a free span or a hole. `dirty`: it may hold memory; never true for a hole. */
void hak_span_insert(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty);
void hak_span_remove(uint32_t first);
/* The first granule of a span of this kind that has `count` granules from a multiple of `align` on.
 * Looks at the first `most` spans of each list; 0: found none. `dirty`: only spans that may hold
 * memory. */
uint32_t hak_span_find(enum hak_kind kind, uint32_t count, uint32_t align, uint32_t most,
                       bool dirty);
/* Cuts [from, from + count) out of the free span or hole that begins at `first`; the rest is
 * listed. */
void hak_span_split(uint32_t first, uint32_t from, uint32_t count);
/* Takes the neighbours of this kind off the lists, and adds them to [*first, *first + *count).
 * True: a neighbour may hold memory. */
bool hak_span_join(uint32_t *first, uint32_t *count, enum hak_kind kind);
/* Forgets all free spans and holes. In a child of fork. */
void hak_span_index_clear(void);
/* Describes a span in use: HAK_KIND_TAKEN. Needs no lock, because the span is the caller's. */
void hak_span_describe(uint32_t first, uint32_t count, bool dirty);

#endif
