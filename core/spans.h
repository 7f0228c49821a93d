/* Spans of granules. All memory of the range is taken and given back here, in spans.
 * Any thread, unless a function says otherwise; a span in use is its caller's alone. */
#ifndef HAK_SPANS_H
#define HAK_SPANS_H

#include "core/range.h"

/* At each instruction the tables tell what each granule belongs to, so that a child of fork can
 * find the free granules whatever the parent's other threads were doing. A span in use is one of:
 *   - a SuperSlab: its record says `in_use`;
 *   - a large block or a cached span: the page map entry of its first granule says so, and the
 *     number of granules;
 *   - any other span: the page map entry of its first granule says HAK_KIND_TAKEN, and the number
 *     of granules. hak_span_alloc returns such a span, and hak_span_free is given such a span. */

/* The first of `count` committed granules, at a multiple of `align` granules (a power of two). They
 * read as zero unless hak_span_is_dirty. 0: there are none. */
uint32_t hak_span_alloc(uint32_t count, uint32_t align);

/* The same, but perhaps only the first *committed granules are committed. Before the call,
 * *committed says how many must be: 0, or all. */
uint32_t hak_span_alloc_part(uint32_t count, uint32_t align, uint32_t *committed);

/* Commits `more` further granules of the caller's span, of which the first `committed` are
 * committed. HAK_PLACE_OCCUPIED: somebody else has a mapping in the further granules. */
enum hak_placed hak_span_commit_more(uint32_t first, uint32_t count, uint32_t committed,
                                     uint32_t more);

/* Describes granules of the caller as a span in use (HAK_KIND_TAKEN), as hak_span_alloc does. */
void hak_span_set_taken(uint32_t first, uint32_t count);

/* Gives a taken span back, and its memory to the system unless the range keeps its memory. `renew`:
 * the mapping is not the range's own, because pages were moved there, the program has changed them,
 * or the kernel has unmapped what was there. Then the old memory always goes to the system; where
 * the range keeps its memory, the span gets new memory at once. */
void hak_span_free(uint32_t first, uint32_t count, bool renew);

/* The same for a span of which only the first `committed` granules are committed. */
void hak_span_free_part(uint32_t first, uint32_t count, uint32_t committed);

/* The same for a span that the kernel has unmapped already. The span is mapped again; it becomes a
 * hole if it cannot be mapped, or if addresses or memory are scarce. */
void hak_span_free_unmapped(uint32_t first, uint32_t count);

/* The same for a span whose last `cut` bytes are unmapped. It becomes a hole; where there are too
 * many holes, its end is mapped again if possible, and it becomes a free span. */
void hak_span_free_cut(uint32_t first, uint32_t count, size_t cut);

/* hak_span_cut unmaps the last `cut` bytes of the caller's span, more than 0, less than a granule;
 * hak_span_mend maps them again. False: nothing has changed. */
bool hak_span_cut(uint32_t first, uint32_t count, size_t cut);
bool hak_span_mend(uint32_t first, uint32_t count, size_t cut);

/* Loses a taken span: it stays taken for ever, and nobody may touch it any more. The kernel may
 * have unmapped it, and somebody else may have a mapping there. No pages are moved from then on. */
void hak_span_lose(uint32_t first, uint32_t count);
size_t hak_range_lost(void); /* bytes of all lost spans */

/* Adds the `more` granules behind the caller's span to it, if nobody uses them, and raises the
 * number in the page map entry of the first granule. False: the span is as before. While the
 * range keeps its memory, also false if those granules have no memory and a free span that has
 * memory is long enough for the whole. */
bool hak_span_extend(uint32_t first, uint32_t count, uint32_t more);

/* The page map entry that describes a free span, a hole or a taken span: that of its first granule.
 * Of a free span or a hole, the entry of the last granule has `first`, `count` and `kind`, too.
 * `first` and `count` lie where a large block's record has its `first` and `granules`. */
struct hak_free_span {
    uint32_t next; /* first granule of the next span of the list; 0 ends the list */
    uint32_t prev;
    uint8_t unused1[8];
    uint32_t first;
    uint32_t count;
    uint8_t unused2[25];
    uint8_t dirty; /* 1: it may hold memory, and need not read as zero */
    uint8_t unused3[HAK_MAP_ENTRY_SIZE - 4 * sizeof(uint32_t) - 8 - 25 - 1 - 1];
    uint8_t kind;
};
_Static_assert(sizeof(struct hak_free_span) == HAK_MAP_ENTRY_SIZE,
               "a free span fills a page map entry");

/* Lists of spans by length: each length below HAK_SPAN_EXACT granules has a list; above, each
 * doubling has four. */
#define HAK_SPAN_LISTS 160u
#define HAK_SPAN_EXACT 64u

static inline unsigned hak_span_list_of(uint32_t count) {
    if (HAK_LIKELY(count < HAK_SPAN_EXACT)) return count;
    const unsigned log = hak_log2(count);
    return HAK_SPAN_EXACT + (log - 6) * 4 + ((count >> (log - 2)) & 3);
}

struct hak_span_index {
    uint32_t lists[HAK_SPAN_LISTS];                /* granule of each first span; 0: empty */
    uint64_t nonempty[(HAK_SPAN_LISTS + 63) / 64]; /* one bit for each list */
};

/* The first list at or after `list` that is not empty; HAK_SPAN_LISTS if none is. */
static inline unsigned hak_span_next_list(const struct hak_span_index *index, unsigned list) {
    while (list < HAK_SPAN_LISTS) {
        const uint64_t word = index->nonempty[list / 64] >> (list % 64);
        if (word != 0) return list + (unsigned)__builtin_ctzll(word);
        list = (list / 64 + 1) * 64;
    }
    return HAK_SPAN_LISTS;
}

/* Whether a span that hak_span_alloc has just returned may hold memory. */
static inline bool hak_span_is_dirty(uint32_t first) {
    return ((const struct hak_free_span *)hak_map_entry(first))->dirty;
}

/* Whether hak_span_alloc would return a span all of which may hold memory; false unless the range
 * keeps its memory. */
bool hak_span_is_kept(uint32_t count, uint32_t align);

/* For checks, while no other thread is in an allocation function. */
struct hak_range_state {
    /* Granules below these: `end`: the range's end; `committed`: what the area of the blocks counts
     * as committed, with uncommitted parts of spans and holes; `in_tables`: those with page map
     * entries and records. */
    uint32_t end, committed, in_tables;
    const struct hak_span_index *free, *holes;
    size_t hole_bytes;
    uint32_t dirty_top;             /* granules from the top to here may hold memory */
    size_t map_bytes, record_bytes; /* of the tables, committed */
};
struct hak_range_state hak_range_state(void);

/* For the moment when the range begins to keep its memory. All pages of free spans that may hold
 * memory get memory; so do free spans without memory, the shortest first, at most `most` bytes.
 * Otherwise a free span could have memory only in part, because neighbours are joined. Holds the
 * range's lock meanwhile. */
void hak_range_populate(size_t most);

/* Gives the memory of free granules to the system; returns the bytes. Holds the range's lock
 * meanwhile. Locked memory stays while the range keeps its memory; otherwise it is zeroed. */
size_t hak_range_purge(void);

#endif
