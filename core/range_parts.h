/* What the files of the range have in common, and nobody else sees: range.c (areas, tables, where the
 * committed part ends), huge_pages.c, span_index.c (free spans by length), spans.c (who takes granules),
 * span_free.c (who gives them back), range_child.c (after a fork). */
#ifndef HAK_RANGE_PARTS_H
#define HAK_RANGE_PARTS_H

#include "core/spans.h"

/* Changes under the range's lock, but for what is atomic. */
struct hak_range_rest {
    struct hak_area process, map, records, metadata, heap; /* process: the page that a fork wipes */
    _Atomic uint32_t gaps; /* spans in use of which only the first part is committed */
    _Atomic size_t absent; /* bytes that range.heap counts as committed, and are not */
    size_t metadata_used;
    _Atomic bool fixed;  /* the system moves nothing, or loses what it moves */
    _Atomic size_t lost; /* bytes: see hak_span_lose */
    enum {
        HAK_ADVICE_DEFAULT,
        HAK_ADVICE_HUGE_PAGES,
        HAK_ADVICE_SMALL_PAGES
    } advice; /* changes while there is one thread */
    uint32_t top;
    uint32_t dirty_top; /* granules from here on hold no memory, unless they are in a span in use */
    uint32_t there; /* granules behind this one, if any, are committed below the last gap only */
    struct hak_span_index free, holes;
    uint32_t holes_now; /* changes under the lock */
    size_t hole_bytes;  /* which range.heap counts as committed */
    _Atomic uint32_t small_regions;
    _Atomic bool crowded; /* somebody else had a mapping in a span in use that was not all there */
};

extern HAK_HIDDEN struct hak_range_rest hak_range_rest;

static struct hak_range_rest *const range = &hak_range_rest;
static struct hak_lock *const range_lock = &hak_locks[HAK_RANK_RANGE];

static inline struct hak_free_span *hak_span_at(uint32_t granule) {
    return hak_map_entry(granule);
}

/* Bytes of the heap's area before a granule, and back. It begins with a page, for the byte before
 * any pointer into the range can be read. */
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
    return hak_range_granules_in(range->heap.committed);
}

/* What lies behind the top and may hold memory. */
static inline uint32_t hak_range_dirty_behind_top(void) {
    return range->dirty_top > range->top ? range->dirty_top - range->top : 0;
}

static inline void hak_granules_touch(uint32_t first, uint32_t end) {
    if (first < end)
        hak_os_touch(hak_granule_address(first), (size_t)(end - first) << HAK_GRANULE_SHIFT);
}

/* ---- range.c --------------------------------------------------------------------------------- */

/* The tables' part for granules below `granules`; the tables go before memory, so that a failure in the middle leaves only
 * table memory that nobody reads. */
enum hak_placed hak_range_tables_grow(uint32_t granules);
/* Commits the granules below `granules`, and a step more unless memory is scarce. */
enum hak_placed hak_range_grow(uint32_t granules);
/* What malloc and free take for the range's: it ends where memory does. */
void hak_range_limit_set(uint32_t granules);
/* Bytes of free spans that may hold memory become more or fewer by so many granules. */
void hak_range_kept_add(uint32_t granules);
void hak_range_kept_sub(uint32_t granules);
/* The top, and the granule from which on nothing holds memory. */
void hak_range_tops_set(uint32_t top, uint32_t dirty_top);
void hak_range_top_set(uint32_t top);
void hak_range_dirty_top_raise(uint32_t granule);
void hak_range_dirty_top_lower(uint32_t granule);
/* What is committed from this granule on goes; false: it stays, as in a reservation. */
bool hak_range_shrink_to(uint32_t keep);
/* What is committed beyond the top goes, but for a step, or it would be wanted again soon. */
void hak_range_shrink(void);

/* ---- huge_pages.c ---------------------------------------------------------------------------- */

/* Fresh mappings get the range's advice. */
void hak_huge_pages_advise(uintptr_t start, size_t bytes);
/* What is mapped there next has none. */
void hak_huge_pages_unmapped(uint32_t first, uint32_t end);

/* ---- span_index.c ---------------------------------------------------------------------------- */

/* `dirty`: it may hold memory, which no hole does. */
void hak_span_insert(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty);
void hak_span_remove(uint32_t first);
/* The first list at or after `list` that is not empty; HAK_SPAN_LISTS if none is. */
unsigned hak_span_next_list(const struct hak_span_index *index, unsigned list);
/* A span of this kind that holds `count` granules from an aligned one on; 0 if none was found among the first `most` of
 * each list. `dirty`: only of those that may hold memory. */
uint32_t hak_span_find(enum hak_kind kind, uint32_t count, uint32_t align, uint32_t most,
                       bool dirty);
/* Cuts [from, from + count) out of a free span or hole. */
void hak_span_split(uint32_t first, uint32_t from, uint32_t count);
/* Takes the neighbours of this kind off the lists, and into [*first, *first + *count); true: one of them may hold memory. */
bool hak_span_join(uint32_t *first, uint32_t *count, enum hak_kind kind);
/* Forgets all free spans and holes, in a child of fork. */
void hak_span_index_clear(void);
/* Describes a span that somebody uses. */
void hak_span_describe(uint32_t first, uint32_t count, bool dirty);

#endif
